//! Whatever a JWK Set says, the keys in use are public keys of it that are meant to verify signatures.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_bearer::keys::KeySet;

fuzz_target!(|text: &str| {
    let Ok(set) = KeySet::from_jwks(text) else { return };
    let _ = format!("{set:?}");
    let ids: Vec<_> = set.ids().collect();
    assert_eq!(ids.is_empty() && !set.is_empty(), has_only_nameless(&set));

    // A set may hold what `Value` cannot, in keys that are skipped.
    let Ok(document) = serde_json::from_str::<Value>(text) else { return };
    let keys = document["keys"].as_array().expect("keys");
    assert!(keys.len() <= 100 && ids.len() + set.skipped().len() <= keys.len());
    for id in ids {
        assert!(keys.iter().any(|key| key["kid"] == *id && is_usable(key)), "{id:?}");
    }
    for key in set.skipped() {
        assert!(key.kid().is_none_or(|id| keys.iter().any(|key| key["kid"] == *id)), "{key:?}");
    }
});

fn has_only_nameless(set: &KeySet) -> bool {
    !set.is_empty() && set.ids().next().is_none()
}

fn is_usable(key: &Value) -> bool {
    let for_signatures = key.get("use").is_none_or(|usage| usage.is_null() || usage == "sig");
    let no_secret = key.get("d").is_none_or(Value::is_null) && key["kty"] != "oct";
    let symmetric = key["alg"].as_str().is_some_and(|alg| alg.starts_with("HS"));
    for_signatures && no_secret && !symmetric
}
