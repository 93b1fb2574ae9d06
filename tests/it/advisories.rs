//! Advisories of JWT middlewares elsewhere, each as a test of this one. The identifiers in a test's name say where
//! the mistake was made before; those about fetching keys are in `advisories_jwks`.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, guarded, reached, request, usual},
    client::{Version, exchange},
    forge::{HEADER, b64, segments, sign_segments, unb64, with_claims, with_header, with_payload},
    keys::{AUD, ISS, es256, gate, gate_of, issuer, issuer_publishing, jwks, rs256, source, token, token_by},
    logs::Logs,
    names::{sources, tests},
    server::Server,
    soon,
};
use axum::{Router, body::Body, extract::Request, routing::get};
use axum_bearer::{Algorithm as Ours, AuthUser, ConfigError, Issuer, JwtVerifier, RegisteredClaims};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bearer_testing::{Algorithm, SigningKey, sign_compact};
use http::{HeaderValue, header::AUTHORIZATION};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    io::ErrorKind,
    net::TcpListener,
    task::Poll,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower_bearer::{
    Reason::{self, Encrypted, Expired, MalformedClaims, NotAJwt, Signature, UnknownIssuer, UnknownKey},
    Verified,
    keys::{KeySet, KeySource, channel},
    policy::{aal, acr},
};

/// All that were collected; two of them have no identifier of their own.
const ALL: &[&str] = &[
    "CVE-2015-9235",
    "McLean-2015",
    "CVE-2016-5431",
    "CVE-2016-10555",
    "CVE-2017-11424",
    "CVE-2018-0114",
    "CVE-2017-12972",
    "CVE-2017-12973",
    "CVE-2017-12974",
    "CVE-2019-17195",
    "CVE-2019-12995",
    "CVE-2020-15222",
    "CVE-2020-26160",
    "CVE-2021-21378",
    "CVE-2021-34532",
    "CVE-2022-21449",
    "CVE-2022-23469",
    "CVE-2022-23539",
    "CVE-2022-23540",
    "CVE-2022-23541",
    "CVE-2022-29165",
    "CVE-2022-29217",
    "CVE-2022-39227",
    "CVE-2023-22482",
    "CVE-2024-5798",
    "CVE-2026-30223",
    "CVE-2026-55669",
    "CVE-2023-3518",
    "CVE-2023-48223",
    "CVE-2026-34950",
    "GHSA-ww5h-9m49-7xx4",
    "GHSA-8wpc-h4q6-8fxv",
    "CVE-2023-50424",
    "CVE-2023-52428",
    "CVE-2024-21319",
    "CVE-2024-28180",
    "CVE-2024-28122",
    "CVE-2024-21643",
    "CVE-2024-33663",
    "CVE-2024-37568",
    "CVE-2024-45809",
    "CVE-2024-5037",
    "CVE-2024-8901",
    "CVE-2024-51744",
    "CVE-2024-53861",
    "CVE-2025-1293",
    "CVE-2025-22149",
    "CVE-2025-22868",
    "CVE-2025-27144",
    "CVE-2025-30204",
    "CVE-2025-24976",
    "CVE-2025-30144",
    "CVE-2025-53864",
    "CVE-2025-59420",
    "GHSA-752w-5fwx-jx9f",
    "CVE-2026-35042",
    "CVE-2025-64527",
    "CVE-2025-54576",
    "CVE-2026-40575",
    "CVE-2026-41059",
    "CVE-2026-34457",
    "CVE-2025-64484",
    "GHSA-869p-cjfg-cm3x",
    "CVE-2026-22817",
    "CVE-2026-22818",
    "CVE-2026-22748",
    "CVE-2026-25537",
    "CVE-2026-27962",
    "CVE-2026-29000",
    "CVE-2026-31837",
    "CVE-2026-41413",
    "CVE-2026-32301",
    "CVE-2026-49478",
    "CVE-2026-49998",
    "CVE-2026-50149",
    "CVE-2026-33322",
    "CVE-2026-35039",
    "CVE-2026-48524",
    "CVE-2026-48526",
    "CVE-2026-42576",
    "CVE-2026-44883",
    "CVE-2026-41164",
    "GHSA-wxg7-w2v3-w38g",
    "GHSA-hp74-gm6m-2qm5",
    "GHSA-q926-c743-49qj",
    "CVE-2026-26998",
    "GHSA-mj35-2rgf-cv8p",
    "auth0-1-9-1",
];

