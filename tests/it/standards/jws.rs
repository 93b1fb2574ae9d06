//! RS-042 to RS-057: the JWS and its encoding.

use crate::support::{
    app::{app, ask, bearer, request, usual},
    forge::{HEADER, b64, segments, sign_segments, unb64, with_claims, with_header, with_payload},
    keys::{AUD, ISS, es256, gate, issuer, token},
};
use bearer_testing::sign_compact;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_bearer::Reason::{
    Audience, CredentialTooLong, Encrypted, MalformedClaims, MalformedHeader, NotAJwt, Signature,
    UnknownIssuer, UnsupportedHeader,
};
use tower_bearer::{BearerLayer, JwtVerifier};

#[tokio::test]
async fn rs_042_only_three_segments_are_a_token() {
    let app = usual();
    let good = token().sign();
    let [header, payload, signature] = segments(&good);
    for (name, token, reason) in [
        ("one", header.to_owned(), NotAJwt),
        ("two", format!("{header}.{payload}"), NotAJwt),
        ("four", format!("{good}.{signature}"), NotAJwt),
        ("four, the last empty", format!("{good}."), NotAJwt),
        ("four, the first empty", format!(".{good}"), NotAJwt),
        ("five", format!("{good}.{header}.{payload}"), Encrypted),
        ("six", format!("{good}.a.b.c"), NotAJwt),
        ("no header", format!(".{payload}.{signature}"), NotAJwt),
        ("no payload", format!("{header}..{signature}"), NotAJwt),
    ] {
        bearer(&app, &token).await.assert_invalid(name, reason);
    }
    // The JSON serialization is no b64token: it never reaches the parser.
    let json = json!({ "protected": header, "payload": payload, "signature": signature }).to_string();
    ask(&app, request([format!("Bearer {json}").as_bytes()])).await.assert_malformed("JSON");
    bearer(&app, &b64(json)).await.assert_invalid("JSON in base64url", NotAJwt);
}

#[tokio::test]
async fn rs_043_a_foreign_character_in_any_segment_is_refused() {
    let app = usual();
    let good = token().sign();
    let segments = segments(&good);
    for at in 0..3 {
        for foreign in ["+", "/", "~"] {
            for place in [0, 1, segments[at].len()] {
                let mut spoiled = segments.map(str::to_owned);
                spoiled[at].insert_str(place, foreign);
                bearer(&app, &spoiled.join(".")).await.assert_invalid(&spoiled[at], NotAJwt);
                spoiled[at].replace_range(
                    place.min(segments[at].len() - 1)..=place.min(segments[at].len() - 1),
                    foreign,
                );
                bearer(&app, &spoiled.join(".")).await.assert_invalid(&spoiled[at], NotAJwt);
            }
        }
    }
    bearer(&app, &format!("{good}=")).await.assert_invalid("padding at the end of it all", NotAJwt);
    let padded = format!("{}=.{}.{}", segments[0], segments[1], segments[2]);
    ask(&app, request([format!("Bearer {padded}").as_bytes()])).await.assert_malformed("padding inside");
    for braces in ["{}", "\"", "'", "[", ",", ";", "\\"] {
        let value = format!("Bearer {braces}{good}");
        ask(&app, request([value.as_bytes()])).await.assert_malformed(braces);
    }
}

#[tokio::test]
async fn rs_044_base64url_is_strict_also_where_the_signature_covers_it() {
    let app = usual();
    let (header, payload) = (b64(HEADER), b64(token().payload()));
    bearer(&app, &sign_segments(es256(), &header, &payload)).await.assert_passed("as it should be");
    // A header whose standard and URL-safe forms differ, signed in its standard form.
    let standard = {
        use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
        BASE64_STANDARD_NO_PAD.encode(HEADER.replace("\"typ\":\"JWT\"", "\"x\":\"???>>>\""))
    };
    assert!(standard.contains(['+', '/']));
    bearer(&app, &sign_segments(es256(), &standard, &payload))
        .await
        .assert_invalid("standard alphabet", NotAJwt);
    // Inside a credential, padding and white space are no b64token; signed or not.
    for (name, header, payload) in [
        ("padded header", format!("{header}="), payload.clone()),
        ("padded payload", header.clone(), format!("{payload}==")),
        ("a space", format!("{} {}", &header[..4], &header[4..]), payload.clone()),
        ("a tab", header.clone(), format!("{}\t{}", &payload[..4], &payload[4..])),
    ] {
        let token = sign_segments(es256(), &header, &payload);
        ask(&app, request([format!("Bearer {token}").as_bytes()])).await.assert_malformed(name);
    }
    // A length that no bytes have.
    let cut = sign_segments(es256(), &b64("{}")[..1], &payload);
    bearer(&app, &cut).await.assert_invalid("one character", NotAJwt);
}

