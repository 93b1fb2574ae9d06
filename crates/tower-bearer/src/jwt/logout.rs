//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4): by the keys of access tokens, under rules
//! of their own.

use super::{
    TokenKind, claims,
    issuer::Issuer,
    judge::{Maker, Outcome, Proof, Signed},
    payload::Payload,
    rules::contains,
    times::Times,
    verifier::JwtVerifier,
    waiting::Waiting,
};
use crate::{AuthError, Reason};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

/// The event that makes a token one of logout (Back-Channel Logout §2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How long ago a logout token may have been issued: its issuer sends it at once, and may repeat it for a
/// while.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// The longest name, in bytes. They are kept in memory; a `sub` has 255 at most (OpenID Connect Core §2).
const MAX_NAME: usize = 1024;

/// A verified logout token: the issuer says that a session, or all sessions of a user, are over. Never a
/// proof of who makes a request.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct LogoutToken {
    /// `iss`: who says so.
    pub iss: String,
    /// `sub`: the user, if it is said. Without `sid`, all sessions of the user are over.
    pub sub: Option<String>,
    /// `sid`: the session, if it is said.
    pub sid: Option<String>,
    /// `jti`: the token's own id. Each is to be heeded once (Back-Channel Logout §2.6).
    pub jti: String,
    /// `iat`: when the token was issued.
    pub iat: SystemTime,
    /// `exp`: the token is over from then on. Where it has none, ten minutes after `iat`.
    pub exp: SystemTime,
    /// From then on the token is refused for its age: its `jti` may be forgotten.
    pub(crate) refused_from: SystemTime,
}

/// The future of [`JwtVerifier::verify_logout_token`]. Mostly ready at once; it waits when a key is not known
/// yet.
#[must_use = "futures do nothing unless polled"]
pub struct VerifyLogoutToken(State);

enum State {
    /// `None` once it was handed out.
    Decided(Option<Box<Result<LogoutToken, AuthError>>>),
    Waiting(Waiting<LogoutToken>),
}

impl JwtVerifier {
    /// Verifies a logout token, for an [`Issuer`] with a [`logout_client`](Issuer::logout_client). The caller
    /// bounds its length, and heeds each `jti` once; `LogoutReceiver` (feature `logout`) does both.
    ///
    /// Demanded are a signature of the issuer, `aud` with the client, `iat` of the last ten minutes, `jti`, the
    /// event of back-channel logout, and `sub` or `sid`. `exp` is to be in the future; but a token may be without,
    /// as drafts of the specification had it and many issuers still do, since `iat` bounds it as well. A `nonce`
    /// is refused, and a `typ` of another kind of token; `logout+jwt` is recommended
    /// there, not demanded. So access and ID tokens are refused here, as logout tokens are at the gate.
    ///
    /// ```
    /// use std::time::SystemTime;
    /// use tower_bearer::{Algorithm, Issuer, JwtVerifier};
    /// # use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "https://api.example")
    ///     .hmac_secret(Algorithm::HS256, [7; 32])
    ///     .logout_client("web")])?;
    /// # let key = SigningKey::hmac(Alg::HS256, &[7; 32]);
    /// # let logout = TokenBuilder::new(&key, "https://issuer.example", "web").logout().claim("sid", "s-1").sign();
    /// # let access = TokenBuilder::new(&key, "https://issuer.example", "web").sign();
    ///
    /// let token = verifier.verify_logout_token(&logout, SystemTime::now()).await?;
    /// assert_eq!(token.sid.as_deref(), Some("s-1"));
    ///
    /// assert!(verifier.verify_logout_token(&access, SystemTime::now()).await.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As at the gate: of the kind [`Unavailable`](crate::AuthErrorKind::Unavailable) when there are no keys
    /// to decide by, else why the token is none.
    pub fn verify_logout_token(&self, token: &str, now: SystemTime) -> VerifyLogoutToken {
        VerifyLogoutToken(match self.decide(token, now, true) {
            Outcome::Decided(result) => State::Decided(Some(Box::new(result))),
            Outcome::Waiting(question) => State::Waiting(self.wait(question, token, now)),
        })
    }
}

impl Future for VerifyLogoutToken {
    type Output = Result<LogoutToken, AuthError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Decided(result) => Poll::Ready(*result.take().expect("polled after completion")),
            State::Waiting(waiting) => Pin::new(waiting).poll(cx),
        }
    }
}

