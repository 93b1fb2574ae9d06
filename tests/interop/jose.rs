//! Tokens by `jose`, the usual, the odd and the wrong.

use crate::{
    node,
    support::{
        app::{app, bearer},
        keys::{gate, source},
    },
};
use serde::Deserialize;
use serde_json::Value;
use tower_bearer::{Issuer, Reason};

#[derive(Deserialize)]
struct Minted {
    iss: String,
    aud: String,
    jwks: Value,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    token: String,
    /// The [`Reason`] to refuse it, or `None` for a token to accept.
    refusal: Option<String>,
    accepted_by_jose: bool,
}

#[tokio::test]
async fn tokens_by_jose_get_the_verdict_that_each_deserves() {
    let Some(Minted { iss, aud, jwks, cases }) = node::run("mint.mjs").await else { return };
    let app = app(gate(Issuer::new(iss, aud).keys(source(&jwks))));
    for Case { name, token, refusal, accepted_by_jose } in cases {
        let answer = bearer(&app, &token).await;
        match refusal {
            None => answer.assert_passed(&name),
            Some(refusal) => {
                answer.assert_invalid_token(&name);
                assert_eq!(answer.reason.map(variant), Some(refusal), "{name}");
            }
        }
        assert!(accepted_by_jose || !answer.reached(), "{name}: jose refuses what came through");
    }
}

/// The reason without its details.
fn variant(reason: Reason) -> String {
    let name = format!("{reason:?}");
    name.split('(').next().unwrap().to_owned()
}
