//! RS-083 to RS-102: claims.

use crate::support::{
    app::{app, bearer, guarded, usual},
    forge::with_payload,
    keys::{AUD, ISS, gate, issuer, issuer_with, rs256, token, token_by},
    logs::Logs,
};
use axum::Router;
use bearer_testing::TokenBuilder;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tower_bearer::{
    AuthError,
    Reason::{
        Audience, Expired, IssuedInTheFuture, KeyBound, MalformedClaims, NotAnAccessToken, NotYetValid,
        Other, TokenType, UnknownIssuer,
    },
    Verified,
};

/// What the clock of [`frozen`] shows.
const NOW: i64 = 1_900_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW.unsigned_abs())
}

fn half_past() -> SystemTime {
    now() + Duration::from_millis(500)
}

/// An app whose clock stands still.
fn frozen(clock: fn() -> SystemTime, leeway: u64) -> Router {
    app(gate(issuer().leeway(Duration::from_secs(leeway))).clock(clock))
}

fn frozen_token() -> TokenBuilder {
    token().claim("iat", NOW - 10).claim("exp", NOW + 10)
}

const NO_STRINGS: [&str; 6] = ["7", "null", "true", "[]", "{}", r#"["x"]"#];

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn rs_083_iss_is_required_and_exactly_the_configured_one() {
    let app = usual();
    bearer(&app, &token().without("iss").sign()).await.assert_invalid("absent", UnknownIssuer);
    for iss in [
        "",
        "https://issuer.example/",
        "https://Issuer.example",
        "HTTPS://issuer.example",
        "https://issuer.exampl",
        "https://issuer.example.evil.example",
        "issuer.example",
        "http://issuer.example",
        "https://issuer.example:443",
        " https://issuer.example",
        "https://issuer.example\u{0}",
        "https://issuer.example https://evil.example",
    ] {
        bearer(&app, &token().issuer(iss).sign()).await.assert_invalid(iss, UnknownIssuer);
    }
}

#[tokio::test]
async fn rs_084_iss_is_one_string() {
    let app = usual();
    let reason = MalformedClaims("iss is not a string");
    for iss in [
        json!([ISS]),
        json!(["https://evil.example", ISS]),
        json!({ ISS: 1 }),
        json!(7),
        json!(null),
        json!(true),
    ] {
        bearer(&app, &token().claim("iss", iss.clone()).sign())
            .await
            .assert_invalid(&iss.to_string(), reason);
    }
}

#[tokio::test]
async fn rs_085_aud_is_required_and_names_us_alone_or_among_others() {
    let app = usual();
    for aud in [json!(AUD), json!([AUD]), json!(["https://other.example", AUD]), json!([AUD, AUD, ""])] {
        bearer(&app, &token().audience(aud.clone()).sign()).await.assert_passed(&aud.to_string());
    }
    bearer(&app, &token().without("aud").sign()).await.assert_invalid("absent", Audience);
    for aud in [json!("https://other.example"), json!(["a", "b"]), json!(ISS), json!("test-user")] {
        bearer(&app, &token().audience(aud.clone()).sign()).await.assert_invalid(&aud.to_string(), Audience);
    }
}

#[tokio::test]
async fn rs_086_audiences_are_compared_exactly_and_other_types_do_not_match() {
    let app = usual();
    for aud in [
        "https://api.example/",
        "https://api.example.evil",
        "https://api.exampl",
        "HTTPS://API.EXAMPLE",
        "api.example",
        " https://api.example",
        "https://api.example https://other.example",
        "",
        "*",
    ] {
        bearer(&app, &token().audience(aud).sign()).await.assert_invalid(aud, Audience);
        bearer(&app, &token().audience(vec![aud]).sign()).await.assert_invalid(aud, Audience);
    }
    bearer(&app, &token().audience(json!([])).sign()).await.assert_invalid("[]", Audience);
    let reason = MalformedClaims("aud is neither a string nor an array of strings");
    for aud in [
        json!(7),
        json!([[AUD]]),
        json!(null),
        json!({ "aud": AUD }),
        json!([AUD, 7]),
        json!(true),
        json!([null]),
    ] {
        bearer(&app, &token().audience(aud.clone()).sign()).await.assert_invalid(&aud.to_string(), reason);
    }
}

#[tokio::test]
async fn rs_087_exp_is_required() {
    let without = token().without("exp").sign();
    bearer(&usual(), &without).await.assert_invalid("absent", MalformedClaims("exp is missing"));
}

#[tokio::test]
async fn rs_088_at_exp_the_token_is_over() {
    let app = frozen(now, 0);
    bearer(&app, &frozen_token().claim("exp", NOW).sign()).await.assert_invalid("now", Expired);
    bearer(&app, &frozen_token().claim("exp", NOW - 1).sign()).await.assert_invalid("a second ago", Expired);
    bearer(&app, &frozen_token().claim("exp", NOW + 1).sign()).await.assert_passed("in a second");
}

#[tokio::test]
async fn rs_089_leeway_is_the_same_for_every_date_and_can_be_zero() {
    let five = frozen(now, 5);
    bearer(&five, &frozen_token().claim("exp", NOW - 4).sign()).await.assert_passed("exp 4 s ago");
    bearer(&five, &frozen_token().claim("exp", NOW - 5).sign()).await.assert_invalid("exp 5 s ago", Expired);
    bearer(&five, &frozen_token().claim("nbf", NOW + 5).sign()).await.assert_passed("nbf in 5 s");
    bearer(&five, &frozen_token().claim("nbf", NOW + 6).sign())
        .await
        .assert_invalid("nbf in 6 s", NotYetValid);
    bearer(&five, &frozen_token().claim("iat", NOW + 5).sign()).await.assert_passed("iat in 5 s");
    bearer(&five, &frozen_token().claim("iat", NOW + 6).sign())
        .await
        .assert_invalid("iat in 6 s", IssuedInTheFuture);
    let zero = frozen(now, 0);
    bearer(&zero, &frozen_token().claim("nbf", NOW).sign()).await.assert_passed("nbf now");
    bearer(&zero, &frozen_token().claim("nbf", NOW + 1).sign())
        .await
        .assert_invalid("nbf in 1 s", NotYetValid);
    bearer(&zero, &frozen_token().claim("iat", NOW + 1).sign())
        .await
        .assert_invalid("iat in 1 s", IssuedInTheFuture);
    let default = app(gate(issuer()).clock(now));
    bearer(&default, &frozen_token().claim("exp", NOW - 59).sign()).await.assert_passed("60 s by default");
    bearer(&default, &frozen_token().claim("exp", NOW - 60).sign()).await.assert_invalid("no more", Expired);
}

#[tokio::test]
async fn rs_090_dates_are_json_numbers_within_reason() {
    let app = usual();
    for (name, reason) in [
        ("exp", MalformedClaims("exp is not a date in seconds")),
        ("nbf", MalformedClaims("nbf is not a date in seconds")),
        ("iat", MalformedClaims("iat is not a date in seconds")),
    ] {
        for value in [
            "\"4000000000\"",
            "\"99\"",
            "null",
            "true",
            "[4000000000]",
            "{}",
            "-1",
            "-9223372036854775808",
            "1e300",
            "-1e300",
            "18446744073709551615",
            "18446744073709551616",
            "253402300800",
            "\"NaN\"",
        ] {
            let payload = token().without(name).payload();
            let payload = format!("{},\"{name}\":{value}}}", payload.strip_suffix('}').unwrap());
            bearer(&app, &with_payload(&payload)).await.assert_invalid(&format!("{name}: {value}"), reason);
        }
        for value in ["NaN", "Infinity", "0x10", "01", "1e99999", "+1"] {
            let payload = token().without(name).payload();
            let payload = format!("{},\"{name}\":{value}}}", payload.strip_suffix('}').unwrap());
            let answer = bearer(&app, &with_payload(&payload)).await;
            answer.assert_invalid_token(&format!("{name}: {value}"));
            assert!(matches!(answer.reason, Some(MalformedClaims(_))), "{:?}", answer.reason);
        }
    }
    bearer(&app, &token().claim("exp", 4e9).sign()).await.assert_passed("a number with a fraction");
    bearer(&app, &token().claim("exp", 0).sign()).await.assert_invalid("1970", Expired);
}

#[tokio::test]
async fn rs_091_fractions_are_not_rounded_in_the_tokens_favour() {
    let app = frozen(now, 0);
    let now = 1_900_000_000.0;
    bearer(&app, &frozen_token().claim("exp", now - 0.4).sign()).await.assert_invalid("0.4 s ago", Expired);
    bearer(&app, &frozen_token().claim("exp", now + 0.4).sign()).await.assert_passed("in 0.4 s");
    bearer(&app, &frozen_token().claim("nbf", now + 0.4).sign())
        .await
        .assert_invalid("in 0.4 s", NotYetValid);
    bearer(&app, &frozen_token().claim("iat", now + 0.4).sign())
        .await
        .assert_invalid("in 0.4 s", IssuedInTheFuture);
    // Nor is the clock.
    let later = frozen(half_past, 0);
    bearer(&later, &frozen_token().claim("exp", now + 0.4).sign()).await.assert_invalid("0.1 s ago", Expired);
    bearer(&later, &frozen_token().claim("exp", now + 0.6).sign()).await.assert_passed("in 0.1 s");
}

#[tokio::test]
async fn rs_092_nbf_is_honoured() {
    let app = usual();
    let at = |seconds: i64| token().claim("nbf", now_plus(seconds)).sign();
    bearer(&app, &at(300)).await.assert_invalid("in five minutes", NotYetValid);
    bearer(&app, &at(-300)).await.assert_passed("five minutes ago");
}

#[tokio::test]
async fn rs_093_a_token_from_the_future_is_refused() {
    let app = usual();
    let at = |seconds: i64| token().claim("iat", now_plus(seconds)).claim("exp", now_plus(7200)).sign();
    bearer(&app, &at(3600)).await.assert_invalid("in an hour", IssuedInTheFuture);
    bearer(&app, &at(30)).await.assert_passed("within the leeway");
}

fn now_plus(seconds: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds
}

#[tokio::test]
async fn rs_095_typ_is_a_media_type_in_any_case() {
    let app = usual();
    for typ in [
        "JWT",
        "jwt",
        "at+jwt",
        "AT+JWT",
        "at+JWT",
        "application/at+jwt",
        "APPLICATION/AT+JWT",
        "application/jwt",
    ] {
        bearer(&app, &token().header("typ", typ).sign()).await.assert_passed(typ);
    }
    bearer(&app, &token().without_header("typ").sign()).await.assert_passed("absent");
    for typ in ["x/at+jwt", "text/at+jwt", "application/x/at+jwt", "application/", "at+jwt;a=b", "at jwt", ""]
    {
        bearer(&app, &token().header("typ", typ).sign()).await.assert_invalid(typ, TokenType);
    }
}

#[tokio::test]
async fn rs_096_a_typ_that_names_another_kind_of_token_is_refused() {
    let app = usual();
    for typ in [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "id_token+jwt",
        "application/dpop+jwt",
        "token-introspection+jwt",
        "oauth-authz-req+jwt",
        "rt+jwt",
        "JWE",
        "JOSE",
        "kb+jwt",
        "vc+sd-jwt",
        "statuslist+jwt",
    ] {
        bearer(&app, &token().header("typ", typ).sign()).await.assert_invalid(typ, TokenType);
    }
    for typ in NO_STRINGS {
        let answer = bearer(&app, &token().header("typ", json_of(typ)).sign()).await;
        answer.assert_invalid_token(typ);
    }
}

#[tokio::test]
async fn rs_097_an_id_token_is_no_access_token() {
    let app = usual();
    let as_client = token().audience("client-1").claims(json!({ "nonce": "n", "at_hash": "h" })).sign();
    bearer(&app, &as_client).await.assert_invalid("as issuers make them", NotAnAccessToken);
    for (name, claims) in [
        ("our audience and at_hash", json!({ "at_hash": "h" })),
        ("our audience and c_hash", json!({ "c_hash": "h" })),
        ("our audience and nonce", json!({ "nonce": "n" })),
        ("Cognito", json!({ "token_use": "id" })),
        ("Keycloak", json!({ "typ": "ID" })),
        ("a refresh token of Keycloak", json!({ "typ": "Refresh" })),
        ("an offline token of Keycloak", json!({ "typ": "Offline" })),
        ("a refresh token that says so of its use", json!({ "token_use": "refresh" })),
        ("a refresh token that says so of its type", json!({ "type": "refresh_token" })),
        ("a logout token", json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } })),
        ("a security event", json!({ "events": {} })),
    ] {
        bearer(&app, &token().claims(claims).sign()).await.assert_invalid(name, NotAnAccessToken);
    }
    // Only the audience tells this one.
    let bare = token().audience("client-1").sign();
    bearer(&app, &bare).await.assert_invalid("an ID token without a sign", Audience);
    let copied = token().claims(json!({ "nonce": "n", "scope": "openid" })).sign();
    bearer(&app, &copied).await.assert_passed("an access token with the nonce that its issuer copied");
}