impl Proof for LogoutToken {
    const KIND: TokenKind = TokenKind::Logout;

    fn check(issuer: &Issuer, token: &Signed<'_>, now: SystemTime) -> Result<(), Reason> {
        let Signed { header, payload, json, .. } = token;
        if !issuer.allows(header.algorithm) {
            return Err(Reason::Algorithm);
        }
        if payload.has_nonce() || !has_logout_event(json) {
            return Err(Reason::NotALogoutToken);
        }
        let times = payload.times();
        // Glewlwyd, Ory Hydra 2.2 (ory/hydra#4035) and older Keycloaks (keycloak#25753) give none. Their logouts
        // are to be heeded, and nothing is lost by it: the rule for `iat` below bounds the token.
        issuer.times.check(Times { exp: Some(times.exp.unwrap_or(f64::INFINITY)), ..times }, now)?;
        if !payload.aud.iter().any(|aud| contains(&issuer.logout_clients, aud)) {
            return Err(Reason::Audience);
        }
        let token = Self::read(issuer, payload)?;
        if now >= token.refused_from { Err(Reason::TooOld) } else { Ok(()) }
    }

    fn prove(token: &Signed<'_>, by: Maker<'_>, _: SystemTime) -> Result<Self, AuthError> {
        Ok(Self::read(&by.listed.issuer, token.payload)?)
    }
}

impl LogoutToken {
    /// What must be there, is there (Back-Channel Logout §2.4).
    fn read(issuer: &Issuer, payload: &Payload<'_>) -> Result<Self, Reason> {
        let missing = Reason::MalformedClaims;
        let sub = name(payload.sub.as_deref())?;
        let sid = name(payload.sid.as_deref())?;
        if sub.is_none() && sid.is_none() {
            return Err(missing("sub and sid are missing"));
        }
        let iat = claims::time(payload.iat.ok_or(missing("iat is missing"))?);
        let exp = payload.exp.map_or(iat + MAX_AGE, claims::time);
        Ok(Self {
            iss: issuer.iss().to_owned(),
            sub,
            sid,
            jti: name(payload.jti.as_deref())?.ok_or(missing("jti is missing"))?,
            iat,
            exp,
            refused_from: exp.min(iat + MAX_AGE) + issuer.times.leeway,
        })
    }
}

/// A name that is to be kept: empty never means any, and the longest decides how much memory there must be.
fn name(claim: Option<&str>) -> Result<Option<String>, Reason> {
    match claim {
        Some("") => Err(Reason::MalformedClaims("sub, sid or jti is empty")),
        Some(name) if name.len() > MAX_NAME => Err(Reason::MalformedClaims("sub, sid or jti is too long")),
        name => Ok(name.map(str::to_owned)),
    }
}

fn has_logout_event(json: &str) -> bool {
    /// An object, and no list of its values: what a derived struct would take too.
    #[derive(Deserialize)]
    struct Claims {
        events: Map<String, Value>,
    }
    super::from_object::<Claims>(json)
        .is_ok_and(|claims| claims.events.get(EVENT).is_some_and(Value::is_object))
}

impl fmt::Debug for VerifyLogoutToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyLogoutToken(..)")
    }
}

#[cfg(all(test, any(feature = "aws-lc-rs", feature = "rust-crypto")))]
mod tests {
    use super::*;
    use crate::{
        Algorithm, ConfigError, Verification,
        keys::{self, KeySet, KeySource},
    };
    use Reason::{MalformedClaims, NotALogoutToken};
    use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
    use serde_json::json;
    use std::sync::LazyLock;

