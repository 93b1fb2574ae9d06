//! Sets with good keys and others.

use super::{
    by_hand::ByHand,
    keys::{key, rsa, set, token},
    rig::verify_now,
};
use bearer_testing::{Algorithm, SigningKey, Step};
use serde_json::{Value, json};
use tower_bearer::Reason;

/// A key with some members changed; `null` takes one away.
fn changed(key: &SigningKey, members: &Value) -> Value {
    let mut jwk = key.public_jwk();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(jwk.as_object_mut().unwrap().remove(name)),
            value => jwk[name] = value.clone(),
        }
    }
    jwk
}

/// Keys that are none, each in its own way.
fn malformed() -> Vec<Value> {
    let ec = SigningKey::generate(Algorithm::ES256).kid("bad");
    let ed = key("bad");
    let rsa = rsa().clone().kid("bad");
    let zeros = |bytes: usize| "A".repeat((bytes * 4).div_ceil(3));
    let of =
        |key: &SigningKey, cases: &[Value]| cases.iter().map(|case| changed(key, case)).collect::<Vec<_>>();
    let plain =
        [json!(null), json!(true), json!(7), json!("key"), json!([]), json!({}), json!([[ed.public_jwk()]])];
    [
        plain.to_vec(),
        of(
            &ed,
            &[
                json!({ "kty": null }),
                json!({ "kty": 7 }),
                json!({ "kty": "okp" }),
                json!({ "kty": "AKP" }),
                json!({ "kid": 7 }),
                json!({ "kid": ["bad"] }),
                json!({ "alg": 7 }),
                json!({ "alg": "none" }),
                json!({ "alg": "HS256" }),
                json!({ "alg": "ES256" }),
                json!({ "use": "enc" }),
                json!({ "use": ["sig"] }),
                json!({ "key_ops": [] }),
                json!({ "key_ops": "verify" }),
                json!({ "crv": "X25519" }),
                json!({ "crv": "Ed448" }),
                json!({ "x": null }),
                json!({ "x": "" }),
                json!({ "x": "no base64url!" }),
                json!({ "x": zeros(32) }),
                json!({ "x": zeros(31) }),
                json!({ "d": zeros(32) }),
            ],
        ),
        of(
            &ec,
            &[
                json!({ "crv": "P-384" }),
                json!({ "crv": "secp256k1" }),
                json!({ "y": null }),
                json!({ "y": zeros(32) }),
                json!({ "x": zeros(31) }),
                json!({ "x": 7 }),
                json!({ "x": ec.public_jwk()["y"], "y": ec.public_jwk()["x"] }),
            ],
        ),
        of(
            &rsa,
            &[
                json!({ "n": null }),
                json!({ "e": null }),
                json!({ "e": "AQ" }),
                json!({ "e": "AA" }),
                json!({ "e": "Ag" }),
                json!({ "n": "" }),
                json!({ "n": "AQAB" }),
                json!({ "n": format!("_{}", "A".repeat(20_000)) }),
            ],
        ),
        vec![json!({ "kty": "oct", "kid": "bad", "k": zeros(32) })],
    ]
    .concat()
}

#[tokio::test]
async fn j29_one_malformed_key_spoils_no_other_and_verifies_nothing() {
    let mut by_hand = ByHand::with_keys().await;
    let cases = malformed();
    assert!(cases.len() >= 33, "{}", cases.len());
    for (at, bad) in cases.iter().enumerate() {
        let good = key(&format!("good-{at}"));
        let both = [set(&[bad.clone(), good.public_jwk()]), set(&[good.public_jwk(), bad.clone()])];
        by_hand.refresh(Step::json(&both[at % 2])).await.unwrap();
        assert_eq!(by_hand.verify(&good), Ok(()), "{bad}");
        let status = by_hand.refresher.status().borrow().clone();
        assert_eq!((status.key_ids, status.skipped.len()), (vec![format!("good-{at}")], 1), "{bad}");
    }
    let secret = SigningKey::hmac(Algorithm::HS256, &[0; 32]).kid("bad");
    assert_eq!(by_hand.verify(&secret), Err(Reason::Algorithm), "the oct key of the last set");
}

#[tokio::test]
async fn j30_keys_of_one_kid_all_work_and_a_bad_twin_does_no_harm() {
    let mut by_hand = ByHand::with_keys().await;
    let ec = || SigningKey::generate(Algorithm::ES256).kid("same");
    let (one, two, ed, rsa) = (ec(), ec(), key("same"), rsa().clone().kid("same"));
    let jwk = SigningKey::public_jwk;
    for (name, set, working) in [
        ("two kinds", set(&[jwk(&rsa), jwk(&one)]), vec![&rsa, &one]),
        ("three kinds", set(&[jwk(&ed), jwk(&rsa), jwk(&one)]), vec![&ed, &rsa, &one]),
        ("one kind twice", set(&[jwk(&one), jwk(&two)]), vec![&one, &two]),
        ("a bad twin first", set(&[changed(&two, &json!({ "x": "AA" })), jwk(&one)]), vec![&one]),
        ("a bad twin last", set(&[jwk(&one), changed(&two, &json!({ "kty": 7 }))]), vec![&one]),
        ("an oct twin", set(&[json!({ "kty": "oct", "kid": "same", "k": "AAAA" }), jwk(&one)]), vec![&one]),
        ("the same key twice", set(&[jwk(&one), jwk(&one)]), vec![&one]),
    ] {
        by_hand.refresh(Step::json(&set)).await.unwrap();
        for key in working {
            assert_eq!(verify_now(&by_hand.verifier, &token(key).sign()), Ok(()), "{name}: {key:?}");
        }
        assert_eq!(by_hand.refresher.status().borrow().key_ids, ["same"], "{name}");
    }
    let secret = SigningKey::hmac(Algorithm::HS256, &[0; 3]).kid("same");
    assert_eq!(by_hand.verify(&secret), Err(Reason::Algorithm));
}
