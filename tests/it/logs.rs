//! What whoever runs a service reads of refusals: why, of which issuer, and nothing of a token.

use crate::support::{
    app::{app, ask, bearer, guarded, reached, request},
    keys::{AUD, ISS, es256, gate, issuer, jwks, source, token},
    logs::Logs,
};
use axum::Router;
use axum_bearer::{
    Algorithm, AuthError, BearerLayer, Issuer, JwtVerifier, RequireLayer, Verified,
    policy::{Policy, claims, scope},
    revocation::{CannotTell, WhenUnsure},
};
use bearer_testing::TokenBuilder;
use serde::Deserialize;
use std::{
    future::ready,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tower_bearer::Verify;

fn keys() -> tower_bearer::keys::KeySource {
    source(&jwks(&[es256()]))
}

/// The lines of this level.
fn lines(logs: &Logs, level: &str) -> Vec<String> {
    logs.text().lines().filter(|line| line.contains(level)).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_set_up_that_fits_no_token_is_warned_about_once_and_says_what_to_look_at() {
    let slash = Issuer::new(format!("{ISS}/"), AUD).keys(keys());
    let shouted = Issuer::new(ISS.to_uppercase(), AUD).keys(keys());
    let nobody = Issuer::new("https://nobody.example", AUD).keys(keys());
    let another_audience = Issuer::new(ISS, "https://else.example").keys(keys());
    let rs256 = || issuer().algorithms([Algorithm::RS256]);
    let in_an_hour = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3600;
    let early = token().claim("nbf", in_an_hour);
    for (issuer, token, reason, hint) in [
        (slash, token(), "unknown_issuer", "in nothing but letter case or a slash at the end"),
        (shouted, token(), "unknown_issuer", "in nothing but letter case or a slash at the end"),
        (nobody, token(), "unknown_issuer", "no issuer of the set-up has the iss"),
        (another_audience, token(), "audience", "realm=\"https://else.example\""),
        (rs256(), token(), "algorithm", "`legacy_jwt_secret`"),
        (issuer(), early, "not_yet_valid", "the clock of this machine may be behind"),
    ] {
        let app = app(gate(issuer));
        let (logs, _guard) = Logs::capture();
        let token = token.sign();
        for _ in 0..9 {
            bearer(&app, &token).await.assert_invalid_token(reason);
        }
        assert_eq!(lines(&logs, " WARN "), [""; 0], "a few may be strangers");
        bearer(&app, &token).await.assert_invalid_token(reason);
        assert_eq!(lines(&logs, " WARN ").len(), 1, "the tenth");
        for _ in 0..8 {
            bearer(&app, &token).await.assert_invalid_token(reason);
        }
        let warned = lines(&logs, " WARN ");
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].contains(reason) && warned[0].contains(hint), "{warned:?}");
        assert_eq!(lines(&logs, "DEBUG").len(), 18);
        assert!(token.split('.').all(|part| !logs.text().contains(part)));
    }
}

#[tokio::test]
async fn what_is_no_jwt_is_warned_about_beside_what_does_not_fit() {
    let (logs, _guard) = Logs::capture();
    let app = app(gate(issuer().algorithms([Algorithm::RS256])));
    let encrypted = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aaaa.bbbb.cccc";
    for _ in 0..9 {
        bearer(&app, "opaque").await.assert_invalid_token("not_a_jwt");
    }
    assert_eq!(lines(&logs, " WARN "), [""; 0], "a few may be strangers");
    for _ in 0..9 {
        bearer(&app, encrypted).await.assert_invalid_token("encrypted");
    }
    let warned = lines(&logs, " WARN ");
    assert_eq!(warned.len(), 1, "the tenth of either kind: {warned:?}");
    assert!(warned[0].contains("\"encrypted\"") && warned[0].contains("ask it for a JWT"), "{warned:?}");
    for _ in 0..20 {
        bearer(&app, &token().sign()).await.assert_invalid_token("algorithm");
    }
    let warned = lines(&logs, " WARN ");
    assert!(warned.len() == 2 && warned[1].contains("`legacy_jwt_secret`"), "{warned:?}");
}

