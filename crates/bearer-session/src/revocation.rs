//! A sign-out here is one at the gate too.

use crate::{SignedOut, endpoint::SignOutScope};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tower_bearer::revocation::{DenyList, Full};
use tracing::error;

/// For [`on_sign_out`](crate::SessionsBuilder::on_sign_out): what is signed out here, this list of the gate
/// refuses from then on. Without it an access token that got out is good until it expires.
///
/// Signed out of one session, the tokens with its `session_id` or `sid` that were issued until then are
/// refused, for as long as the newest may live; tokens that have neither cannot be told apart, and nothing
/// happens. Tokens that come later are good: under single sign-on, the session at the issuer goes on, and whoever
/// signs in again has its `sid` once more. Signed out everywhere, all tokens of the user that were issued until
/// then are refused, for the longest that an access token of the issuer lives. A list without room says so in
/// the log, as an error.
///
/// ```
/// use axum::{Router, body::Body, http::{Request, StatusCode}, routing::get};
/// use axum_bearer::{BearerLayer, Connect as _, Issuer, Verify as _, revocation::{DenyList, WhenUnsure}};
/// use bearer_session::{
///     Keyring, Secret, Sessions, endpoint::{OnBehalf, SignOutScope, SupabaseEndpoint}, revoke_in, store::MemoryStore,
/// };
/// use std::time::Duration;
/// use tower::ServiceExt as _;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let supabase = bearer_testing::TestSupabase::start().await;
/// # supabase.add_user("ada@example.com", "correct horse");
/// # let (project_url, key) = (supabase.project_url(), "sb_publishable_1");
/// let endpoint = SupabaseEndpoint::new(project_url, key)?;
/// let list = DenyList::new(100_000);
/// let sessions = Sessions::builder(endpoint.clone(), MemoryStore::new(10_000), Keyring::random())
///     .on_sign_out(revoke_in(list.clone(), Duration::from_secs(3600)))
///     .build();
/// let verifier = Issuer::supabase(project_url)?.connect().await?.revocable(list, WhenUnsure::Refuse);
/// let app = Router::new().route("/", get(async || "hello")).layer(BearerLayer::new(verifier));
///
/// let tokens = endpoint.password("ada@example.com", &Secret::new("correct horse"), OnBehalf::default()).await?;
/// let stolen = format!("Bearer {}", tokens.access_token.expose());
/// let session = sessions.create(tokens).await?;
/// let request = || Request::get("/").header("authorization", &stolen).body(Body::empty());
/// assert_eq!(app.clone().oneshot(request()?).await?.status(), StatusCode::OK);
///
/// sessions.sign_out(&session, SignOutScope::Local, OnBehalf::default()).await?;
/// assert_eq!(app.oneshot(request()?).await?.status(), StatusCode::UNAUTHORIZED);
/// # Ok(())
/// # }
/// ```
pub fn revoke_in(list: DenyList, longest_life: Duration) -> impl Fn(&SignedOut) + Send + Sync + 'static {
    move |session| {
        if revoke(&list, longest_life, session, SystemTime::now()).is_err() {
            error!(key = ?session.key, "the deny list has no room: tokens of a session that was signed out are good until they expire");
        }
    }
}

fn revoke(list: &DenyList, longest_life: Duration, session: &SignedOut, now: SystemTime) -> Result<(), Full> {
    let iss = session.issuer.as_deref().unwrap_or_default();
    if let (SignOutScope::Global, Some(sub)) = (session.scope, &session.subject) {
        list.revoke_subject(iss, sub, whole_second(now), longest_life)?;
    }
    let (Some(id), lives) = (&session.session_id, session.access_token_lives) else { return Ok(()) };
    match session.access_token_issued_at.and_then(|iat| iat.checked_add(SECOND)) {
        // This token is meant, even if it was issued in this very second, or the issuer's clock is ahead.
        Some(after_iat) => list.revoke_session_before(iss, id, after_iat.max(whole_second(now)), lives),
        None => list.revoke_session(iss, id, lives),
    }
}

/// What dates in tokens are counted in.
const SECOND: Duration = Duration::from_secs(1);