/// The same bytes with the last spare bit of the last character set.
fn respelled(segment: &str) -> Option<String> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = segment.bytes().last()?;
    let value = ALPHABET.iter().position(|byte| *byte == last)?;
    let spare = !segment.len().is_multiple_of(4);
    spare.then(|| format!("{}{}", &segment[..segment.len() - 1], char::from(ALPHABET[value | 1])))
}

#[tokio::test]
async fn rs_045_a_token_has_one_spelling() {
    let app = usual();
    let good = token().sign();
    let [header, payload, signature] = segments(&good);
    let other = respelled(signature).unwrap();
    assert_ne!(other, signature);
    bearer(&app, &format!("{header}.{payload}.{other}")).await.assert_invalid("spare bits", NotAJwt);
    // Signed under its other spelling, too.
    let padded = (0..3).map(|spaces| b64(format!("{HEADER}{}", " ".repeat(spaces))));
    let header = padded.into_iter().find_map(|header| respelled(&header)).unwrap();
    bearer(&app, &sign_segments(es256(), &header, payload)).await.assert_invalid("in the header", NotAJwt);
}

#[tokio::test]
async fn rs_046_the_header_is_one_complete_json_object() {
    let app = usual();
    bearer(&app, &with_header(&format!(" {HEADER}\r\n"))).await.assert_passed("white space around it");
    for (name, header, reason) in [
        ("text after it", format!("{HEADER}x"), "not well-formed JSON"),
        ("another object after it", format!("{HEADER}{HEADER}"), "not well-formed JSON"),
        ("a NUL after it", format!("{HEADER}\0"), "not well-formed JSON"),
        ("a byte order mark", format!("\u{feff}{HEADER}"), "not well-formed JSON"),
        ("a lone surrogate", HEADER.replace("JWT", "\\ud800"), "not well-formed JSON"),
        ("an array", format!("[{HEADER}]"), "not a JSON object"),
        ("a string", "\"ES256\"".to_owned(), "not a JSON object"),
        ("null", "null".to_owned(), "not a JSON object"),
        ("cut short", HEADER[..20].to_owned(), "not well-formed JSON"),
        ("a trailing comma", HEADER.replace('}', ",}"), "not well-formed JSON"),
        ("single quotes", HEADER.replace('"', "'"), "not well-formed JSON"),
        ("a comment", format!("/**/{HEADER}"), "not well-formed JSON"),
        ("NaN", HEADER.replace("\"JWT\"", "NaN"), "not well-formed JSON"),
    ] {
        bearer(&app, &with_header(&header)).await.assert_invalid(name, MalformedHeader(reason));
    }
    let invalid = [&HEADER.as_bytes()[..HEADER.len() - 2], b"\xff\"}"].concat();
    let token = sign_segments(es256(), &b64(invalid), &b64(token().payload()));
    bearer(&app, &token).await.assert_invalid("invalid UTF-8", MalformedHeader("not UTF-8"));
}

#[tokio::test]
async fn rs_047_a_header_name_that_stands_twice_is_refused() {
    let app = usual();
    for header in [
        r#"{"alg":"none","alg":"ES256","kid":"es256"}"#,
        r#"{"alg":"ES256","alg":"none","kid":"es256"}"#,
        r#"{"alg":"ES256","kid":"es256","kid":"es256"}"#,
        r#"{"alg":"ES256","kid":"x","k\u0069d":"es256"}"#,
        r#"{"alg":"ES256","kid":"es256","x":1,"x":1}"#,
        r#"{"alg":"ES256","kid":"es256","typ":"JWT","typ":"JWT"}"#,
    ] {
        bearer(&app, &with_header(header))
            .await
            .assert_invalid(header, MalformedHeader("a member stands twice"));
    }
}

#[derive(Deserialize)]
struct Role {
    role: String,
}