#[tokio::test]
async fn rs_094_098_under_the_profile_of_rfc_9068_the_type_and_its_claims_are_required() {
    let app = app(gate(issuer().rfc9068()));
    let token = token().header("typ", "at+jwt").claims(json!({ "client_id": "c", "jti": "j" }));
    bearer(&app, &token.sign()).await.assert_passed("complete");
    for typ in ["application/at+jwt", "AT+JWT"] {
        bearer(&app, &token.clone().header("typ", typ).sign()).await.assert_passed(typ);
    }
    for typ in ["JWT", "dpop+jwt", "logout+jwt", "x/at+jwt"] {
        bearer(&app, &token.clone().header("typ", typ).sign()).await.assert_invalid(typ, TokenType);
    }
    bearer(&app, &token.clone().without_header("typ").sign()).await.assert_invalid("absent", TokenType);
    for (name, reason) in [
        ("sub", MalformedClaims("sub is missing")),
        ("client_id", MalformedClaims("client_id is missing")),
        ("iat", MalformedClaims("iat is missing")),
        ("jti", MalformedClaims("jti is missing")),
    ] {
        bearer(&app, &token.clone().without(name).sign()).await.assert_invalid(name, reason);
        let other = token.clone().claim(name, json!({})).sign();
        bearer(&app, &other).await.assert_invalid_token(name);
    }
    for name in ["client_id", "jti"] {
        let empty = token.clone().claim(name, "").sign();
        bearer(&app, &empty).await.assert_invalid_token(&format!("an empty {name}"));
    }
    let azp = token.without("client_id").claim("azp", "c").sign();
    bearer(&app, &azp).await.assert_invalid("azp is not client_id", MalformedClaims("client_id is missing"));
}

