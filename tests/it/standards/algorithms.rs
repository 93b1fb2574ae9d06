//! RS-059 to RS-082: algorithms and keys.

use crate::support::{
    app::{app, bearer, usual},
    forge::{HEADER, b64, segments, sign_segments, unb64, with_header},
    keys::{
        AUD, ISS, es256, gate, gate_of, issuer, issuer_publishing, issuer_with, jwks, rs256, source, token,
        token_by,
    },
};
use axum::Router;
use axum_bearer::{Algorithm as Ours, ConfigError, Issuer, JwtVerifier};
use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
use serde_json::{Value, json};
use std::{io::ErrorKind, net::TcpListener, sync::LazyLock};
use tower_bearer::{
    Reason::{self, KeyAlgorithm, MalformedHeader, NotAJwt, Signature, UnknownKey},
    keys::{KeySet, SkipReason, channel},
};

/// One key of every asymmetric kind, with its own `kid`.
fn all_keys() -> &'static [SigningKey] {
    static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
        let make = |algorithm: &Algorithm| {
            let key = if algorithm.name().starts_with(['R', 'P']) {
                rs256().with_algorithm(*algorithm)
            } else {
                SigningKey::generate(*algorithm)
            };
            key.kid(algorithm.name())
        };
        Algorithm::ASYMMETRIC.iter().map(make).collect()
    });
    &KEYS
}

fn key(algorithm: Algorithm) -> &'static SigningKey {
    all_keys().iter().find(|key| key.algorithm() == algorithm).unwrap()
}

fn trusting_all() -> Issuer {
    issuer_with(&all_keys().iter().collect::<Vec<_>>())
}

/// An app that trusts one published key, changed in this way.
fn publishing(key: &SigningKey, changes: Value) -> Router {
    let mut jwk = key.public_jwk();
    let Value::Object(changes) = changes else { panic!("changes are members") };
    jwk.as_object_mut().unwrap().extend(changes);
    // A second key, so that the set is not empty where the first is skipped.
    app(gate(issuer_publishing(&json!({ "keys": [jwk, spare().public_jwk()] }))))
}

fn spare() -> &'static SigningKey {
    static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::EdDSA).kid("spare"));
    &KEY
}

#[tokio::test]
async fn rs_059_none_is_refused_in_any_spelling_with_and_without_a_signature() {
    let app = app(gate(issuer().hmac_secret(Ours::HS256, [7; 32])));
    for name in ["none", "None", "NONE", "nOnE", "noNE", "none ", " none", "", "null", "NoNe\u{0}"] {
        let forged = token().header("alg", name);
        bearer(&app, &forged.sign()).await.assert_invalid(name, Reason::Algorithm);
        let signed = forged.sign();
        let [header, payload, _] = segments(&signed);
        bearer(&app, &format!("{header}.{payload}.")).await.assert_invalid(name, NotAJwt);
        bearer(&app, &format!("{header}.{payload}.AA")).await.assert_invalid(name, Reason::Algorithm);
        bearer(&app, &format!("{header}.{payload}")).await.assert_invalid(name, NotAJwt);
    }
    let missing = token().without_header("alg").sign();
    bearer(&app, &missing).await.assert_invalid("no alg", MalformedHeader("alg is missing"));
}

#[tokio::test]
async fn rs_060_082_nothing_outside_the_allow_list_is_used_even_if_it_verifies() {
    let only_es256 = app(gate(trusting_all().algorithms([Ours::ES256])));
    for key in all_keys() {
        let answer = bearer(&only_es256, &token_by(key).sign()).await;
        match key.algorithm() {
            Algorithm::ES256 => answer.assert_passed("the one on the list"),
            other => answer.assert_invalid(other.name(), Reason::Algorithm),
        }
    }
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = token_by(&SigningKey::hmac(algorithm, &[7; 64]).kid("ES256")).sign();
        bearer(&only_es256, &token).await.assert_invalid(algorithm.name(), Reason::Algorithm);
    }
    // The list is of what is allowed: an empty one allows nothing, and no HMAC comes in by it.
    let fault = |issuer: Issuer| issuer.validate().unwrap_err().fault().clone();
    assert_eq!(fault(trusting_all().algorithms([])), ConfigError::NoAlgorithm);
    let hmac = trusting_all().algorithms([Ours::ES256, Ours::HS256]);
    assert_eq!(fault(hmac), ConfigError::SymmetricAlgorithm(Ours::HS256));
}

