//! A public key taken for a secret, and a key used by another algorithm than its own.

use super::coordinate;
use crate::support::{
    app::{app, bearer, usual},
    forge::segments,
    keys::{AUD, ISS, es256, gate, issuer, issuer_publishing, jwks, rs256, token, token_by},
};
use axum_bearer::{Algorithm as Ours, ConfigError, Issuer, JwtVerifier};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bearer_testing::{Algorithm, SigningKey};
use serde_json::json;
use tower_bearer::{
    Reason::{self, NotAJwt, Signature},
    keys::{KeySet, KeySource, channel},
};

/// A public key in every form that somebody once took for an HMAC secret.
fn forms(key: &SigningKey) -> Vec<(&'static str, Vec<u8>)> {
    let pem = key.public_pem();
    let mut forms = vec![
        ("PEM", pem.clone().into_bytes()),
        ("PEM without its last newline", pem.trim_end().into()),
        ("PEM with CR LF", pem.replace('\n', "\r\n").into_bytes()),
        ("PEM after white space", format!(" \n\t{pem}").into_bytes()),
        ("PEM after a comment", format!("# key\n{pem}").into_bytes()),
        ("PEM under the name of PKCS #1", pem.replace("PUBLIC KEY", "RSA PUBLIC KEY").into_bytes()),
        ("PEM of a certificate", pem.replace("PUBLIC KEY", "CERTIFICATE").into_bytes()),
        ("DER", key.public_der()),
        ("base64", BASE64_STANDARD.encode(key.public_der()).into_bytes()),
        ("JWK", key.public_jwk().to_string().into_bytes()),
        ("JWK Set", jwks(&[key]).to_string().into_bytes()),
        ("kid", key.id().unwrap().into()),
    ];
    if key.algorithm() == Algorithm::ES256 {
        let point = [&[4], &*coordinate(key, "x"), &coordinate(key, "y")].concat();
        let mut blob = Vec::new();
        for part in [&b"ecdsa-sha2-nistp256"[..], b"nistp256", &point] {
            blob.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            blob.extend(part);
        }
        forms
            .push(("OpenSSH", format!("ecdsa-sha2-nistp256 {}", BASE64_STANDARD.encode(&blob)).into_bytes()));
        forms.push(("point", point));
    }
    forms
}

/// Tokens made with what is public, and under which name.
fn confusions() -> impl Iterator<Item = (String, String)> {
    [es256(), rs256()].into_iter().flat_map(|key| {
        forms(key).into_iter().flat_map(move |(form, secret)| {
            [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512].map(|algorithm| {
                let forger = SigningKey::hmac(algorithm, &secret).kid(key.id().unwrap());
                let name = format!("{} with the {form} of {}", algorithm.name(), key.id().unwrap());
                (name, token_by(&forger).sign())
            })
        })
    })
}

#[tokio::test]
async fn cve_2015_9235_mclean_2015_cve_2016_5431_cve_2016_10555_none_and_public_keys_as_secrets_are_refused()
{
    let app = usual();
    for name in ["none", "None", "nOnE", "NONE"] {
        let token = token().header("alg", name).sign();
        let [header, payload, _] = segments(&token);
        bearer(&app, &token).await.assert_invalid(name, Reason::Algorithm);
        bearer(&app, &format!("{header}.{payload}.")).await.assert_invalid(name, NotAJwt);
    }
    for (name, forged) in confusions() {
        bearer(&app, &forged).await.assert_invalid(&name, Reason::Algorithm);
    }
    // The name of an asymmetric algorithm over an HMAC.
    let forger = SigningKey::hmac(Algorithm::HS256, rs256().public_pem().as_bytes());
    let forged = token_by(&forger).header("alg", "RS256").header("kid", "rs256").sign();
    bearer(&app, &forged).await.assert_invalid("an HMAC under the name RS256", Signature);
}

#[tokio::test]
async fn cve_2017_11424_cve_2022_29217_cve_2023_48223_cve_2026_34950_ghsa_ww5h_9m49_7xx4_no_form_of_a_public_key_is_a_secret()
 {
    // Where a secret is configured, it is that secret and no other.
    let app = app(gate(issuer().hmac_secret(Ours::HS256, [7; 32])));
    for (name, forged) in confusions() {
        let answer = bearer(&app, &forged).await;
        answer.assert_invalid_token(&name);
        assert!(matches!(answer.reason, Some(Signature | Reason::Algorithm)), "{name}: {:?}", answer.reason);
    }
}