    const ISS: &str = "https://issuer.example";
    const SECRET: [u8; 32] = [7; 32];

    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Alg::EdDSA).kid("a"));

    fn set() -> KeySet {
        KeySet::from_jwks(&json!({ "keys": [KEY.public_jwk()] }).to_string()).expect("a set")
    }

    fn issuer() -> Issuer {
        Issuer::new(ISS, "api").keys(KeySource::fixed(set())).logout_client("web").logout_client("mobile")
    }

    fn verifier() -> JwtVerifier {
        JwtVerifier::new([issuer()]).expect("a verifier")
    }

    fn logout() -> TokenBuilder {
        TokenBuilder::new(&KEY, ISS, "web").logout().claim("sid", "s-1")
    }

    fn seconds(offset: i64) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
        i64::try_from(now.as_secs()).expect("before year 292 billion") + offset
    }

    fn ask(verifier: &JwtVerifier, token: &str) -> Result<LogoutToken, Reason> {
        let future = verifier.verify_logout_token(token, SystemTime::now());
        tokio_test::block_on(future).map_err(|error| error.reason())
    }

    #[test]
    fn rs_148_and_149_a_good_logout_token_says_which_session_is_over() {
        let token = ask(&verifier(), &logout().subject("ada").claim("jti", "j").sign()).expect("good");
        assert_eq!((&*token.iss, &*token.jti), (ISS, "j"));
        assert_eq!((token.sub.as_deref(), token.sid.as_deref()), (Some("ada"), Some("s-1")));
        assert!(token.iat < token.exp && token.exp < token.refused_from);
        let good = [
            ("the other client", logout().audience("mobile")),
            ("one of several", logout().audience(vec!["x", "mobile"])),
            ("only a session", logout().without("sub")),
            ("only a subject", logout().without("sid")),
            ("plain JWT", logout().header("typ", "JWT")),
            ("no typ", logout().without_header("typ")),
            ("typ with its prefix", logout().header("typ", "application/Logout+JWT")),
            ("Keycloak's claim", logout().claim("typ", "Logout")),
            ("an event with members", logout().claim("events", json!({ EVENT: { "a": 1 }, "other": 7 }))),
            ("nine minutes old", logout().claim("iat", seconds(-9 * 60))),
            ("just over, within the leeway", logout().claim("exp", seconds(-30))),
            ("no exp, as in the drafts", logout().without("exp")),
            ("no exp, nine minutes old", logout().without("exp").claim("iat", seconds(-9 * 60))),
            ("a minute ahead of us, nearly", logout().claim("iat", seconds(50))),
        ];
        for (name, token) in good {
            assert!(ask(&verifier(), &token.sign()).is_ok(), "{name}: {:?}", ask(&verifier(), &token.sign()));
        }
    }

    #[test]
    fn rs_148_to_150_one_thing_wrong_is_a_refusal() {
        let empty = MalformedClaims("sub, sid or jti is empty");
        let long = MalformedClaims("sub, sid or jti is too long");
        let no_event = |events| logout().claim("events", events);
        let table = [
            ("no iss", logout().without("iss"), Reason::UnknownIssuer),
            ("another iss", logout().issuer("https://other.example"), Reason::UnknownIssuer),
            ("no aud", logout().without("aud"), Reason::Audience),
            ("the audience of access tokens", logout().audience("api"), Reason::Audience),
            ("another client", logout().audience("web2"), Reason::Audience),
            ("no iat", logout().without("iat"), MalformedClaims("iat is missing")),
            ("iat ahead", logout().claim("iat", seconds(120)), Reason::IssuedInTheFuture),
            ("iat long ago", logout().claim("iat", seconds(-12 * 60)), Reason::TooOld),
            ("no exp, and long ago", logout().without("exp").claim("iat", seconds(-12 * 60)), Reason::TooOld),
            (
                "neither exp nor iat",
                logout().without("exp").without("iat"),
                MalformedClaims("iat is missing"),
            ),
            ("over", logout().claim("exp", seconds(-90)), Reason::Expired),
            ("not yet", logout().claim("nbf", seconds(90)), Reason::NotYetValid),
            ("no jti", logout().without("jti"), MalformedClaims("jti is missing")),
            ("an empty jti", logout().claim("jti", ""), empty),
            ("an empty sid", logout().claim("sid", ""), empty),
            ("an empty sub", logout().subject(""), empty),
            ("a long sid", logout().claim("sid", "x".repeat(1025)), long),
            ("nobody", logout().without("sub").without("sid"), MalformedClaims("sub and sid are missing")),
            (
                "a sid that is none",
                logout().without("sub").claim("sid", 7),
                MalformedClaims("sub and sid are missing"),
            ),
            ("a nonce", logout().claim("nonce", "n"), NotALogoutToken),
            ("a null nonce", logout().claim("nonce", Value::Null), NotALogoutToken),
            ("no events", logout().without("events"), NotALogoutToken),
            ("no event", no_event(json!({})), NotALogoutToken),
            (
                "another event",
                no_event(json!({ "http://schemas.openid.net/event/other": {} })),
                NotALogoutToken,
            ),
            ("an event that is no object", no_event(json!({ EVENT: true })), NotALogoutToken),
            ("a null event", no_event(json!({ EVENT: null })), NotALogoutToken),
            ("a list for an event", no_event(json!({ EVENT: [] })), NotALogoutToken),
            ("a list of events", no_event(json!([EVENT])), NotALogoutToken),
            ("a list of an object", no_event(json!([{ EVENT: {} }])), NotALogoutToken),
            ("the event as text", no_event(json!(EVENT)), NotALogoutToken),
            ("an access token by its typ", logout().header("typ", "at+jwt"), Reason::TokenType),
            ("a security event", logout().header("typ", "secevent+jwt"), Reason::TokenType),
            ("an access token", TokenBuilder::new(&KEY, ISS, "web").claim("jti", "j"), NotALogoutToken),
            ("an ID token", TokenBuilder::new(&KEY, ISS, "web").claim("nonce", "n"), NotALogoutToken),
            ("crit", logout().header("crit", json!(["exp"])), Reason::UnsupportedHeader("crit")),
            ("a stranger's key", logout().key(&SigningKey::generate(Alg::EdDSA).kid("a")), Reason::Signature),
            (
                "a secret that is none",
                logout().key(&SigningKey::hmac(Alg::HS256, &SECRET)),
                Reason::Algorithm,
            ),
        ];
        for (name, token, reason) in table {
            assert_eq!(ask(&verifier(), &token.sign()), Err(reason), "{name}");
        }
        assert_eq!(ask(&verifier(), &logout().tampered()), Err(Reason::Signature));
        assert_eq!(ask(&verifier(), &logout().unsigned()), Err(Reason::NotAJwt));
        for text in ["", "x", "a.b.c", "a.b.c.d.e"] {
            assert!(ask(&verifier(), text).is_err(), "{text}");
        }
    }

    #[test]
    fn rs_148_a_secret_signs_logout_tokens_where_the_issuer_has_one() {
        let verifier =
            JwtVerifier::new([issuer().hmac_secret(Algorithm::HS256, SECRET)]).expect("a verifier");
        let by = |secret: &[u8]| logout().key(&SigningKey::hmac(Alg::HS256, secret)).sign();
        assert!(ask(&verifier, &by(&SECRET)).is_ok());
        assert_eq!(ask(&verifier, &by(&[8; 32])), Err(Reason::Signature));
    }

    #[test]
    fn an_issuer_without_logout_client_logs_nobody_out() {
        let issuer = || Issuer::new(ISS, "web").keys(KeySource::fixed(set()));
        let verifier = JwtVerifier::new([issuer()]).expect("a verifier");
        assert_eq!(ask(&verifier, &logout().sign()), Err(Reason::Audience));
        assert_eq!(ask(&verifier, &logout().audience("").sign()), Err(Reason::Audience));
        let fault = |issuer: Issuer| JwtVerifier::new([issuer]).expect_err("a mistake").fault().clone();
        assert_eq!(fault(issuer().logout_client("")), ConfigError::EmptyAudience);
        let nameless = issuer().allow_missing_iss().logout_client("web");
        assert_eq!(fault(nameless), ConfigError::LogoutWithoutIss);
    }

    #[test]
    fn rs_150_a_logout_token_proves_nothing_at_the_gate() {
        let verifier = verifier();
        for token in [logout().audience("api"), logout().audience("api").header("typ", "JWT")] {
            match verifier.verify_token(&token.sign(), SystemTime::now()) {
                Verification::Done(result) => assert!(result.is_err()),
                Verification::Pending(_) => panic!("it waits"),
            }
        }
    }

    #[tokio::test]
    async fn a_logout_token_waits_for_its_key_and_without_keys_there_is_no_answer() {
        let (mut sink, source) = keys::channel();
        let verifier = JwtVerifier::new([Issuer::new(ISS, "api").keys(source).logout_client("web")])
            .expect("a verifier");
        let token = logout().sign();
        let asking = verifier.verify_logout_token(&token, SystemTime::now());
        let (result, ()) = tokio::time::timeout(Duration::from_secs(20), async {
            tokio::join!(asking, async {
                let miss = sink.missed().await.expect("somebody asks");
                sink.publish(set());
                drop(miss);
            })
        })
        .await
        .expect("it takes too long");
        assert!(result.is_ok());
        sink.expire();
        let without_keys = verifier.verify_logout_token(&token, SystemTime::now()).await;
        assert_eq!(without_keys.map_err(|error| error.reason()), Err(Reason::StaleKeys));
    }
}