#[tokio::test]
async fn rs_061_the_allow_list_is_that_of_the_issuer_alone() {
    let named = |iss: &str, algorithm| {
        Issuer::new(iss, AUD).keys(source(&jwks(&[es256(), rs256()]))).algorithms([algorithm])
    };
    let app = app(gate_of([named("https://a", Ours::RS256), named("https://b", Ours::ES256)]));
    let from = |iss: &str, key| token_by(key).issuer(iss).sign();
    bearer(&app, &from("https://a", rs256())).await.assert_passed("A signs with RS256");
    bearer(&app, &from("https://b", es256())).await.assert_passed("B signs with ES256");
    bearer(&app, &from("https://a", es256())).await.assert_invalid("A with ES256", Reason::Algorithm);
    bearer(&app, &from("https://b", rs256())).await.assert_invalid("B with RS256", Reason::Algorithm);
}

#[tokio::test]
async fn rs_062_alg_is_case_sensitive() {
    let app = usual();
    for name in ["es256", "Es256", "eS256", "ES256 ", "\u{ff25}S256"] {
        bearer(&app, &token().header("alg", name).sign()).await.assert_invalid(name, Reason::Algorithm);
    }
    for name in ["rs256", "Rs256"] {
        bearer(&app, &token_by(rs256()).header("alg", name).sign())
            .await
            .assert_invalid(name, Reason::Algorithm);
    }
}

/// The public key as an attacker has it, in every form that somebody once took for a secret.
fn public_forms(key: &SigningKey) -> Vec<Vec<u8>> {
    let jwk = key.public_jwk();
    let pem = key.public_pem();
    let mut forms = vec![
        pem.clone().into_bytes(),
        pem.trim_end().as_bytes().to_vec(),
        pem.replace('\n', "\r\n").into_bytes(),
        format!("\n {pem}").into_bytes(),
        key.public_der(),
        jwk.to_string().into_bytes(),
        jwks(&[key]).to_string().into_bytes(),
    ];
    for member in ["n", "x", "y"] {
        if let Some(text) = jwk[member].as_str() {
            forms.extend([text.as_bytes().to_vec(), unb64(text)]);
        }
    }
    forms
}

#[tokio::test]
async fn rs_063_a_public_key_is_never_taken_for_a_secret() {
    let without_secret = usual();
    let with_secret = app(gate(issuer().hmac_secret(Ours::HS256, [7; 32])));
    for key in [es256(), rs256()] {
        for secret in public_forms(key) {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let forger = SigningKey::hmac(algorithm, &secret).kid(key.id().unwrap());
                let forged = token_by(&forger).sign();
                let name = format!("{} with {:.40}", algorithm.name(), secret.escape_ascii().to_string());
                bearer(&without_secret, &forged).await.assert_invalid(&name, Reason::Algorithm);
                let reason = if algorithm == Algorithm::HS256 { Signature } else { Reason::Algorithm };
                bearer(&with_secret, &forged).await.assert_invalid(&name, reason);
            }
        }
    }
}

#[tokio::test]
async fn rs_063_alg_must_fit_the_key_that_kid_names() {
    let app = app(gate(trusting_all()));
    for key in all_keys() {
        for named in all_keys() {
            let answer = bearer(&app, &token_by(key).header("kid", named.id().unwrap()).sign()).await;
            let name = format!("{} under the kid of {}", key.algorithm().name(), named.algorithm().name());
            if key.algorithm() == named.algorithm() {
                answer.assert_passed(&name);
            } else {
                answer.assert_invalid(&name, KeyAlgorithm);
            }
        }
    }
}

#[tokio::test]
async fn rs_064_a_key_is_used_with_the_one_algorithm_that_it_names() {
    let rsa = rs256();
    let app = publishing(rsa, json!({ "alg": "PS256" }));
    bearer(&app, &token_by(&rsa.with_algorithm(Algorithm::PS256)).sign()).await.assert_passed("PS256");
    for other in [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS384, Algorithm::PS512] {
        let token = token_by(&rsa.with_algorithm(other)).sign();
        bearer(&app, &token).await.assert_invalid(other.name(), KeyAlgorithm);
    }
    // A header that lies about how it was signed.
    let lie = token_by(rsa).header("alg", "PS256").sign();
    bearer(&app, &lie).await.assert_invalid("RS256 under the name PS256", Signature);
}