/// Those that do not apply, and why.
const NOT_APPLICABLE: &[(&str, &str)] = &[
    ("CVE-2020-15222", "replay of a client assertion at a token endpoint: this is a resource server"),
    ("GHSA-q926-c743-49qj", "a flag that skips verification: there is none to test"),
];

#[test]
fn every_advisory_has_a_test_that_names_it_or_a_reason_why_not() {
    let files = sources("tests/it");
    let files = files.iter().filter(|(path, _)| path.contains("advisories"));
    let names: Vec<_> = files.flat_map(|(_, text)| tests(text)).collect();
    let snake = |id: &str| id.to_lowercase().replace('-', "_");
    let is_named =
        |id: &str| names.iter().any(|name| format!("{name}_").contains(&format!("{}_", snake(id))));
    for id in ALL {
        let explained = NOT_APPLICABLE.iter().any(|(known, _)| known == id);
        assert!(is_named(id) != explained, "{id}: neither tested nor explained, or both");
    }
    for (id, _) in NOT_APPLICABLE {
        assert!(ALL.contains(id), "{id}");
    }
    assert_eq!(ALL.len(), 88);
}

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

fn coordinate(key: &SigningKey, name: &str) -> Vec<u8> {
    unb64(key.public_jwk()[name].as_str().unwrap())
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
async fn cve_2018_0114_cve_2025_24976_cve_2026_27962_a_key_in_the_header_is_not_trusted() {
    let own = SigningKey::generate(Algorithm::ES256);
    let brought =
        || token_by(&own).header("jwk", own.public_jwk()).header("x5c", json!([b64(own.public_der())]));
    let (mut sink, source) = channel();
    let (empty, full) = (app(gate(Issuer::new(ISS, AUD).keys(source))), usual());
    // A set without keys is not a reason to look for one in the token.
    sink.publish(KeySet::default());
    let answering = tokio::spawn(async move { while sink.missed().await.is_some() {} });
    for app in [&empty, &full] {
        bearer(app, &brought().sign()).await.assert_invalid("its own kid", UnknownKey);
        soon(bearer(app, &brought().without_header("kid").sign())).await.assert_invalid_token("no kid");
    }
    bearer(&full, &brought().header("kid", "es256").sign()).await.assert_invalid("our kid", Signature);
    drop((empty, full));
    soon(answering).await.unwrap();
}

#[tokio::test]
async fn cve_2024_21643_nothing_in_a_header_causes_a_connection() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", canary.local_addr().unwrap());
    let app = usual();
    for name in ["jku", "x5u", "iss", "kid", "jwks_uri", "url"] {
        bearer(&app, &token_by(&SigningKey::generate(Algorithm::ES256)).header(name, &*url).sign())
            .await
            .assert_invalid_token(name);
        bearer(&app, &token().claim(name, &*url).claim("jku", &*url).tampered())
            .await
            .assert_invalid_token(name);
    }
    assert_eq!(canary.accept().map(|_| ()).unwrap_err().kind(), ErrorKind::WouldBlock);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cve_2017_12972_cve_2017_12973_cve_2017_12974_cve_2019_17195_cve_2019_12995_no_token_panics_or_passes(
        at in any::<prop::sample::Index>(),
        byte in "[A-Za-z0-9._-]",
        header in prop::collection::vec(any::<u8>(), 0..40),
        payload in "[\\[\\]{}:,\"a-z0-9]{0,40}",
        signature in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let app = usual();
        let refused = |token: &str| {
            let answer = runtime.block_on(bearer(&app, token));
            prop_assert!(!answer.reached() && matches!(answer.status, 400 | 401), "{token}: {answer:?}");
            Ok(())
        };
        // One character changed, put in, left out; cut short.
        let good = token().sign();
        let at = at.index(good.len());
        let changed = format!("{}{byte}{}", &good[..at], &good[at + 1..]);
        if changed != good {
            refused(&changed)?;
        }
        refused(&format!("{}{byte}{}", &good[..at], &good[at..]))?;
        refused(&good[..at])?;
        refused(&good[at..]).or_else(|error| if at == 0 { Ok(()) } else { Err(error) })?;
        // Segments of nonsense, well signed.
        refused(&sign_segments(es256(), &b64(&header), &b64(&payload)))?;
        refused(&sign_compact(es256(), HEADER, &payload))?;
        let [head, body, _] = segments(&good);
        refused(&format!("{head}.{body}.{}", b64(&signature)))?;
    }
}

