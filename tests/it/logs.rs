//! What whoever runs a service reads of refusals: why, of which issuer, and nothing of a token.

use crate::support::{
    app::{app, bearer},
    keys::{AUD, ISS, es256, gate, issuer, jwks, source, token},
    logs::Logs,
};
use axum_bearer::Issuer;
use bearer_testing::TokenBuilder;

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
    let another_audience = Issuer::new(ISS, "https://else.example").keys(keys());
    for (issuer, reason, hint) in [
        (slash, "unknown_issuer", "in nothing but a slash at the end"),
        (another_audience, "audience", "realm=\"https://else.example\""),
    ] {
        let app = app(gate(issuer));
        let (logs, _guard) = Logs::capture();
        let token = token().sign();
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