#[tokio::test]
async fn rs_065_every_asymmetric_algorithm_is_supported_rs256_and_es256_among_them() {
    let app = app(gate(trusting_all()));
    assert_eq!(all_keys().len(), 10);
    for key in all_keys() {
        bearer(&app, &token_by(key).sign()).await.assert_passed(key.algorithm().name());
        bearer(&app, &token_by(key).tampered()).await.assert_invalid(key.algorithm().name(), Signature);
    }
}

#[tokio::test]
async fn rs_066_an_rsa_key_below_2048_bits_is_skipped_when_it_is_loaded() {
    let n = unb64(rs256().public_jwk()["n"].as_str().unwrap());
    let jwk = json!({ "kty": "RSA", "kid": "rs256", "n": b64(&n[..128]), "e": "AQAB" });
    let set = KeySet::from_jwks(&json!({ "keys": [jwk] }).to_string()).unwrap();
    assert_eq!(set.skipped()[0].reason(), SkipReason::ModulusSize);
    let app = publishing(rs256(), json!({ "n": b64(&n[..128]) }));
    bearer(&app, &token_by(rs256()).sign()).await.assert_invalid("1024 bits", UnknownKey);
    // A set of which nothing is left is a mistake when it is all there will ever be.
    let issuer = Issuer::new(ISS, AUD).keys(tower_bearer::keys::KeySource::fixed(set));
    assert_eq!(JwtVerifier::new([issuer]).unwrap_err(), ConfigError::NoKeys(ISS.to_owned()));
}

#[tokio::test]
async fn rs_067_068_an_ecdsa_signature_has_its_exact_length_and_values_in_range() {
    let app = app(gate(trusting_all()));
    // The orders of P-256, P-384 and P-521 (SEC 2 §2.4.2, §2.5.1, §2.6.1).
    let orders = [
        (Algorithm::ES256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"),
        (
            Algorithm::ES384,
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        ),
        (
            Algorithm::ES512,
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        ),
    ];
    for (algorithm, order) in orders {
        let key = key(algorithm);
        let order: Vec<_> = (0..order.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&order[at..at + 2], 16).unwrap())
            .collect();
        let len = order.len();
        let good = token_by(key).sign();
        let [header, payload, signature] = segments(&good);
        let signature = unb64(signature);
        assert_eq!(signature.len(), 2 * len);
        let (r, s) = signature.split_at(len);
        let (zero, most) = (vec![0; len], vec![0xff; len]);
        let mut one = zero.clone();
        one[len - 1] = 1;
        let message = format!("{header}.{payload}");
        let table = [
            ("DER", key.sign_der(message.as_bytes())),
            ("a byte short", signature[1..].to_vec()),
            ("a byte less at the end", signature[..2 * len - 1].to_vec()),
            ("a byte long", [&[0], &signature[..]].concat()),
            ("a byte more at the end", [&signature[..], &[0]].concat()),
            ("twice", [&signature[..], &signature].concat()),
            ("all zeros", [&zero[..], &zero].concat()),
            ("r is zero", [&zero[..], s].concat()),
            ("s is zero", [r, &zero].concat()),
            ("r is n", [&order[..], s].concat()),
            ("s is n", [r, &order].concat()),
            ("both are n", [&order[..], &order].concat()),
            ("r and s are one", [&one[..], &one].concat()),
            ("all ones", [&most[..], &most].concat()),
            ("swapped", [s, r].concat()),
        ];
        for (name, signature) in table {
            let token = format!("{message}.{}", b64(signature));
            bearer(&app, &token).await.assert_invalid(&format!("{}, {name}", algorithm.name()), Signature);
        }
        bearer(&app, &good).await.assert_passed(algorithm.name());
    }
}