#[tokio::test]
async fn cve_2017_12974_a_point_that_is_not_on_the_curve_makes_no_key() {
    let mut jwk = es256().public_jwk();
    let mut y = coordinate(es256(), "y");
    y[31] ^= 1;
    jwk["y"] = json!(b64(y));
    let app = app(gate(issuer_publishing(&json!({ "keys": [jwk, rs256().public_jwk()] }))));
    bearer(&app, &token().sign()).await.assert_invalid("an invalid curve", UnknownKey);
}

#[tokio::test]
async fn cve_2020_26160_an_audience_of_another_type_matches_nothing() {
    let app = usual();
    for aud in [json!([]), json!([""]), json!(""), json!(["x", "y"])] {
        bearer(&app, &token().audience(aud.clone()).sign())
            .await
            .assert_invalid(&aud.to_string(), Reason::Audience);
    }
    for aud in [json!(null), json!(0), json!(false), json!({}), json!([[AUD]]), json!([AUD, null])] {
        bearer(&app, &token().audience(aud.clone()).sign()).await.assert_invalid_token(&aud.to_string());
    }
    bearer(&app, &token().audience(vec!["x", AUD]).sign()).await.assert_passed("a list with ours in it");
}

#[tokio::test]
async fn cve_2021_21378_cve_2022_29165_where_anonymous_callers_pass_a_bad_token_does_not() {
    async fn maybe(request: Request) -> String {
        let verified = request.extensions().get::<Verified>();
        verified.and_then(Verified::subject).unwrap_or("nobody").to_owned()
    }
    let app = Router::new().fallback(maybe).layer(gate(issuer()).allow_anonymous());
    assert_eq!(ask(&app, request([])).await.body, "nobody");
    for (name, token) in [
        ("another issuer", token().issuer("https://evil.example").sign()),
        ("no issuer", token().without("iss").sign()),
        ("expired", token().expired().sign()),
        ("tampered", token().tampered()),
        ("unsigned", token().unsigned()),
        ("another audience", token().audience("x").sign()),
        ("nonsense", "a.b.c".to_owned()),
    ] {
        let answer = bearer(&app, &token).await;
        answer.assert_invalid_token(name);
        assert_eq!(answer.body, "", "{name}");
    }
    // Another scheme is no bearer token: anonymous, and the claims inside are not read.
    let basic = format!("Basic {}", token().sign());
    assert_eq!(ask(&app, request([basic.as_bytes()])).await.body, "nobody");
}

#[tokio::test]
async fn cve_2021_34532_cve_2022_23469_the_token_is_neither_logged_nor_printed() {
    let (logs, _guard) = Logs::capture();
    let app = Router::new().fallback(async |request: Request| format!("{request:?}")).layer(gate(issuer()));
    let tokens = [token().sign(), token().tampered(), token().expired().sign(), "s3cret".to_owned()];
    for token in &tokens {
        let printed = bearer(&app, token).await.body;
        let last = token.rsplit('.').next().unwrap();
        assert!(!printed.contains(last) && !logs.text().contains(last), "{printed}");
    }
    assert_eq!(logs.text().matches("request refused").count(), 3);
}

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

#[tokio::test]
async fn cve_2022_39227_one_parser_and_no_json_serialization() {
    let app = usual();
    let good = token().sign();
    let [header, payload, signature] = segments(&good);
    let forged = b64(token().subject("eve").payload());
    let json = format!(
        r#"{{"{header}.":".{forged}.","protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#
    );
    ask(&app, request([format!("Bearer {json}").as_bytes()]))
        .await
        .assert_malformed("two serializations in one");
    let flat = json!({ "protected": header, "payload": payload, "signature": signature }).to_string();
    ask(&app, request([format!("Bearer {flat}").as_bytes()])).await.assert_malformed("flattened");
    bearer(&app, &b64(&flat)).await.assert_invalid("in base64url", NotAJwt);
}