#[tokio::test]
async fn who_has_accepted_a_token_is_not_warned_about_strangers_nor_about_what_expired() {
    let fine = app(gate(issuer()));
    let of_nobody = TokenBuilder::new(es256(), "https://nobody.example", AUD).sign();
    let (logs, _guard) = Logs::capture();
    bearer(&fine, &token().sign()).await.assert_passed("the first");
    let expired = app(gate(issuer()));
    for _ in 0..20 {
        bearer(&fine, &of_nobody).await.assert_invalid_token("a stranger's");
        bearer(&expired, &token().expired().sign()).await.assert_invalid_token("expired");
    }
    assert_eq!(lines(&logs, " WARN "), [""; 0]);
    let named =
        lines(&logs, "expired").iter().filter(|line| line.contains(&format!("issuer=\"{ISS}\""))).count();
    assert_eq!(named, 20, "the issuer of a refused token is named where it is known");
}

/// Once a second for the whole process, so that another test may be the one that warned.
#[tokio::test]
async fn a_sign_in_page_behind_its_own_gate_is_warned_about() {
    let app = app(gate(issuer()).sign_in_page("/").unwrap().step_up_page("/up?more").unwrap());
    let (logs, _guard) = Logs::capture();
    let since = Instant::now();
    for (target, path) in [("/", "/"), ("/up?return_to=/", "/up")] {
        let said = format!("behind the gate that sends to it: nobody gets there path=\"{path}\"");
        let warned = || lines(&logs, " WARN ").iter().any(|line| line.contains(&said));
        while !warned() && since.elapsed() < Duration::from_secs(10) {
            let mut request = request([]);
            *request.uri_mut() = target.parse().unwrap();
            ask(&app, request).await.assert_missing(path);
        }
        assert!(warned(), "{path}");
    }
}

/// Once a second for the whole process, so that another test may be the one that warned.
#[tokio::test]
async fn a_user_without_the_claims_that_the_application_asks_for_is_no_secret_of_the_debug_log() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "what a handler would read")]
    struct Own {
        org_id: String,
    }
    let app = app(gate(issuer().claims::<Own>()));
    let (logs, _guard) = Logs::capture();
    bearer(&app, &token().claim("org_id", "o").sign()).await.assert_passed("with them");
    let since = Instant::now();
    while lines(&logs, " WARN ").is_empty() && since.elapsed() < Duration::from_secs(10) {
        bearer(&app, &token().sign()).await.assert_invalid_token("without them");
    }
    let warned = lines(&logs, " WARN ");
    assert!(warned[0].contains("claims_type") && warned[0].contains("missing field `org_id`"), "{warned:?}");
}

/// An outage, or a wrong set-up, is the same for every request.
#[tokio::test]
async fn what_every_request_would_say_does_not_fill_the_log_and_is_one_event_of_each() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "what a handler would read")]
    struct Own {
        org_id: String,
    }
    struct Other;
    let unsure = |when_unsure| {
        let down = |_: &Verified| ready(Err(CannotTell::new("the store is down")));
        app(BearerLayer::new(JwtVerifier::new([issuer()]).unwrap().revocable(down, when_unsure)))
    };
    let no_gate = Router::new().fallback(reached).layer(RequireLayer::new(scope("a")));
    for (app, status, said) in [
        (app(gate(issuer().claims::<Own>())), 401, "missing field `org_id`"),
        (no_gate, 500, "no_layer"),
        (guarded(claims(|_: &Other| true)), 500, "::Other"),
        (unsure(WhenUnsure::Refuse), 503, "the store is down"),
        (unsure(WhenUnsure::Accept), 200, "the store is down"),
    ] {
        // The first token of a verifier is not to be the first of many that are refused.
        bearer(&app, &token().claim("org_id", "o").sign()).await;
        let (logs, _guard) = Logs::capture();
        let began = Instant::now();
        for _ in 0..50 {
            assert_eq!(bearer(&app, &token().sign()).await.status, status, "{said}");
        }
        let loud = lines(&logs, " WARN ").len() + lines(&logs, "ERROR ").len();
        let seconds = usize::try_from(began.elapsed().as_secs()).unwrap();
        assert!(loud <= seconds + 2, "{said}: {loud} in {seconds} s");
        assert_eq!((lines(&logs, " tower_bearer").len(), lines(&logs, said).len()), (50, 50), "{said}");
    }
}

#[tokio::test]
async fn what_another_policy_permits_is_no_mistake_of_the_set_up() {
    struct Other;
    let app = guarded(claims(|_: &Other| true).or(|_: &Verified| Ok::<(), AuthError>(())));
    let (logs, _guard) = Logs::capture();
    bearer(&app, &token().sign()).await.assert_passed("by the other");
    assert_eq!(lines(&logs, "ERROR "), [""; 0]);
}