#[tokio::test]
async fn rs_068_071_points_that_are_none_and_keys_that_do_not_sign_are_skipped() {
    let (ec, ed) = (key(Algorithm::ES256), key(Algorithm::EdDSA));
    let coordinate = |name: &str| unb64(ec.public_jwk()[name].as_str().unwrap());
    let (mut off, short) = (coordinate("y"), &coordinate("x")[1..]);
    off[0] ^= 1;
    let set = |jwk: &SigningKey, changes: &Value| {
        let mut document = jwk.public_jwk();
        document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        KeySet::from_jwks(&json!({ "keys": [document] }).to_string()).unwrap()
    };
    for (name, key, changes, reason) in [
        ("off the curve", ec, json!({ "y": b64(&off) }), SkipReason::Point),
        ("a short coordinate", ec, json!({ "x": b64(short) }), SkipReason::Point),
        ("the origin", ec, json!({ "x": b64([0; 32]), "y": b64([0; 32]) }), SkipReason::Point),
        ("X25519", ed, json!({ "crv": "X25519" }), SkipReason::UnknownCurve),
        ("X448", ed, json!({ "crv": "X448" }), SkipReason::UnknownCurve),
        ("a short Ed25519", ed, json!({ "x": b64([7; 31]) }), SkipReason::Point),
        ("small order", ed, json!({ "x": b64([0; 32]) }), SkipReason::Point),
    ] {
        let set = set(key, &changes);
        assert!(set.is_empty(), "{name}");
        assert_eq!(set.skipped()[0].reason(), reason, "{name}");
        let app = publishing(key, changes);
        bearer(&app, &token_by(key).sign()).await.assert_invalid(name, UnknownKey);
    }
}

#[tokio::test]
async fn rs_069_a_secret_is_as_long_as_the_hash_or_refused_when_the_issuer_is_built() {
    for (test, ours, least) in [
        (Algorithm::HS256, Ours::HS256, 32),
        (Algorithm::HS384, Ours::HS384, 48),
        (Algorithm::HS512, Ours::HS512, 64),
    ] {
        let issuer = |len| Issuer::new(ISS, AUD).hmac_secret(ours, vec![7; len]);
        for short in [0, 1, least - 1] {
            let error = JwtVerifier::new([issuer(short)]).unwrap_err();
            let expected = ConfigError::ShortSecret { algorithm: ours, least };
            assert_eq!(error.fault(), &expected, "{short} bytes");
        }
        let app = app(gate(issuer(least)));
        bearer(&app, &token_by(&SigningKey::hmac(test, &vec![7; least])).sign())
            .await
            .assert_passed(test.name());
        let wrong = token_by(&SigningKey::hmac(test, &vec![8; least])).sign();
        bearer(&app, &wrong).await.assert_invalid("another secret", Signature);
        let good = token_by(&SigningKey::hmac(test, &vec![7; least])).sign();
        let [header, payload, tag] = segments(&good);
        let cut = b64(&unb64(tag)[..least / 2]);
        bearer(&app, &format!("{header}.{payload}.{cut}")).await.assert_invalid("half a tag", Signature);
    }
    let asymmetric = Issuer::new(ISS, AUD).hmac_secret(Ours::ES256, [7; 32]).validate();
    assert_eq!(asymmetric.unwrap_err().fault(), &ConfigError::AsymmetricSecret(Ours::ES256));
}

#[tokio::test]
async fn rs_070_a_secret_in_a_published_set_is_never_used() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let secret = SigningKey::generate(algorithm).kid("oct");
        let twin = secret.clone().kid("es256");
        let set = jwks(&[&secret, &twin, es256()]);
        let app = app(gate(issuer_publishing(&set)));
        for forger in [&secret, &twin] {
            bearer(&app, &token_by(forger).sign()).await.assert_invalid(algorithm.name(), Reason::Algorithm);
        }
        bearer(&app, &token().sign()).await.assert_passed("the key beside it");
        let mislabelled = json!({ "alg": "ES256" });
        let app = publishing(&secret, mislabelled);
        let forged = token_by(&secret).header("alg", "ES256").sign();
        bearer(&app, &forged).await.assert_invalid("under the name ES256", UnknownKey);
    }
}

#[tokio::test]
async fn rs_072_ed25519_goes_by_both_of_its_names_and_means_that_curve() {
    let ed = key(Algorithm::EdDSA);
    for alg in [json!("EdDSA"), json!("Ed25519"), Value::Null] {
        let app = publishing(ed, json!({ "alg": alg }));
        for name in ["EdDSA", "Ed25519"] {
            bearer(&app, &token_by(ed).header("alg", name).sign()).await.assert_passed(name);
        }
        for name in ["Ed448", "ed25519", "EDDSA"] {
            bearer(&app, &token_by(ed).header("alg", name).sign())
                .await
                .assert_invalid(name, Reason::Algorithm);
        }
    }
    let app = publishing(ed, json!({ "crv": "Ed448" }));
    bearer(&app, &token_by(ed).sign()).await.assert_invalid("Ed448", UnknownKey);
}