#[tokio::test]
async fn cve_2023_22482_cve_2024_5798_cve_2026_30223_cve_2026_55669_the_audience_is_asked_for_in_every_key_mode()
 {
    let secret = SigningKey::hmac(Algorithm::HS256, &[7; 32]);
    let (mut sink, published) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let named = || Issuer::new(ISS, AUD);
    let modes = [
        ("fixed keys", issuer(), es256()),
        ("published keys", named().keys(published), es256()),
        ("a secret", named().hmac_secret(Ours::HS256, [7; 32]), &secret),
        ("a secret beside keys", issuer().hmac_secret(Ours::HS256, [7; 32]), &secret),
        ("keys beside a secret", issuer().hmac_secret(Ours::HS256, [7; 32]), es256()),
        ("without iss", issuer().allow_missing_iss(), es256()),
    ];
    for (name, issuer, key) in modes {
        let app = app(gate(issuer));
        bearer(&app, &token_by(key).sign()).await.assert_passed(name);
        bearer(&app, &token_by(key).without("aud").sign()).await.assert_invalid(name, Reason::Audience);
        bearer(&app, &token_by(key).audience("https://x").sign())
            .await
            .assert_invalid(name, Reason::Audience);
        let nameless = token_by(key).without("iss").without("aud").sign();
        bearer(&app, &nameless).await.assert_invalid_token(name);
    }
}

#[derive(Deserialize)]
struct OfA {
    #[serde(rename = "sub")]
    a: String,
}

#[derive(Deserialize)]
struct OfB {
    #[serde(rename = "sub")]
    b: String,
}

#[tokio::test]
async fn cve_2023_3518_cve_2026_49998_provider_key_and_claims_are_of_one_issuer() {
    let (a, b) =
        (SigningKey::generate(Algorithm::ES256).kid("k"), SigningKey::generate(Algorithm::ES256).kid("k"));
    let named = |iss: &str, key| Issuer::new(iss, AUD).keys(source(&jwks(&[key])));
    let app = app(gate_of([named("https://a", &a).claims::<OfA>(), named("https://b", &b).claims::<OfB>()]));
    // Again and again, so that whatever was remembered of one could be used for the other.
    for _ in 0..3 {
        let verified = bearer(&app, &token_by(&a).issuer("https://a").sign()).await.verified.unwrap();
        assert_eq!(verified.registered().iss.as_deref(), Some("https://a"));
        assert_eq!(verified.claims::<OfA>().unwrap().a, "test-user");
        assert!(verified.claims::<OfB>().is_none());
        let verified = bearer(&app, &token_by(&b).issuer("https://b").sign()).await.verified.unwrap();
        assert_eq!(verified.claims::<OfB>().unwrap().b, "test-user");
        bearer(&app, &token_by(&a).issuer("https://b").sign()).await.assert_invalid("A as B", Signature);
        bearer(&app, &token_by(&b).issuer("https://a").sign()).await.assert_invalid("B as A", Signature);
    }
}

#[test]
fn ghsa_8wpc_h4q6_8fxv_a_verifier_without_a_key_cannot_be_built() {
    let refused = |issuer| JwtVerifier::new([issuer]).unwrap_err();
    assert_eq!(refused(Issuer::new(ISS, AUD)), ConfigError::NoKeys(ISS.to_owned()));
    let empty = Issuer::new(ISS, AUD).keys(source(&json!({ "keys": [] })));
    assert_eq!(refused(empty), ConfigError::NoKeys(ISS.to_owned()));
    let only_odd = Issuer::new(ISS, AUD).keys(source(&json!({ "keys": [{ "kty": "oct", "k": "AA" }] })));
    assert_eq!(refused(only_odd), ConfigError::NoKeys(ISS.to_owned()));
    let secret = Issuer::new(ISS, AUD).hmac_secret(Ours::HS256, "");
    assert_eq!(refused(secret), ConfigError::ShortSecret { algorithm: Ours::HS256, least: 32 });
}

#[tokio::test]
async fn cve_2023_50424_ghsa_mj35_2rgf_cv8p_an_unknown_issuer_costs_no_question_and_leaves_nothing_behind() {
    let (mut sink, source) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let stranger = SigningKey::generate(Algorithm::ES256);
    for number in 0..500 {
        let token = token_by(&stranger).issuer(&format!("https://issuer-{number}.example")).sign();
        bearer(&app, &token).await.assert_invalid("nobody we know", UnknownIssuer);
        // What can be refused without a key asks for none either.
        bearer(&app, &token_by(&stranger).expired().sign()).await.assert_invalid("expired", Expired);
        bearer(&app, &token_by(&stranger).audience("x").sign())
            .await
            .assert_invalid("not for us", Reason::Audience);
    }
    let mut question = tokio_test::task::spawn(sink.missed());
    assert!(matches!(question.poll(), Poll::Pending), "somebody asked for a key");
}

