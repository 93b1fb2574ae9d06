//! Signatures by others, of other tokens, cut short, or of impossible numbers.

use crate::support::{
    app::{app, bearer, usual},
    forge::{b64, segments, unb64},
    keys::{AUD, ISS, gate, token, token_by},
};
use axum_bearer::{Algorithm as Ours, Issuer};
use bearer_testing::{Algorithm, SigningKey};
use tower_bearer::Reason::{Expired, NotAJwt, Signature};

#[tokio::test]
async fn cve_2022_21449_zero_and_oversized_ecdsa_values_are_refused() {
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<_> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap()).collect();
    let (zero, most) = (vec![0; 32], vec![0xff; 32]);
    let app = usual();
    let good = token().sign();
    let [header, payload, signature] = segments(&good);
    let signature = unb64(signature);
    let (r, s) = signature.split_at(32);
    let mut beyond = order.clone();
    beyond[31] += 1;
    for bad in [&zero, &order, &beyond, &most] {
        for pair in [[bad, bad], [bad, &s.to_vec()], [&r.to_vec(), bad]] {
            let token = format!("{header}.{payload}.{}", b64(pair.map(Vec::as_slice).concat()));
            bearer(&app, &token).await.assert_invalid(&token, Signature);
        }
    }
}

#[tokio::test]
async fn cve_2024_8901_cve_2025_1293_a_strangers_signature_under_our_names_is_refused() {
    let app = usual();
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::ES384] {
        let stranger = SigningKey::generate(algorithm);
        for kid in [Some("es256"), Some("rs256"), Some("other"), None] {
            let key = kid.map_or_else(|| stranger.clone().without_kid(), |kid| stranger.clone().kid(kid));
            let forged = token_by(&key).header("signer", "arn:aws:x").header("client", "c").sign();
            bearer(&app, &forged).await.assert_invalid_token(kid.unwrap_or("none"));
        }
    }
}

#[tokio::test]
async fn cve_2024_51744_a_token_with_several_faults_is_refused_for_one_and_proves_nothing() {
    let app = usual();
    let stranger = SigningKey::generate(Algorithm::ES256).kid("es256");
    for token in [token_by(&stranger).expired().sign(), token().expired().tampered()] {
        let answer = bearer(&app, &token).await;
        answer.assert_invalid("expired, and not signed by us", Expired);
        assert!(answer.verified.is_none());
    }
    bearer(&app, &token_by(&stranger).sign()).await.assert_invalid("only not signed by us", Signature);
}

#[tokio::test]
async fn ghsa_869p_cjfg_cm3x_an_hmac_by_another_secret_is_refused() {
    let secret = [7; 32];
    let app = app(gate(Issuer::new(ISS, AUD).hmac_secret(Ours::HS256, secret)));
    let by = |secret: &[u8]| token_by(&SigningKey::hmac(Algorithm::HS256, secret)).sign();
    bearer(&app, &by(&secret)).await.assert_passed("the secret");
    for other in [&[8; 32][..], &[7; 31], &[7; 33], b"\0", &[0; 32], b"null", b"undefined"] {
        bearer(&app, &by(other)).await.assert_invalid("another", Signature);
    }
    let good = by(&secret);
    let [header, payload, tag] = segments(&good);
    for len in [1, 16, 31] {
        let cut = b64(&unb64(tag)[..len]);
        bearer(&app, &format!("{header}.{payload}.{cut}")).await.assert_invalid("cut short", Signature);
    }
    bearer(&app, &format!("{header}.{payload}.")).await.assert_invalid("none", NotAJwt);
}

#[tokio::test]
async fn cve_2026_35039_what_was_verified_says_nothing_about_another_token() {
    let app = usual();
    let (ada, eve) = (token().subject("ada").sign(), token().subject("eve").sign());
    let ([header, ada_payload, ada_signature], [_, eve_payload, eve_signature]) =
        (segments(&ada), segments(&eve));
    for _ in 0..3 {
        assert_eq!(bearer(&app, &ada).await.body, "ada");
        assert_eq!(bearer(&app, &eve).await.body, "eve");
        for (payload, signature) in [(ada_payload, eve_signature), (eve_payload, ada_signature)] {
            let mixed = format!("{header}.{payload}.{signature}");
            bearer(&app, &mixed).await.assert_invalid("mixed", Signature);
        }
        let cut = &ada[..ada.len() - 4];
        bearer(&app, cut).await.assert_invalid_token("the start of a good one");
    }
}