#[tokio::test]
async fn rs_073_a_key_that_is_not_for_verification_does_not_verify() {
    let key = key(Algorithm::ES256);
    for changes in [
        json!({ "use": "enc" }),
        json!({ "use": "" }),
        json!({ "use": "Sig" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "key_ops": ["sign"] }),
        json!({ "key_ops": [] }),
        json!({ "use": "enc", "key_ops": ["verify"] }),
        json!({ "use": "sig", "key_ops": ["sign"] }),
    ] {
        let app = publishing(key, changes.clone());
        bearer(&app, &token_by(key).sign()).await.assert_invalid(&changes.to_string(), UnknownKey);
    }
    for changes in [json!({ "use": null, "key_ops": null }), json!({ "key_ops": ["sign", "verify"] })] {
        let app = publishing(key, changes.clone());
        bearer(&app, &token_by(key).sign()).await.assert_passed(&changes.to_string());
    }
}

#[tokio::test]
async fn rs_074_075_unknown_members_and_odd_keys_leave_the_good_ones_in_use() {
    let set = json!({
        "keys": [
            null, 7, "x", [], {}, { "kty": "AKP", "kid": "pq" }, { "kty": "EC", "kid": 7 },
            { "kty": "RSA", "kid": "es256" }, es256().public_jwk(), { "kty": "oct", "k": "AA" },
        ],
        "unknown": { "keys": [] },
    });
    bearer(&app(gate(issuer_publishing(&set))), &token().sign()).await.assert_passed("among odd ones");
    let in_array = json!([[es256().public_jwk()]]).to_string();
    assert!(KeySet::from_jwks(&in_array).is_err(), "an array is not a set");
    let twice = format!("{{\"keys\":[],\"keys\":[{}]}}", es256().public_jwk());
    assert!(KeySet::from_jwks(&twice).is_err(), "nor is one with two lists");
}

#[tokio::test]
async fn rs_076_names_in_a_key_are_case_sensitive() {
    let key = key(Algorithm::ES256);
    for changes in [
        json!({ "kty": "ec" }),
        json!({ "use": "SIG" }),
        json!({ "key_ops": ["VERIFY"] }),
        json!({ "crv": "p-256" }),
    ] {
        let app = publishing(key, changes.clone());
        bearer(&app, &token_by(key).sign()).await.assert_invalid(&changes.to_string(), UnknownKey);
    }
    let app = publishing(key, json!({ "kid": "K1" }));
    for kid in ["k1", "K1 ", " K1", "K", "K11", ""] {
        bearer(&app, &token_by(key).header("kid", kid).sign()).await.assert_invalid(kid, UnknownKey);
    }
    bearer(&app, &token_by(key).header("kid", "K1").sign()).await.assert_passed("as it is written");
}

#[tokio::test]
async fn rs_077_a_kid_of_another_type_is_refused() {
    let app = usual();
    for kid in [json!(7), json!(null), json!(["es256"]), json!({ "es256": 1 }), json!(true)] {
        let answer = bearer(&app, &token().header("kid", kid.clone()).sign()).await;
        answer.assert_invalid(&kid.to_string(), MalformedHeader("kid is not a string"));
    }
    bearer(&app, &token().without_header("kid").sign()).await.assert_passed("a token without one");
}

#[tokio::test]
async fn rs_078_keys_of_several_kinds_may_share_a_kid() {
    let keys: Vec<_> = all_keys().iter().map(|key| key.clone().kid("same")).collect();
    let app = app(gate(issuer_with(&keys.iter().collect::<Vec<_>>())));
    for key in &keys {
        bearer(&app, &token_by(key).sign()).await.assert_passed(key.algorithm().name());
    }
}

#[tokio::test]
async fn rs_079_a_kid_is_only_compared() {
    let (longest, long) = ("k".repeat(256), "k".repeat(64 * 1024));
    let hostile = [
        "../../etc/passwd",
        "' or 1=1 --",
        "a\r\nb: c",
        "http://127.0.0.1/",
        "\u{0}",
        "%00",
        "\u{202e}",
        &longest,
    ];
    let fixed = app(gate(issuer()).limit(1 << 20));
    let malformed = MalformedHeader("kid is longer than 256 bytes");
    bearer(&fixed, &token().header("kid", &*long).sign()).await.assert_invalid("a long one", malformed);
    for kid in hostile {
        bearer(&fixed, &token().header("kid", kid).sign()).await.assert_invalid(kid, UnknownKey);
    }
    for number in 0..2_000 {
        let token = token().header("kid", format!("unknown-{number}")).sign();
        bearer(&fixed, &token).await.assert_invalid("one of many", UnknownKey);
    }
    bearer(&fixed, &token().sign()).await.assert_passed("after all of them");
}