#[tokio::test]
async fn cve_2023_52428_cve_2024_21319_cve_2024_28180_cve_2024_28122_cve_2026_29000_encrypted_and_compressed_tokens_are_refused_before_any_work()
 {
    let app = usual();
    let jwe = |header: Value, inner: &str| format!("{}.AA.AA.{}.AA", b64(header.to_string()), b64(inner));
    let plain = token().unsigned();
    for (name, token, reason) in [
        (
            "PBES2",
            jwe(json!({ "alg": "PBES2-HS256+A128KW", "p2c": 2_147_483_647, "enc": "A128GCM" }), "x"),
            Encrypted,
        ),
        ("compressed", jwe(json!({ "alg": "dir", "enc": "A128GCM", "zip": "DEF" }), "x"), Encrypted),
        (
            "a plain JWT inside",
            jwe(json!({ "alg": "RSA-OAEP", "enc": "A256GCM", "cty": "JWT" }), &plain),
            Encrypted,
        ),
        (
            "three segments of PBES2",
            token().header("alg", "PBES2-HS256+A128KW").header("p2c", 1 << 30).sign(),
            Reason::Algorithm,
        ),
        ("three segments, compressed", token().header("zip", "DEF").sign(), Reason::UnsupportedHeader("zip")),
    ] {
        bearer(&app, &token).await.assert_invalid(name, reason);
    }
}

#[tokio::test]
async fn cve_2024_45809_a_request_that_waits_for_a_key_may_go_away() {
    let (mut sink, source) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let late = SigningKey::generate(Algorithm::ES256).kid("late");
    let token = token_by(&late).sign();
    let mut gone = tokio_test::task::spawn(Box::pin(bearer(&app, &token)));
    assert!(gone.poll().is_pending());
    let mut stays = tokio_test::task::spawn(Box::pin(bearer(&app, &token)));
    assert!(stays.poll().is_pending());
    drop(gone);
    let (first, second) = (soon(sink.missed()).await.unwrap(), soon(sink.missed()).await.unwrap());
    sink.publish(KeySet::from_jwks(&jwks(&[es256(), &late]).to_string()).unwrap());
    drop((first, second));
    assert!(stays.is_woken());
    soon(stays).await.assert_passed("the one that stayed");
}

