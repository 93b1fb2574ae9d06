//! The receiver of logout tokens, as its issuer asks it.

use super::{
    answer::{INVALID_REQUEST, UNAVAILABLE},
    *,
};
use crate::{
    AuthError, Issuer, Reason, RegisteredClaims, Verified,
    keys::{self, KeySet, KeySource},
    revocation::Standing,
};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use http::{
    StatusCode,
    header::{ALLOW, CACHE_CONTROL, RETRY_AFTER},
};
use std::{
    sync::{
        LazyLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::UNIX_EPOCH,
};
use tower::ServiceExt as _;

const ISS: &str = "https://issuer.example";
const FORM: &str = "application/x-www-form-urlencoded";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::EdDSA).kid("a"));

fn set() -> KeySet {
    KeySet::from_jwks(&serde_json::json!({ "keys": [KEY.public_jwk()] }).to_string()).expect("a set")
}

fn receiver(capacity: usize) -> LogoutReceiver {
    let issuer = Issuer::new(ISS, "api").keys(KeySource::fixed(set())).logout_client("web");
    LogoutReceiver::new(JwtVerifier::new([issuer]).expect("a verifier"), DenyList::new(capacity))
}

fn logout() -> TokenBuilder {
    TokenBuilder::new(&KEY, ISS, "web").logout().claim("sid", "s-1")
}

fn form(token: &str) -> String {
    format!("logout_token={token}")
}

fn post(body: impl Into<String>) -> Request<String> {
    Request::post("/").header(CONTENT_TYPE, FORM).body(body.into()).expect("a request")
}

fn ask(receiver: &LogoutReceiver, request: Request<String>) -> Response<String> {
    let response = tokio_test::block_on(receiver.clone().oneshot(request)).expect("infallible");
    assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
    response
}

fn status(receiver: &LogoutReceiver, request: Request<String>) -> u16 {
    ask(receiver, request).status().as_u16()
}

/// Whether the logout failed for a cause that passes.
fn may_be_repeated(receiver: &LogoutReceiver, request: Request<String>) -> bool {
    let response = ask(receiver, request);
    assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{response:?}");
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    let is_unavailable = response.body() == UNAVAILABLE;
    assert_eq!(response.headers().contains_key(RETRY_AFTER), is_unavailable, "{response:?}");
    assert!(is_unavailable || response.body() == INVALID_REQUEST, "{response:?}");
    is_unavailable
}