#[tokio::test]
async fn rs_079_no_more_than_a_bounded_number_of_unknown_kids_waits() {
    let (mut sink, source) = channel();
    sink.publish(KeySet::from_jwks(&jwks(&[es256()]).to_string()).unwrap());
    let app = app(gate(Issuer::new(ISS, AUD).keys(source)));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..3_000 {
        let (app, token) = (app.clone(), token().header("kid", format!("unknown-{number}")).sign());
        waiting.spawn(async move { bearer(&app, &token).await });
    }
    // Nobody answers yet: those beyond the queue are refused at once.
    for _ in 0..3_000 - 1024 {
        let answer = crate::support::soon(waiting.join_next()).await.unwrap().unwrap();
        answer.assert_invalid("beyond the queue", UnknownKey);
    }
    bearer(&app, &token().sign()).await.assert_passed("a known key meanwhile");
    for _ in 0..1024 {
        drop(crate::support::soon(sink.missed()).await.unwrap());
    }
    while let Some(answer) = crate::support::soon(waiting.join_next()).await {
        answer.unwrap().assert_invalid("after the answer", UnknownKey);
    }
}

#[tokio::test]
async fn rs_080_a_key_that_the_token_brings_or_points_to_is_never_looked_at() {
    let canary = TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", canary.local_addr().unwrap());
    let app = usual();
    for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
        let own = match algorithm {
            Algorithm::RS256 => rs256().clone().kid("own"),
            _ => SigningKey::generate(algorithm).kid("own"),
        };
        let brought = [
            ("jwk", own.public_jwk()),
            ("jku", json!(url)),
            ("x5u", json!(url)),
            ("x5c", json!([b64(own.public_der())])),
            ("x5t", json!("AA")),
            ("x5t#S256", json!("AA")),
            ("key", own.public_jwk()),
        ];
        for (name, value) in &brought {
            for kid in [json!("own"), json!("es256"), json!(url)] {
                let forged = token_by(&own).header(name, value.clone()).header("kid", kid).sign();
                bearer(&app, &forged).await.assert_invalid_token(name);
            }
            let nameless = token_by(&own).header(name, value.clone()).without_header("kid").sign();
            if algorithm != Algorithm::RS256 {
                bearer(&app, &nameless).await.assert_invalid_token(name);
            }
        }
    }
    let all = token().header("jwk", json!({})).header("jku", url.clone()).header("x5c", json!([]));
    bearer(&app, &all.sign()).await.assert_passed("they do no harm either");
    let connection = canary.accept().map(|_| ());
    assert_eq!(connection.unwrap_err().kind(), ErrorKind::WouldBlock, "somebody followed the URL");
}

#[tokio::test]
async fn rs_081_a_key_of_one_issuer_does_not_verify_a_token_of_another() {
    let (a, b) =
        (SigningKey::generate(Algorithm::ES256).kid("k"), SigningKey::generate(Algorithm::ES256).kid("k"));
    let named = |iss: &str, key| Issuer::new(iss, AUD).keys(source(&jwks(&[key])));
    let app = app(gate_of([named("https://a", &a), named("https://b", &b)]));
    let from = |iss: &str, key| TokenBuilder::new(key, iss, AUD).sign();
    bearer(&app, &from("https://a", &a)).await.assert_passed("A by A");
    bearer(&app, &from("https://b", &b)).await.assert_passed("B by B");
    bearer(&app, &from("https://a", &b)).await.assert_invalid("A by B", Signature);
    bearer(&app, &from("https://b", &a)).await.assert_invalid("B by A", Signature);
}

#[tokio::test]
async fn the_header_of_these_tests_is_good() {
    bearer(&usual(), &with_header(HEADER)).await.assert_passed("the usual header");
    let good = token().sign();
    let [header, payload, _] = segments(&good);
    bearer(&usual(), &sign_segments(es256(), header, payload)).await.assert_passed("signed by hand");
}