/// An `iat` is in whole seconds: of a token that is issued right after this moment, it says less than `now`.
/// Whoever signs in again at once must not be refused for as long as that token lives.
fn whole_second(now: SystemTime) -> SystemTime {
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Key;
    use std::sync::OnceLock;
    use tower_bearer::{RegisteredClaims, Verified, revocation::Standing};

    const HOUR: Duration = Duration::from_secs(3600);

    fn signed_out(scope: SignOutScope) -> SignedOut {
        SignedOut {
            key: Key::of("session", "s"),
            scope,
            issuer: Some("i".into()),
            subject: Some("u".into()),
            session_id: Some("s".into()),
            access_token_issued_at: Some(SystemTime::now() - HOUR / 2),
            access_token_lives: HOUR / 2,
        }
    }

    fn standing(list: &DenyList, session: &str, sub: &str, iat: SystemTime, at: SystemTime) -> Standing {
        let mut claims = RegisteredClaims::default();
        claims.iss = Some("i".into());
        claims.session_id = Some(session.into());
        claims.sub = Some(sub.into());
        claims.iat = Some(iat);
        list.standing(&Verified::assertion(claims, ()).verified_at(at))
    }

    #[test]
    fn one_session_or_all_of_a_user_are_refused_for_as_long_as_their_tokens_live() {
        use Standing::{Good, Revoked};
        let now = SystemTime::now();
        let (before, after) = (now - HOUR / 2, now + HOUR / 2);
        // The list adds what the clocks of issuers may be granted.
        let leeway = Duration::from_secs(20 * 60);
        let (half, whole) = (now + HOUR / 2 + leeway, now + HOUR + leeway);
        let second = Duration::from_secs(1);
        for (scope, session, sub, iat, at, expected) in [
            (SignOutScope::Local, "s", "u", before, half - second, Revoked),
            (SignOutScope::Local, "s", "u", before, half, Good),
            (SignOutScope::Local, "s", "u", whole_second(now) - second, now, Revoked),
            (SignOutScope::Local, "s", "u", whole_second(now), now, Good),
            (SignOutScope::Local, "t", "u", before, now, Good),
            (SignOutScope::Global, "t", "u", before, whole - second, Revoked),
            (SignOutScope::Global, "t", "u", before, whole, Good),
            (SignOutScope::Global, "t", "u", after, now, Good),
            (SignOutScope::Global, "t", "u", whole_second(now), now, Good),
            (SignOutScope::Global, "t", "u", whole_second(now) - second, now, Revoked),
            (SignOutScope::Global, "t", "v", before, now, Good),
            (SignOutScope::Global, "s", "u", after, now, Good),
        ] {
            static NOW: OnceLock<SystemTime> = OnceLock::new();
            let list = DenyList::new(9).clock(|| *NOW.get().expect("set"));
            NOW.get_or_init(|| now);
            revoke(&list, HOUR, &signed_out(scope), now).expect("room");
            assert_eq!(standing(&list, session, sub, iat, at), expected, "{scope:?} {session} {sub}");
        }
        assert!(revoke(&DenyList::new(0), HOUR, &signed_out(SignOutScope::Local), now).is_err());
    }

    #[test]
    fn the_token_that_was_signed_out_is_refused_whatever_its_date_and_all_where_it_has_none() {
        use Standing::{Good, Revoked};
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        for (issued, iat, expected) in [
            (Some(whole_second(now)), whole_second(now), Revoked),
            (Some(now + HOUR), now + HOUR, Revoked),
            (Some(now + HOUR), now + HOUR + second, Good),
            (None, now + HOUR, Revoked),
        ] {
            let list = DenyList::new(9);
            let session = SignedOut { access_token_issued_at: issued, ..signed_out(SignOutScope::Local) };
            revoke(&list, HOUR, &session, now).expect("room");
            assert_eq!(standing(&list, "s", "u", iat, now), expected, "{issued:?} {iat:?}");
        }
    }

    #[test]
    fn a_token_without_a_session_id_revokes_nobody_else() {
        let list = DenyList::new(9);
        let nobody = SignedOut { session_id: None, ..signed_out(SignOutScope::Local) };
        revoke(&list, HOUR, &nobody, SystemTime::now()).expect("nothing to do");
        assert!(list.is_empty());
    }
}