#[tokio::test]
async fn rs_099_sub_is_a_string_and_a_clients_own_token_can_be_told_from_a_users() {
    let app = usual();
    for (name, reason) in [
        ("sub", MalformedClaims("sub is not a string")),
        ("client_id", MalformedClaims("client_id is not a string")),
        ("azp", MalformedClaims("azp is not a string")),
        ("jti", MalformedClaims("jti is not a string")),
    ] {
        for value in NO_STRINGS {
            bearer(&app, &token().claim(name, json_of(value)).sign()).await.assert_invalid(value, reason);
        }
    }
    bearer(&app, &token().subject("").sign()).await.assert_invalid("nobody", MalformedClaims("sub is empty"));
    let who = async |token: TokenBuilder| {
        let verified = bearer(&app, &token.sign()).await.verified.unwrap();
        (verified.subject().map(str::to_owned), verified.registered().client_id.clone())
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(who(token().subject("ada").claim("client_id", "web")).await, (some("ada"), some("web")));
    assert_eq!(who(token().subject("web").claim("client_id", "web")).await, (some("web"), some("web")));
    assert_eq!(who(token().without("sub").claim("azp", "web")).await, (None, some("web")));
    let both = token().claims(json!({ "client_id": "web", "azp": "other" }));
    assert_eq!(who(both).await.1, some("web"), "client_id is the registered name");
}

#[tokio::test]
async fn rs_100_hostile_claims_come_back_nowhere() {
    let hostile = "ev\u{1b}[31mil\r\nSet-Cookie: a=b\u{0}";
    let long = "x".repeat(1 << 20);
    let app = app(gate(issuer()).limit(4 << 20));
    let (logs, _guard) = Logs::capture();
    let good =
        token().claims(json!({ "jti": hostile, "client_id": hostile, hostile: hostile, "scope": hostile }));
    let passed = bearer(&app, &good.clone().claim("x", long).sign()).await;
    passed.assert_passed("hostile, and true");
    assert_eq!(passed.verified.unwrap().registered().jti.as_deref(), Some(hostile), "as it was signed");
    for token in [
        good.clone().expired().sign(),
        good.clone().issuer(hostile).sign(),
        good.clone().audience(hostile).sign(),
        good.clone().claim("nonce", hostile).without("scope").sign(),
        good.clone().claim("exp", hostile).sign(),
        good.clone().claim("sub", json!([hostile])).sign(),
        good.tampered(),
    ] {
        let answer = bearer(&app, &token).await;
        answer.assert_invalid_token("hostile");
        assert!(!format!("{:?}{}", answer.headers, answer.body).contains("Cookie"));
    }
    let logs = logs.text();
    assert_eq!(logs.matches("request refused").count(), 7, "{logs}");
    for part in ["Set-Cookie", "31m", "\u{1b}", "\u{0}"] {
        assert!(!logs.contains(part), "{part:?} in the log");
    }
}

#[tokio::test]
async fn rs_101_a_policy_can_refuse_one_token_by_its_jti() {
    let revoked = |verified: &Verified| match verified.registered().jti.as_deref() {
        Some("revoked") | None => Err(AuthError::invalid_token("revoked")),
        Some(_) => Ok(()),
    };
    let app = guarded(revoked);
    let reason = Other(tower_bearer::AuthErrorKind::InvalidToken, "revoked");
    bearer(&app, &token().claim("jti", "revoked").sign()).await.assert_invalid("revoked", reason);
    bearer(&app, &token().claim("jti", "another").sign()).await.assert_passed("another");
}

#[tokio::test]
async fn rs_102_a_token_that_is_bound_to_a_key_is_no_plain_bearer_token() {
    let app = usual();
    for cnf in [
        json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" }),
        json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" }),
        json!({ "jwk": {} }),
        json!({ "unknown": 1 }),
        json!({}),
        json!(null),
        json!("x"),
        json!([]),
    ] {
        bearer(&app, &token().claim("cnf", cnf.clone()).sign())
            .await
            .assert_invalid(&cnf.to_string(), KeyBound);
    }
}

#[tokio::test]
async fn a_maximum_age_refuses_old_tokens_and_those_without_iat() {
    use tower_bearer::Reason::TooOld;
    let hour = issuer_with(&[rs256()]).max_token_age(Duration::from_secs(3600)).leeway(Duration::ZERO);
    let app = app(gate(hour).clock(now));
    let at = |iat: i64| token_by(rs256()).claim("exp", NOW + 10).claim("iat", iat).sign();
    bearer(&app, &at(NOW - 3599)).await.assert_passed("just young enough");
    bearer(&app, &at(NOW - 3600)).await.assert_invalid("an hour", TooOld);
    let without = token_by(rs256()).claim("exp", NOW + 10).without("iat").sign();
    bearer(&app, &without).await.assert_invalid("no iat", TooOld);
}