/// Whether an access token of this session, subject and date is refused.
fn is_revoked(receiver: &LogoutReceiver, session: &str, sub: &str, iat: SystemTime) -> bool {
    let claims = RegisteredClaims {
        iss: Some(ISS.into()),
        sid: Some(session.into()),
        sub: Some(sub.into()),
        iat: Some(iat),
        ..RegisteredClaims::default()
    };
    receiver.effect.list.standing(&Verified::assertion(claims, ())) == Standing::Revoked
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn rs_147_only_a_posted_form_with_one_token_is_a_logout() {
    let receiver = receiver(10);
    let token = || form(&logout().sign());
    let with_type = |content_type: &str| {
        let mut request = post(token());
        request.headers_mut().insert(CONTENT_TYPE, content_type.parse().expect("a value"));
        request
    };
    let mut get = post(token());
    *get.method_mut() = Method::GET;
    let mut typeless = post(token());
    typeless.headers_mut().remove(CONTENT_TYPE);
    let mut two_types = post(token());
    two_types.headers_mut().append(CONTENT_TYPE, HeaderValue::from_static(FORM));
    let table = [
        ("a form", post(token()), 200),
        ("a charset", with_type("Application/X-WWW-Form-Urlencoded ; charset=utf-8"), 200),
        ("other parameters", post(format!("a=b&{}&state=x&a=c", token())), 200),
        ("GET", get, 405),
        ("JSON", with_type("application/json"), 400),
        ("no type", typeless, 400),
        ("two types", two_types, 400),
        ("another type", with_type("application/x-www-form-urlencoded2"), 400),
        ("nothing", post(""), 400),
        ("no token", post("logout_tokens=x&token=y"), 400),
        ("an empty token", post("logout_token="), 400),
        ("two tokens", post(format!("{}&{}", token(), token())), 400),
        ("no token at all", post("logout_token=%ff%00.x.y"), 400),
        ("a long one", post(form(&"x".repeat(LIMIT))), 400),
        ("the longest", post("x".repeat(LIMIT)), 400),
    ];
    for (name, request, expected) in table {
        let response = ask(&receiver, request);
        assert_eq!(response.status().as_u16(), expected, "{name}");
        let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
        assert_eq!(
            (is_json, response.body() == INVALID_REQUEST),
            (expected == 400, expected == 400),
            "{name}"
        );
        assert_eq!(response.headers().get(ALLOW).is_some(), expected == 405, "{name}");
    }
}

#[test]
fn rs_152_a_refusal_is_json_with_a_code_and_no_part_of_the_token() {
    for (text, code) in [(INVALID_REQUEST, "invalid_request"), (UNAVAILABLE, "temporarily_unavailable")] {
        let body: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(body["error"], code);
        assert!(body["error_description"].is_string());
    }
    let response = ask(&receiver(10), post(form(&logout().audience("api").sign())));
    assert_eq!(response.extensions().get::<AuthError>().map(AuthError::reason), Some(Reason::Audience));
}

#[test]
fn rs_151_each_logout_token_is_heeded_once() {
    let receiver = receiver(10);
    let token = form(&logout().sign());
    assert_eq!(status(&receiver, post(&token)), 200);
    assert!(!may_be_repeated(&receiver.clone(), post(&token)));
    assert_eq!(receiver.effect.list.len(), 1);
    assert_eq!(status(&receiver, post(form(&logout().sign()))), 200, "another one of the same session");
}

#[test]
fn rs_151_what_cannot_be_remembered_is_not_heeded() {
    let receiver = receiver(10).remembered(1);
    assert_eq!(status(&receiver, post(form(&logout().sign()))), 200);
    assert!(may_be_repeated(&receiver, post(form(&logout().claim("sid", "s-2").sign()))));
    assert!(!is_revoked(&receiver, "s-2", "u", at(0)));
}

#[test]
fn a_logout_that_finds_no_room_may_be_repeated() {
    let mut receiver = receiver(0);
    let token = form(&logout().sign());
    assert!(may_be_repeated(&receiver, post(&token)));
    receiver.effect.list = DenyList::new(1);
    assert_eq!(status(&receiver, post(&token)), 200);
}

#[test]
fn what_else_is_to_happen_happens_once_and_may_be_repeated_until_it_has() {
    /// What comes of it the first time, and the second.
    enum First {
        Done,
        Failed,
        BrokenOff,
    }
    for (first, may_come_again) in [(First::Done, false), (First::Failed, true), (First::BrokenOff, true)] {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let first = Arc::new(first);
        let of_first = Arc::clone(&first);
        let receiver = receiver(10).on_logout(move |token| {
            assert_eq!((token.iss.as_str(), token.sid.as_deref()), (ISS, Some("s-1")));
            let (first, call) = (Arc::clone(&of_first), count.fetch_add(1, SeqCst));
            async move {
                match *first {
                    First::Failed if call == 0 => Err(std::fmt::Error),
                    First::BrokenOff if call == 0 => std::future::pending().await,
                    _ => Ok(()),
                }
            }
        });
        let token = form(&logout().sign());
        match *first {
            First::Done => assert_eq!(status(&receiver, post(&token)), 200),
            First::Failed => assert!(may_be_repeated(&receiver, post(&token))),
            First::BrokenOff => {
                let mut asking = tokio_test::task::spawn(receiver.clone().oneshot(post(&token)));
                assert!(asking.poll().is_pending());
                assert_eq!(status(&receiver, post(&token)), 400, "it is being carried out");
            }
        }
        assert!(is_revoked(&receiver, "s-1", "u", at(0)), "the list knows of it in any case");
        let again = status(&receiver, post(&token));
        let expected = if may_come_again { (200, 2) } else { (400, 1) };
        assert_eq!((again, calls.load(SeqCst)), expected);
    }
}

#[test]
fn what_else_is_to_happen_does_not_where_there_is_no_logout() {
    let never = |_| -> std::future::Ready<Result<(), Infallible>> { panic!("told") };
    let receiver = receiver(0).on_logout(never);
    assert!(may_be_repeated(&receiver, post(form(&logout().sign()))), "the list has no room");
    assert!(!may_be_repeated(&receiver, post(form(&logout().audience("api").sign()))));
}

#[test]
fn rs_153_a_sid_ends_its_session_and_a_sub_alone_what_it_had() {
    let now = SystemTime::now();
    let this_second = at(now.duration_since(UNIX_EPOCH).expect("after 1970").as_secs());
    let next_second = this_second + Duration::from_secs(1);
    let iat = this_second.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let by_sid = receiver(10);
    let token = logout().subject("ada").claim("iat", iat);
    assert_eq!(status(&by_sid, post(form(&token.sign()))), 200);
    assert!(is_revoked(&by_sid, "s-1", "ada", at(0)));
    assert!(is_revoked(&by_sid, "s-1", "ada", this_second), "the same second may be before");
    assert!(!is_revoked(&by_sid, "s-1", "ada", next_second), "who came back in a session that went on");
    assert!(!is_revoked(&by_sid, "s-2", "ada", at(0)), "none of another");

    let by_sub = receiver(10);
    let token = logout().subject("ada").without("sid").claim("iat", iat);
    assert_eq!(status(&by_sub, post(form(&token.sign()))), 200);
    assert!(is_revoked(&by_sub, "s-2", "ada", at(0)));
    assert!(is_revoked(&by_sub, "s-2", "ada", this_second), "the same second may be before");
    assert!(!is_revoked(&by_sub, "s-2", "ada", next_second), "who signed in again");
    assert!(!is_revoked(&by_sub, "s-2", "bob", at(0)));
}

#[test]
fn rs_153_a_revocation_is_kept_for_the_life_of_an_access_token() {
    for (receiver, lifetime) in [
        (receiver(10), DAY),
        (receiver(10).access_token_lifetime(Duration::from_secs(60)), Duration::from_secs(60)),
    ] {
        let before = SystemTime::now();
        assert_eq!(status(&receiver, post(form(&logout().sign()))), 200);
        let claims = RegisteredClaims {
            iss: Some(ISS.into()),
            sid: Some("s-1".into()),
            ..RegisteredClaims::default()
        };
        let verified = Verified::assertion(claims, ());
        let standing = |at| receiver.effect.list.standing(&verified.clone().verified_at(at));
        // What clocks are granted, twice: the issuer's may be ahead, too.
        let kept = lifetime + Duration::from_secs(20 * 60);
        assert_eq!(standing(before + kept - Duration::from_millis(1)), Standing::Revoked);
        assert_eq!(standing(SystemTime::now() + kept), Standing::Good);
    }
    let forever = receiver(10).access_token_lifetime(Duration::MAX);
    assert_eq!(status(&forever, post(form(&logout().sign()))), 200, "and no overflow");
}

#[test]
fn without_keys_it_is_not_the_token_that_is_bad() {
    let (mut sink, source) = keys::channel();
    sink.publish(set());
    sink.expire();
    let issuer = Issuer::new(ISS, "api").keys(source).logout_client("web");
    let receiver = LogoutReceiver::new(JwtVerifier::new([issuer]).expect("a verifier"), DenyList::new(10));
    let token = form(&logout().sign());
    assert!(may_be_repeated(&receiver, post(&token)));
    sink.confirm();
    assert_eq!(status(&receiver, post(&token)), 200);
}

#[test]
fn a_request_is_not_read_on_once_it_is_too_long() {
    let read = Arc::new(AtomicUsize::new(0));
    let request = post("").map(|_| Endless(Arc::clone(&read)));
    let response = tokio_test::block_on(receiver(1).oneshot(request)).expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(read.load(SeqCst), LIMIT + 1024);
}

/// Comes by the kilobyte, and counts them.
struct Endless(Arc<AtomicUsize>);

impl Body for Endless {
    type Data = &'static [u8];
    type Error = Infallible;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        let read = self.0.fetch_add(1024, SeqCst);
        // For a test that fails rather than never ends.
        Poll::Ready((read < 4 * LIMIT).then_some(Ok(http_body::Frame::data(&[b'x'; 1024]))))
    }
}

#[test]
fn a_request_that_breaks_off_is_refused() {
    let request = post("").map(|_| Broken);
    let response = tokio_test::block_on(receiver(1).oneshot(request)).expect("infallible");
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
}

struct Broken;

impl Body for Broken {
    type Data = &'static [u8];
    type Error = std::fmt::Error;
    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        Poll::Ready(Some(Err(std::fmt::Error)))
    }
}