#[tokio::test]
async fn cve_2024_5037_cve_2024_53861_cve_2025_30144_iss_is_one_string_and_exactly_ours() {
    let app = usual();
    for iss in [
        "",
        "h",
        "https://issuer.exampl",
        "ttps://issuer.example",
        "https://issuer.example.",
        "issuer",
        "https://issuer.example/x",
        "https://issuer.example#",
        "https://xissuer.example",
    ] {
        bearer(&app, &token().issuer(iss).sign()).await.assert_invalid(iss, UnknownIssuer);
    }
    for iss in [json!([ISS]), json!([ISS, "https://evil.example"]), json!({ "0": ISS }), json!(null)] {
        let reason = MalformedClaims("iss is not a string");
        bearer(&app, &token().claim("iss", iss.clone()).sign())
            .await
            .assert_invalid(&iss.to_string(), reason);
    }
    bearer(&app, &token().without("iss").sign()).await.assert_invalid("absent", UnknownIssuer);
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
async fn cve_2025_22149_a_key_that_is_published_no_more_verifies_no_more() {
    let (mut sink, source) = channel();
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let answering = |sink: &mut tower_bearer::keys::KeySink, keys: &[&SigningKey]| {
        sink.publish(KeySet::from_jwks(&jwks(keys).to_string()).unwrap());
    };
    answering(&mut sink, &[es256(), rs256()]);
    bearer(&app, &token().sign()).await.assert_passed("published");
    answering(&mut sink, &[rs256()]);
    let revoked = token().sign();
    let mut waiting = tokio_test::task::spawn(Box::pin(bearer(&app, &revoked)));
    assert!(waiting.poll().is_pending(), "it is asked for, as any unknown key");
    drop(soon(sink.missed()).await.unwrap());
    soon(waiting).await.assert_invalid("removed", UnknownKey);
    bearer(&app, &token_by(rs256()).sign()).await.assert_passed("the other one");
}

#[tokio::test]
async fn cve_2025_22868_cve_2025_27144_cve_2025_30204_a_megabyte_of_dots_is_as_cheap_as_four() {
    let app = app(gate(issuer()).limit(2 << 20));
    for dots in [3, 5, 6, 1 << 20] {
        bearer(&app, &".".repeat(dots)).await.assert_invalid("dots", NotAJwt);
        bearer(&app, &"a.".repeat(dots)).await.assert_invalid_token("dots between");
    }
    bearer(&usual(), &".".repeat(1 << 20)).await.assert_malformed("not even looked at by default");
}

#[tokio::test]
async fn cve_2025_53864_deep_nesting_is_refused_wherever_it_is() {
    let app = app(gate(issuer()).limit(4 << 20));
    for depth in [65, 1_000, 100_000] {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let deep = async |name| bearer(&app, &with_claims(&format!("\"{name}\":{open}{close}"))).await;
        for name in ["x", "scope", "scp", "role", "cnf", "jti"] {
            deep(name).await.assert_invalid(name, MalformedClaims("nested too deeply"));
        }
        // What is no number is not even read.
        deep("nbf").await.assert_invalid("nbf", MalformedClaims("nbf is not a date in seconds"));
        let header = HEADER.replace('}', &format!(",\"x\":{open}{close}}}"));
        bearer(&app, &with_header(&header)).await.assert_invalid_token("in the header");
        bearer(&app, &with_payload(&open)).await.assert_invalid_token("all of it");
        bearer(&app, &with_payload(&"{\"a\":".repeat(depth))).await.assert_invalid_token("objects");
    }
}

#[tokio::test]
async fn cve_2025_59420_ghsa_752w_5fwx_jx9f_cve_2026_35042_a_critical_extension_is_refused() {
    let app = usual();
    for (crit, extension) in [
        (json!(["bork"]), json!({ "bork": 1 })),
        (json!(["b64"]), json!({ "b64": false })),
        (json!(["exp"]), json!({ "exp": 1 })),
        (json!(["http://example.com/x", "cnf"]), json!({ "http://example.com/x": true, "cnf": {} })),
        (json!([]), json!({})),
        (json!("bork"), json!({})),
        (json!(null), json!({})),
    ] {
        let mut token = token().header("crit", crit.clone());
        for (name, value) in extension.as_object().unwrap() {
            token = token.header(name, value.clone());
        }
        bearer(&app, &token.sign()).await.assert_invalid_token(&crit.to_string());
    }
}

/// As a service is put together that has an open route beside those behind the gate.
fn with_open_route() -> Router {
    Router::new()
        .route("/me", get(reached))
        .route("/me/{*rest}", get(reached))
        .fallback(reached)
        .layer(gate(issuer()))
        .route("/health", get(async || "healthy"))
}

#[tokio::test]
async fn cve_2025_54576_cve_2026_40575_cve_2026_41059_cve_2026_34457_only_the_matched_route_decides_what_is_open()
 {
    let app = with_open_route();
    let at = async |path: &str, headers: &[(&'static str, &str)]| -> Answer {
        let mut request = request([]);
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        ask(&app, request).await
    };
    assert_eq!(at("/health", &[]).await.body, "healthy");
    for path in [
        "/me?/health",
        "/me?path=/health",
        "/me;/health",
        "/me%2f..%2fhealth",
        "/me/../health",
        "//health",
        "/health/",
        "/health/../me",
        "/Health",
        "/health%00",
        "/./health",
        "/me%3f/health",
        "/me%23/health",
        "http://x@evil.example/me",
    ] {
        at(path, &[]).await.assert_missing(path);
    }
    for (name, value) in [
        ("x-forwarded-uri", "/health"),
        ("x-original-url", "/health"),
        ("x-rewrite-url", "/health"),
        ("x-original-uri", "/health"),
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "GoogleHC/1.0"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-http-method-override", "OPTIONS"),
    ] {
        at("/me", &[(name, value)]).await.assert_missing(&format!("{name}: {value}"));
    }
    let server = Server::start(with_open_route()).await;
    let fragment = b"GET /me#/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = exchange(server.address, fragment).await;
    assert!(!answer.reached() && matches!(answer.status, 400 | 401), "{answer:?}");
}

#[tokio::test]
async fn cve_2025_64484_claims_reach_the_service_by_extensions_and_no_header_imitates_them() {
    async fn echo(request: Request) -> String {
        let mut names: Vec<_> = request.headers().keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let verified = request.extensions().get::<Verified>();
        format!("{names:?} {:?}", verified.and_then(Verified::subject))
    }
    let app = Router::new().fallback(echo).layer(gate(issuer()).allow_anonymous());
    let smuggled = || {
        let mut request = request([]);
        for name in ["x-user", "x_user", "x-forwarded-user", "x_forwarded_user", "verified", "sub"] {
            request.headers_mut().insert(name, HeaderValue::from_static("admin"));
        }
        request
    };
    let sent = r#""sub", "verified", "x-forwarded-user", "x-user", "x_forwarded_user", "x_user"]"#;
    assert_eq!(ask(&app, smuggled()).await.body, format!("[{sent} None"));
    let mut with_token = smuggled();
    with_token.headers_mut().insert(AUTHORIZATION, format!("Bearer {}", token().sign()).parse().unwrap());
    assert_eq!(ask(&app, with_token).await.body, format!(r#"["authorization", {sent} Some("test-user")"#));
    let mut underscore = request([]);
    underscore.headers_mut().insert("author_ization", format!("Bearer {}", token().sign()).parse().unwrap());
    assert!(ask(&app, underscore).await.body.ends_with("None"));
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
                let error = JwtVerifier::new([issuer]).err();
                assert_eq!(error, Some(ConfigError::KeyAsSecret), "{before:?} and {form}");
            }
        }
    }
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

#[tokio::test]
async fn cve_2026_25537_a_claim_of_the_wrong_type_is_not_an_absent_one() {
    let app = usual();
    let values = [
        json!(null),
        json!(true),
        json!("4000000000"),
        json!("x"),
        json!([]),
        json!([4_000_000_000_u64]),
        json!({}),
        json!(4_000_000_000_u64),
        json!(-1),
        json!(1e300),
    ];
    for name in ["exp", "nbf", "iat", "iss", "sub", "aud", "jti", "client_id", "azp"] {
        let mut passed = Vec::new();
        for value in &values {
            let answer = bearer(&app, &token().claim(name, value.clone()).sign()).await;
            if answer.reached() {
                passed.push(value.clone());
            } else {
                answer.assert_invalid_token(&format!("{name}: {value}"));
            }
        }
        let expected = match name {
            "exp" => vec![json!(4_000_000_000_u64)],
            "nbf" | "iat" | "iss" | "aud" => vec![],
            _ => vec![json!("4000000000"), json!("x")],
        };
        assert_eq!(passed, expected, "{name}");
    }
}

#[tokio::test]
async fn cve_2026_31837_without_keys_there_is_no_other_key() {
    let (sink, source) = channel();
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    drop(sink);
    for key in [es256(), rs256()] {
        let answer = bearer(&app, &token_by(key).sign()).await;
        assert_eq!((answer.status, answer.reason, answer.reached()), (503, Some(Reason::NoKeys), false));
    }
    bearer(&app, &token().unsigned()).await.assert_invalid("unsigned", NotAJwt);
}

#[tokio::test]
async fn cve_2026_50149_auth0_1_9_1_no_host_is_a_way_around_the_gate() {
    let server = Server::start(usual()).await;
    for host in [
        "x",
        "",
        "localhost",
        "other.example:443",
        "[::1]",
        "a b",
        "a,b",
        "a@b",
        "%00",
        "evil\u{e9}",
        "http://x",
    ] {
        for version in ["1.0", "1.1"] {
            let head = format!("GET / HTTP/{version}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            let answer = exchange(server.address, head.as_bytes()).await;
            assert!(!answer.reached() && matches!(answer.status, 400 | 401), "{host:?}: {answer:?}");
        }
    }
    for head in
        ["GET / HTTP/1.0\r\n\r\n", "GET http://other/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
    {
        exchange(server.address, head.as_bytes()).await.assert_missing(head);
    }
    for version in Version::ALL {
        version
            .ask(server.address, "GET", "/", &[("X-Forwarded-Host", b"x")])
            .await
            .assert_missing("forwarded");
    }
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

#[tokio::test]
async fn cve_2026_42576_a_set_of_all_kinds_of_keys_is_read_without_a_panic() {
    let set = json!({ "keys": [
        { "kty": "EC", "crv": "P-256" }, { "kty": "OKP" }, { "kty": "oct" }, { "kty": "AKP" }, { "kty": "RSA", "n": "", "e": "" },
        { "kty": "RSA" }, { "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }, null, [], rs256().public_jwk(), es256().public_jwk(),
    ] });
    let app = app(gate(issuer_publishing(&set)));
    bearer(&app, &token().sign()).await.assert_passed("EC");
    bearer(&app, &token_by(rs256()).sign()).await.assert_passed("RSA");
}

#[tokio::test]
async fn cve_2026_44883_a_token_in_the_query_is_not_read() {
    let app = usual();
    for name in ["access_token", "token", "jwt", "authorization", "Authorization"] {
        let uri = format!("/?{name}={}&{name}=Bearer%20x", token().sign());
        ask(&app, http::Request::get(uri).body(Body::empty()).unwrap()).await.assert_missing(name);
    }
}

#[tokio::test]
async fn cve_2026_41164_another_kind_of_token_is_no_access_token() {
    let app = usual();
    for typ in [
        "vp+jwt",
        "vc+jwt",
        "vc+ld+jwt",
        "openid4vci-proof+jwt",
        "client-authentication+jwt",
        "dpop+jwt",
        "id_token+jwt",
    ] {
        bearer(&app, &token().header("typ", typ).sign()).await.assert_invalid(typ, Reason::TokenType);
    }
}

#[tokio::test]
async fn ghsa_wxg7_w2v3_w38g_dates_are_checked() {
    let app = usual();
    bearer(&app, &token().without("exp").sign())
        .await
        .assert_invalid("no exp", MalformedClaims("exp is missing"));
    bearer(&app, &token().expired().sign()).await.assert_invalid("exp", Expired);
    let future = token().claim("iat", 4_000_000_000_u64).claim("exp", 4_000_000_001_u64).sign();
    bearer(&app, &future).await.assert_invalid("iat", Reason::IssuedInTheFuture);
    let early = token().claim("nbf", 4_000_000_000_u64).claim("exp", 4_000_000_001_u64).sign();
    bearer(&app, &early).await.assert_invalid("nbf", Reason::NotYetValid);
}

/// What the extractor hands over is what was verified, also here.
#[tokio::test]
async fn an_extractor_sees_nothing_of_a_token_that_was_refused() {
    async fn me(user: Option<AuthUser<RegisteredClaims>>) -> String {
        format!("{:?}", user.map(|user| user.sub.clone()))
    }
    let app = Router::new().route("/", get(me)).layer(gate(issuer()).allow_anonymous());
    assert_eq!(ask(&app, request([])).await.body, "None");
    bearer(&app, &token().tampered()).await.assert_invalid("tampered", Signature);
}

#[tokio::test]
async fn ghsa_hp74_gm6m_2qm5_a_recent_sign_in_of_another_kind_does_not_renew_an_old_factor() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed_in = |factor: u64, password: u64| {
        let amr = json!([
            { "method": "password", "timestamp": password },
            { "method": "totp", "timestamp": factor },
        ]);
        token().claims(json!({ "aal": "aal2", "auth_time": password, "amr": amr })).sign()
    };
    let app = guarded(aal("aal2").max_age(Duration::from_secs(300)));
    bearer(&app, &signed_in(now - 60, now - 900)).await.assert_passed("a recent factor");
    let refused = bearer(&app, &signed_in(now - 900, now)).await;
    assert_eq!(refused.code().as_deref(), Some("insufficient_user_authentication"));
    assert!(!refused.reached());

    // Strong and recent, or it is not enough.
    let app = guarded(acr("gold").max_age(Duration::from_secs(300)));
    for (claims, enough) in [
        (json!({ "acr": "gold", "auth_time": now - 60 }), true),
        (json!({ "acr": "gold", "auth_time": now - 900 }), false),
        (json!({ "acr": "gold" }), false),
        (json!({ "acr": "lead", "auth_time": now - 60 }), false),
        (json!({ "auth_time": now - 60 }), false),
    ] {
        let answer = bearer(&app, &token().claims(claims.clone()).sign()).await;
        assert_eq!(answer.reached(), enough, "{claims}");
    }
}
