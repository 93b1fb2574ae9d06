//! The Supabase preset against a small Supabase Auth.

use crate::support::{
    answer::Answer,
    app::{app, ask, bearer, request},
    keys::gate,
};
use axum::{Router, routing::get};
use axum_bearer::{AuthUser, Issuer};
use bearer_testing::{SigningKey, TestSupabase, TokenBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_bearer::{
    Reason::{
        self, ApiKey, Audience, ClaimsType, MalformedClaims, NotAUser, NotAnAccessToken, UnknownIssuer,
    },
    keys::{KeySet, KeySource},
    supabase::SupabaseClaims,
};

/// The preset with the keys that the project serves.
async fn preset(supabase: &TestSupabase) -> Issuer {
    let served = reqwest::get(supabase.jwks_uri()).await.unwrap().text().await.unwrap();
    let issuer = Issuer::supabase(supabase.project_url()).unwrap();
    assert_eq!((issuer.iss(), issuer.key_location()), (supabase.issuer(), Some(&*supabase.jwks_uri())));
    issuer.keys(KeySource::fixed(KeySet::from_jwks(&served).unwrap()))
}

fn claims(answer: &Answer) -> std::sync::Arc<SupabaseClaims> {
    answer.verified.as_ref().unwrap().claims::<SupabaseClaims>().unwrap()
}

#[tokio::test]
async fn the_access_token_of_a_login_passes_and_reaches_the_handler() {
    async fn me(user: AuthUser) -> String {
        format!("{} {:?} {:?}", user.sub, user.email.as_deref(), user.aal.as_deref())
    }
    let supabase = TestSupabase::start().await;
    let id = supabase.add_user("ada@example.com", "correct horse");
    let session = supabase.sign_in("ada@example.com");
    let token = session["access_token"].as_str().unwrap();
    let app = Router::new().route("/", get(me)).layer(gate(preset(&supabase).await));
    let answer = bearer(&app, token).await;
    assert_eq!((answer.status, answer.body), (200, format!(r#"{id} Some("ada@example.com") Some("aal1")"#)));
    assert_eq!(ask(&app, request([])).await.status, 401);
    // A refresh token is no access token, and no JWT at all.
    bearer(&app, session["refresh_token"].as_str().unwrap()).await.assert_invalid_token("a refresh token");
    bearer(&app, &supabase.token().expired().sign()).await.assert_invalid("expired", Reason::Expired);
}

#[tokio::test]
async fn what_is_nobodys_sign_in_is_refused_with_and_without_the_legacy_secret() {
    let supabase = TestSupabase::start().await;
    let without = app(gate(preset(&supabase).await));
    let with = app(gate(preset(&supabase).await.legacy_jwt_secret(supabase.legacy_secret())));
    let self_hosted = {
        let issuer = preset(&supabase).await.legacy_jwt_secret(supabase.legacy_secret());
        app(gate(issuer.allow_missing_iss()))
    };
    for app in [&without, &with, &self_hosted] {
        bearer(app, &supabase.anon_key()).await.assert_invalid("the anon key", UnknownIssuer);
        bearer(app, &supabase.service_role_key()).await.assert_invalid("the service_role key", UnknownIssuer);
        for key in ["sb_publishable_abc", "sb_secret_abc"] {
            bearer(app, key).await.assert_invalid(key, ApiKey);
        }
        bearer(app, &supabase.id_token().sign()).await.assert_invalid_token("an ID token");
    }
    // The same in the project's own name: only the role tells.
    let legacy = |role: &str| supabase.legacy_token().claim("role", role).sign();
    for role in ["anon", "service_role", "supabase_admin"] {
        bearer(&with, &supabase.token().claim("role", role).sign()).await.assert_invalid(role, NotAUser);
        bearer(&with, &legacy(role)).await.assert_invalid(role, NotAUser);
        bearer(&without, &legacy(role)).await.assert_invalid(role, Reason::Algorithm);
        let nameless = supabase.legacy_token().claim("role", role).without("iss").without("sub").sign();
        bearer(&self_hosted, &nameless).await.assert_invalid(role, NotAUser);
    }
}

#[tokio::test]
async fn an_id_token_is_refused_whatever_it_leaves_out() {
    let supabase = TestSupabase::start().await;
    let app = app(gate(preset(&supabase).await));
    let id_token = || supabase.id_token();
    bearer(&app, &id_token().sign()).await.assert_invalid("as it is", NotAnAccessToken);
    bearer(&app, &id_token().without("nonce").sign()).await.assert_invalid("without nonce", Audience);
    let ours = id_token().without("nonce").audience("authenticated");
    bearer(&app, &ours.sign()).await.assert_invalid("for our audience", NotAnAccessToken);
    let unnamed = ours.clone().claim("role", "").sign();
    bearer(&app, &unnamed).await.assert_invalid("an empty role is none", NotAnAccessToken);
    bearer(&app, &ours.claim("role", json!(["authenticated"])).sign())
        .await
        .assert_invalid_token("a list of roles");
}

#[tokio::test]
async fn the_legacy_secret_is_trusted_only_where_it_is_configured() {
    let supabase = TestSupabase::start().await;
    let token = supabase.legacy_token();
    let without = app(gate(preset(&supabase).await));
    bearer(&without, &token.sign()).await.assert_invalid("not configured", Reason::Algorithm);
    let with = app(gate(preset(&supabase).await.legacy_jwt_secret(supabase.legacy_secret())));
    bearer(&with, &token.sign()).await.assert_passed("configured");
    bearer(&with, &supabase.token().sign()).await.assert_passed("beside the signing keys");
    bearer(&with, &token.tampered()).await.assert_invalid("tampered", Reason::Signature);
    for algorithm in [bearer_testing::Algorithm::HS384, bearer_testing::Algorithm::HS512] {
        let other = SigningKey::hmac(algorithm, supabase.legacy_secret().as_bytes());
        bearer(&with, &supabase.token().key(&other).sign())
            .await
            .assert_invalid("another hash", Reason::Algorithm);
    }
    // A project that has only its secret serves an empty set.
    supabase.remove("key-1");
    let served = reqwest::get(supabase.jwks_uri()).await.unwrap().text().await.unwrap();
    assert!(KeySet::from_jwks(&served).unwrap().is_empty());
    let secret_only =
        Issuer::supabase(supabase.project_url()).unwrap().legacy_jwt_secret(supabase.legacy_secret());
    let secret_only = app(gate(secret_only));
    bearer(&secret_only, &token.sign()).await.assert_passed("the secret alone");
    bearer(&secret_only, &supabase.token().sign()).await.assert_invalid_token("no keys to ask");
}

#[tokio::test]
async fn tokens_as_custom_hooks_shape_them_pass() {
    let supabase = TestSupabase::start().await;
    let app = app(gate(preset(&supabase).await));
    let token = || supabase.token();
    let all_at_once = json!({
        "aud": ["authenticated", "other"], "amr": ["password", "totp"], "app_metadata": null, "user_metadata": null,
        "phone": null, "email": null, "aal": null, "is_anonymous": null, "role": "manager",
        "extra": { "deep": [1, { "x": null }] }, "https://example.com/claim": true, "scope": "a b",
    });
    let answer = bearer(&app, &token().claims(all_at_once).sign()).await;
    answer.assert_passed("everything changed");
    let read = claims(&answer);
    assert_eq!(read.amr.iter().map(|entry| &*entry.method).collect::<Vec<_>>(), ["password", "totp"]);
    assert_eq!(
        (read.role.as_deref(), read.email.as_deref(), read.is_anonymous),
        (Some("manager"), None, false)
    );
    assert_eq!((read.app_metadata.as_json(), read.user_metadata.as_json()), ("null", "null"));
    assert!(answer.verified.unwrap().scopes().contains("b"));

    let left_out = ["email", "phone", "app_metadata", "user_metadata", "aal", "amr", "is_anonymous", "iat"];
    for name in left_out {
        bearer(&app, &token().without(name).sign()).await.assert_passed(name);
    }
    let few = left_out.iter().fold(token(), |token, name| token.without(name));
    bearer(&app, &few.sign()).await.assert_passed("the fewest claims");
    bearer(&app, &few.clone().without("role").sign()).await.assert_passed("known by its session");
    bearer(&app, &few.clone().without("session_id").sign()).await.assert_passed("known by its role");
    let neither = few.without("role").without("session_id").sign();
    bearer(&app, &neither).await.assert_invalid("known by nothing", NotAnAccessToken);

    let anonymous = bearer(&app, &token().claim("is_anonymous", true).sign()).await;
    assert!(claims(&anonymous).is_anonymous, "a user, but nobody in particular");
    let metadata = bearer(&app, &token().sign()).await;
    assert_eq!(claims(&metadata).app_metadata.parse::<Value>().unwrap()["provider"], "email");
}

#[tokio::test]
async fn a_token_without_a_subject_is_no_users() {
    let supabase = TestSupabase::start().await;
    let app = app(gate(preset(&supabase).await));
    bearer(&app, &supabase.token().without("sub").sign()).await.assert_invalid("absent", NotAUser);
    let empty = supabase.token().subject("").sign();
    bearer(&app, &empty).await.assert_invalid("empty", MalformedClaims("sub is empty"));
}

#[tokio::test]
async fn audience_and_issuer_of_the_preset_are_exact() {
    let supabase = TestSupabase::start().await;
    let app = app(gate(preset(&supabase).await));
    let token = || supabase.token();
    for aud in [json!("Authenticated"), json!("anon"), json!(["x"]), json!("")] {
        bearer(&app, &token().audience(aud.clone()).sign()).await.assert_invalid(&aud.to_string(), Audience);
    }
    for iss in [supabase.project_url().to_owned(), format!("{}/", supabase.issuer()), "supabase".to_owned()] {
        bearer(&app, &token().issuer(&iss).sign()).await.assert_invalid(&iss, UnknownIssuer);
    }
    let another = TestSupabase::start().await;
    bearer(&app, &another.token().sign()).await.assert_invalid("another project", UnknownIssuer);
    let forged = another.token().issuer(supabase.issuer()).sign();
    bearer(&app, &forged).await.assert_invalid("in this one's name", Reason::Signature);
}

#[tokio::test]
async fn a_self_hosted_server_without_iss_wants_its_opt_out() {
    let supabase = TestSupabase::start().await;
    let token = supabase.token().without("iss");
    let strict = app(gate(preset(&supabase).await));
    bearer(&strict, &token.sign()).await.assert_invalid("by default", UnknownIssuer);
    let lenient = app(gate(preset(&supabase).await.allow_missing_iss()));
    bearer(&lenient, &token.sign()).await.assert_passed("opted out");
    bearer(&lenient, &supabase.token().sign()).await.assert_passed("with the name");
    bearer(&lenient, &token.clone().issuer("https://evil.example").sign())
        .await
        .assert_invalid("evil", UnknownIssuer);
    bearer(&lenient, &token.tampered()).await.assert_invalid("tampered", Reason::Signature);
}

#[tokio::test]
async fn claims_of_the_applications_own_keep_the_guards_of_the_preset() {
    #[derive(Deserialize)]
    struct Claims {
        sub: String,
        user_role: String,
    }
    let supabase = TestSupabase::start().await;
    let app = app(gate(preset(&supabase).await.claims::<Claims>()));
    let token = |role: &str| -> TokenBuilder {
        supabase.token().claims(json!({ "user_role": "admin", "role": role }))
    };
    let answer = bearer(&app, &token("authenticated").sign()).await;
    let read = answer.verified.unwrap().claims::<Claims>().unwrap();
    assert_eq!((read.user_role.as_str(), read.sub.is_empty()), ("admin", false));
    bearer(&app, &token("anon").sign()).await.assert_invalid("the guard stays", NotAUser);
    bearer(&app, &supabase.token().sign()).await.assert_invalid("without the hook's claim", ClaimsType);
}

#[tokio::test]
async fn a_rotated_key_verifies_when_it_is_served() {
    let supabase = TestSupabase::start().await;
    let before = app(gate(preset(&supabase).await));
    supabase.rotate();
    bearer(&before, &supabase.token().sign()).await.assert_invalid("not fetched yet", Reason::UnknownKey);
    let after = app(gate(preset(&supabase).await));
    bearer(&after, &supabase.token().sign()).await.assert_passed("fetched");
    supabase.remove("key-1");
    let revoked = app(gate(preset(&supabase).await));
    assert_eq!(bearer(&revoked, &supabase.token().sign()).await.status, 200);
}