#[tokio::test]
async fn cve_2017_11424_cve_2023_48223_cve_2026_34950_ghsa_ww5h_9m49_7xx4_a_key_read_from_pem_stays_a_public_key()
 {
    for key in [es256(), rs256()] {
        let pem = key.public_pem();
        for text in [
            pem.clone(),
            pem.trim_end().to_owned(),
            format!(" \n\t{pem}"),
            format!("# ours\n{pem}"),
            format!("\u{feff}{pem}"),
            pem.replace('\n', "\r\n"),
        ] {
            let keys = KeySource::fixed(KeySet::from_pem(&text).unwrap());
            let app = app(gate(Issuer::new(ISS, AUD).keys(keys)));
            bearer(&app, &token_by(key).sign()).await.assert_passed("its own signature");
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let forged = token_by(&SigningKey::hmac(algorithm, text.as_bytes())).sign();
                bearer(&app, &forged).await.assert_invalid(&text, Reason::Algorithm);
            }
        }
        for label in ["RSA PUBLIC KEY", "EC PUBLIC KEY", "CERTIFICATE", "PRIVATE KEY"] {
            assert!(KeySet::from_pem(&pem.replace("PUBLIC KEY", label)).is_err(), "{label}");
        }
    }
}

#[tokio::test]
async fn cve_2024_33663_cve_2024_37568_cve_2026_48526_cve_2026_33322_nor_is_one_that_came_in_a_set() {
    let set = json!({ "keys": [es256().public_jwk(), rs256().public_jwk(), { "kty": "oct", "k": "AA" }] });
    let (mut sink, source) = channel();
    sink.publish(KeySet::from_jwks(&set.to_string()).unwrap());
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    for (name, forged) in confusions() {
        bearer(&app, &forged).await.assert_invalid(&name, Reason::Algorithm);
    }
    // A set cannot smuggle the confusion in by what it says of its keys.
    let mut mislabelled = rs256().public_jwk();
    mislabelled["alg"] = json!("HS256");
    let set = KeySet::from_jwks(&json!({ "keys": [mislabelled] }).to_string()).unwrap();
    assert!(set.is_empty());
}

#[tokio::test]
async fn cve_2022_23539_cve_2022_23540_cve_2022_23541_a_key_has_its_type_and_its_algorithm() {
    let app = usual();
    let missing = token().without_header("alg").sign();
    bearer(&app, &missing).await.assert_invalid("no default", Reason::MalformedHeader("alg is missing"));
    for (name, alg, kid) in [
        ("RSA as ES256", "ES256", "rs256"),
        ("EC as RS256", "RS256", "es256"),
        ("EC as ES384", "ES384", "es256"),
    ] {
        let forged = token().header("alg", alg).header("kid", kid).sign();
        bearer(&app, &forged).await.assert_invalid(name, Reason::KeyAlgorithm);
    }
    for alg in ["DSA", "RSA", "ES256K", "RS1", "dir", "A128KW"] {
        bearer(&app, &token().header("alg", alg).sign()).await.assert_invalid(alg, Reason::Algorithm);
    }
}

/// What is public in it and no key by itself, a `kid` or the bare point, looks like any other secret.
#[test]
fn cve_2017_11424_cve_2023_48223_cve_2026_34950_a_public_key_cannot_be_configured_as_a_secret() {
    for key in [es256(), rs256(), &SigningKey::generate(Algorithm::EdDSA).kid("ed")] {
        for (form, secret) in forms(key).into_iter().filter(|(form, _)| !matches!(*form, "kid" | "point")) {
            for before in ["", "\u{feff}", "# a comment\n"] {
                // Binary forms have nothing before them.
                if !before.is_empty() && !secret.is_ascii() || before.starts_with('#') && form == "base64" {
                    continue;
                }
                let secret = [before.as_bytes(), &secret].concat();
                let issuer = Issuer::new(ISS, AUD).hmac_secret(Ours::HS256, &secret);
                let error = JwtVerifier::new([issuer]).unwrap_err();
                assert_eq!(error.fault(), &ConfigError::KeyAsSecret, "{before:?} and {form}");
            }
        }
    }
}

#[tokio::test]
async fn cve_2026_22817_cve_2026_22818_a_key_without_alg_leaves_the_choice_to_the_issuers_list() {
    let mut jwk = rs256().public_jwk();
    jwk.as_object_mut().unwrap().remove("alg");
    let set = json!({ "keys": [jwk] });
    let only_rs256 = app(gate(issuer_publishing(&set).algorithms([Ours::RS256])));
    bearer(&only_rs256, &token_by(rs256()).sign()).await.assert_passed("on the list");
    for algorithm in [Algorithm::RS384, Algorithm::PS256, Algorithm::PS512] {
        let token = token_by(&rs256().with_algorithm(algorithm)).sign();
        bearer(&only_rs256, &token).await.assert_invalid("not on the list", Reason::Algorithm);
    }
    let any = app(gate(issuer_publishing(&set)));
    for (name, forged) in confusions().filter(|(name, _)| name.contains("rs256")) {
        bearer(&any, &forged).await.assert_invalid(&name, Reason::Algorithm);
    }
    let es256 = token().header("kid", "rs256").sign();
    bearer(&any, &es256).await.assert_invalid("of another kind", Reason::KeyAlgorithm);
}
