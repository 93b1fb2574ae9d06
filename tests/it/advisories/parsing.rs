//! Tokens made to break or to slow down whoever reads them.

use crate::support::{
    app::{app, ask, bearer, request, usual},
    forge::{HEADER, b64, segments, sign_segments, with_claims, with_header, with_payload},
    keys::{es256, gate, issuer, token},
};
use bearer_testing::sign_compact;
use proptest::prelude::*;
use serde_json::json;
use tower_bearer::Reason::{MalformedClaims, NotAJwt};

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