#[tokio::test]
async fn rs_048_a_claim_that_stands_twice_is_refused_and_what_was_checked_is_what_is_handed_over() {
    let app = app(gate(issuer().claims::<Role>()));
    let answer = bearer(&app, &with_claims(r#""role":"user""#)).await;
    answer.assert_passed("one role");
    assert_eq!(answer.verified.unwrap().claims::<Role>().unwrap().role, "user");
    let expires = r#""exp":4000000000"#;
    for claims in [
        r#""role":"user","role":"admin""#,
        r#""role":"user","\u0072ole":"admin""#,
        r#""role":"user","private":1,"private":1"#,
        &format!(r#""role":"user",{expires}"#),
        &format!(r#""role":"user","iss":"{ISS}""#),
        &format!(r#""role":"user","aud":"{AUD}""#),
        r#""role":"user","\u0073ub":"eve""#,
    ] {
        bearer(&app, &with_claims(claims))
            .await
            .assert_invalid(claims, MalformedClaims("a member stands twice"));
    }
}

#[tokio::test]
async fn rs_049_the_payload_is_a_json_object() {
    let app = usual();
    let in_order = json!([4_000_000_000_u64, null, "s", ISS, AUD]).to_string();
    for payload in [&in_order, "[]", "null", "\"\"", "7", "true"] {
        bearer(&app, &with_payload(payload))
            .await
            .assert_invalid(payload, MalformedClaims("not a JSON object"));
    }
    let good = token().payload();
    for (name, payload) in [
        ("text after it", format!("{good}x")),
        ("twice", format!("{good}{good}")),
        ("a byte order mark", format!("\u{feff}{good}")),
        ("cut short", good[..good.len() - 1].to_owned()),
        ("no JSON", "opaque".to_owned()),
    ] {
        bearer(&app, &with_payload(&payload))
            .await
            .assert_invalid(name, MalformedClaims("not well-formed JSON"));
    }
    let invalid = [&good.as_bytes()[..good.len() - 2], b"\xff\"}"].concat();
    let token = sign_segments(es256(), &b64(HEADER), &b64(invalid));
    bearer(&app, &token).await.assert_invalid("invalid UTF-8", MalformedClaims("not UTF-8"));
}

#[tokio::test]
async fn rs_050_unknown_header_parameters_and_claims_are_ignored() {
    let app = usual();
    let odd = json!({ "a": [1, { "b": null }], "": "\u{0}", "\u{1f600}": 1.5e-7, "x": "y".repeat(1000) });
    let mut token = token().claims(odd.clone());
    for (name, value) in odd.as_object().unwrap() {
        token = token.header(name, value.clone());
    }
    bearer(&app, &token.header("x5t", "AA").header("nonce", "n").sign()).await.assert_passed("extra members");
}

#[tokio::test]
async fn rs_051_052_053_critical_extensions_are_refused_since_none_is_understood() {
    let app = usual();
    let refused = |name: &'static str, header: &str| {
        let token = with_header(&HEADER.replace("\"typ\":\"JWT\"", header));
        let app = app.clone();
        async move { bearer(&app, &token).await.assert_invalid(name, UnsupportedHeader("crit")) }
    };
    refused("RFC 7515 Appendix E", r#""crit":["exp"],"exp":1"#).await;
    refused("unknown", r#""crit":["urn:x"],"urn:x":1"#).await;
    refused("empty", r#""crit":[]"#).await;
    refused("no array", r#""crit":"exp""#).await;
    refused("null", r#""crit":null"#).await;
    refused("a registered name", r#""crit":["alg"]"#).await;
    refused("a name that is not there", r#""crit":["exp"]"#).await;
    refused("b64", r#""crit":["b64"],"b64":true"#).await;
    // RFC 7797 §7: not in a JWT, with its payload encoded or not.
    refused("unencoded", r#""crit":["b64"],"b64":false"#).await;
    let header = HEADER.replace("\"typ\":\"JWT\"", r#""b64":false"#);
    bearer(&app, &with_header(&header)).await.assert_invalid("b64 alone", UnsupportedHeader("b64"));
    let unencoded = HEADER.replace("\"typ\":\"JWT\"", r#""crit":["b64"],"b64":false"#);
    let token = sign_segments(es256(), &b64(unencoded), "payload_");
    bearer(&app, &token).await.assert_invalid("an unencoded payload", UnsupportedHeader("crit"));
}

#[tokio::test]
async fn rs_054_strings_are_compared_by_code_point_after_unescaping() {
    let app = usual();
    let payload = |iss: &str, aud: &str| {
        let (iss, aud) = (format!("\"iss\":\"{iss}\""), format!("\"aud\":\"{aud}\""));
        let good = token().payload();
        let good =
            good.replace(&format!("\"iss\":\"{ISS}\""), &iss).replace(&format!("\"aud\":\"{AUD}\""), &aud);
        assert!(good.contains(&iss) && good.contains(&aud));
        with_payload(&good)
    };
    bearer(&app, &payload(r"https:\/\/issuer.example", AUD)).await.assert_passed("an escaped solidus");
    bearer(&app, &payload(r"\u0068ttps://issuer.example", AUD)).await.assert_passed("an escaped letter");
    bearer(&app, &payload(ISS, r"https:\/\/ap\u0069.example")).await.assert_passed("in the audience");
    for other in [
        "https://issuer.example/",
        "https://Issuer.example",
        "HTTPS://issuer.example",
        "https://issuer.example ",
    ] {
        bearer(&app, &payload(other, AUD)).await.assert_invalid(other, UnknownIssuer);
    }
    for other in ["https://api.example/", "https://API.example", " https://api.example"] {
        bearer(&app, &payload(ISS, other)).await.assert_invalid(other, Audience);
    }
    // The same letter, composed and decomposed.
    let composed = crate::support::app::app(gate(
        axum_bearer::Issuer::new(ISS, "caf\u{e9}")
            .keys(crate::support::keys::source(&crate::support::keys::jwks(&[es256()]))),
    ));
    bearer(&composed, &payload(ISS, r"caf\u00e9")).await.assert_passed("the same code point");
    bearer(&composed, &payload(ISS, "cafe\u{301}")).await.assert_invalid("decomposed", Audience);
}

#[tokio::test]
async fn rs_055_a_nested_jwt_or_jwe_is_not_mistaken_for_a_verified_jws() {
    let app = usual();
    let inner = token().sign();
    for cty in ["JWT", "jwt", "application/jwt", "Application/JWT"] {
        let header = HEADER.replace("\"typ\":\"JWT\"", &format!("\"cty\":\"{cty}\""));
        bearer(&app, &with_header(&header)).await.assert_invalid(cty, UnsupportedHeader("cty"));
        let nested = sign_compact(es256(), &header, &inner);
        bearer(&app, &nested).await.assert_invalid(cty, UnsupportedHeader("cty"));
    }
    bearer(&app, &with_payload(&inner))
        .await
        .assert_invalid("nested", MalformedClaims("not well-formed JSON"));
    let quoted = Value::from(inner).to_string();
    bearer(&app, &with_payload(&quoted)).await.assert_invalid("quoted", MalformedClaims("not a JSON object"));
    let zip = HEADER.replace("\"typ\":\"JWT\"", "\"zip\":\"DEF\"");
    bearer(&app, &with_header(&zip)).await.assert_invalid("zip", UnsupportedHeader("zip"));
    let jwe = "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AA.AA.AA.AA";
    bearer(&app, jwe).await.assert_invalid("a JWE", Encrypted);
}

#[tokio::test]
async fn rs_056_an_empty_or_detached_signature_or_payload_is_refused() {
    let app = usual();
    let good = token().sign();
    let [header, payload, signature] = segments(&good);
    bearer(&app, &format!("{header}.{payload}.")).await.assert_invalid("no signature", NotAJwt);
    bearer(&app, &format!("{header}.{payload}")).await.assert_invalid("not even a dot", NotAJwt);
    bearer(&app, &format!("{header}..{signature}")).await.assert_invalid("a detached payload", NotAJwt);
    bearer(&app, &sign_segments(es256(), header, "")).await.assert_invalid("an empty payload", NotAJwt);
    bearer(&app, &format!("{header}.{payload}.AA")).await.assert_invalid("one byte", Signature);
    let half = b64(&unb64(signature)[..32]);
    bearer(&app, &format!("{header}.{payload}.{half}")).await.assert_invalid("half of it", Signature);
}

#[tokio::test]
async fn rs_057_size_and_depth_are_bounded_before_the_signature() {
    // One verifier: that it remembers a token does not let it through a narrower gate.
    let verifier = JwtVerifier::new([issuer()]).unwrap();
    let app_with_limit = |bytes| app(BearerLayer::new(verifier.clone()).limit(bytes));
    let long = "a".repeat(1 << 20);
    for (name, token) in [("a megabyte", long.clone()), ("of dots", ".".repeat(1 << 20))] {
        let answer = bearer(&usual(), &token).await;
        answer.assert_malformed(name);
        assert_eq!(answer.reason, Some(CredentialTooLong), "{name}");
    }
    // The limit is inclusive, and on the token alone.
    let good = token().sign();
    bearer(&app_with_limit(good.len()), &good).await.assert_passed("just as long");
    let short = bearer(&app_with_limit(good.len() - 1), &good).await;
    assert_eq!(short.reason, Some(CredentialTooLong));

    let deep = app_with_limit(2 << 20);
    let nested = |depth: usize| with_claims(&format!("\"x\":{}{}", "[".repeat(depth), "]".repeat(depth)));
    bearer(&deep, &nested(10)).await.assert_passed("ten deep");
    for depth in [100, 10_000, 100_000] {
        let name = format!("{depth} deep");
        bearer(&deep, &nested(depth)).await.assert_invalid(&name, MalformedClaims("nested too deeply"));
    }
    let objects = format!("\"x\":{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    bearer(&deep, &with_claims(&objects))
        .await
        .assert_invalid("objects", MalformedClaims("nested too deeply"));
    let header =
        HEADER.replace("\"JWT\"", &format!("\"JWT\",\"x\":{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    bearer(&deep, &with_header(&header)).await.assert_invalid("header", MalformedHeader("nested too deeply"));
    let wide: Vec<_> = (0..10_000).map(|n| format!("\"m{n}\":0")).collect();
    bearer(&deep, &with_claims(&wide.join(",")))
        .await
        .assert_invalid("wide", MalformedClaims("too many members"));
}
