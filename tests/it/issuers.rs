//! Tokens as well-known issuers make them, behind the set-up that `issuers.md` of tower-bearer shows for each.

use crate::support::{
    app::{app, bearer},
    keys::{gate, jwks, rs256, source},
};
use axum::Router;
use bearer_testing::TokenBuilder;
use serde_json::{Value, json};
use tower::Layer as _;
use tower_bearer::{
    Algorithm, Issuer,
    Reason::{Audience, Client, NotAnAccessToken, TokenType, UnknownIssuer},
    RequireLayer,
    policy::{Policy, role, scope},
};

/// A token with these claims and no others but `exp`.
fn token(claims: Value) -> TokenBuilder {
    let bare = TokenBuilder::new(rs256(), "", "").without("iss").without("aud").without("sub").without("iat");
    bare.claims(claims)
}

fn behind(issuer: Issuer) -> Router {
    app(gate(issuer.keys(source(&jwks(&[rs256()])))))
}

/// Whether the policy permits the bearer of a token that is good.
async fn permits(issuer: Issuer, policy: impl Policy + Clone + Send + Sync + 'static, claims: Value) -> bool {
    let inner = Router::new().fallback(async || ()).layer(RequireLayer::new(policy));
    let gate = gate(issuer.keys(source(&jwks(&[rs256()]))));
    let answer = bearer(&Router::new().fallback_service(gate.layer(inner)), &token(claims).sign()).await;
    assert_ne!(answer.status, 401, "{answer:?}");
    answer.status == 200
}

#[tokio::test]
async fn auth0s_access_tokens_pass_and_its_id_tokens_do_not() {
    let iss = "https://tenant.eu.auth0.com/";
    let issuer = || Issuer::new(iss, "https://api.example.com").algorithms([Algorithm::RS256]);
    let both = ["https://api.example.com", "https://tenant.eu.auth0.com/userinfo"];
    let user = json!({ "iss": iss, "sub": "auth0|1", "aud": both, "iat": 1, "azp": "spa",
        "scope": "openid orders:read", "permissions": ["orders:read"] });
    let app = behind(issuer());
    bearer(&app, &token(user.clone()).sign()).await.assert_passed("a user's");
    let machine = json!({ "iss": iss, "sub": "m2m@clients", "aud": both[0], "gty": "client-credentials", "azp": "m2m" });
    bearer(&app, &token(machine.clone()).sign()).await.assert_passed("a machine's");
    assert!(permits(issuer(), scope("orders:read").and(role("orders:read").at("permissions")), user).await);
    assert!(!permits(issuer(), scope("orders:read"), machine).await);

    let id = json!({ "iss": iss, "sub": "auth0|1", "aud": "spa", "nonce": "n", "sid": "s" });
    bearer(&app, &token(id.clone()).sign()).await.assert_invalid("an ID token", NotAnAccessToken);
    bearer(&app, &token(id).without("nonce").sign()).await.assert_invalid("one without nonce", Audience);
    let unslashed = token(json!({ "iss": iss.trim_end_matches('/'), "aud": both[0] })).sign();
    bearer(&app, &unslashed).await.assert_invalid("without the slash", UnknownIssuer);

    let app = behind(issuer().rfc9068());
    let profiled =
        json!({ "iss": iss, "sub": "auth0|1", "aud": both, "iat": 1, "jti": "j", "client_id": "spa" });
    let profiled = token(profiled).header("typ", "at+jwt");
    bearer(&app, &profiled.sign()).await.assert_passed("of the profile RFC 9068");
    assert_eq!(bearer(&app, &profiled.header("typ", "JWT").sign()).await.status, 401);
}

#[tokio::test]
async fn better_auths_two_kinds_of_tokens_pass_each_under_its_own_name() {
    let (origin, api) = ("https://app.example.com", "https://api.example.com");
    let iss = format!("{origin}/api/auth");
    // Its keys have no `use`.
    let mut set = jwks(&[rs256()]);
    set["keys"][0].as_object_mut().unwrap().remove("use");
    let behind = |issuer: Issuer| app(gate(issuer.keys(source(&set))));
    let plugin = || Issuer::new(origin, origin);
    let user = json!({ "iss": origin, "sub": "u", "id": "u", "aud": origin, "iat": 1, "name": "Ada",
        "email": "ada@example.com", "emailVerified": false, "createdAt": "2026-01-01T00:00:00.000Z", "role": "admin",
        "banned": false });
    let bare = token(user.clone()).without_header("typ");
    bearer(&behind(plugin()), &bare.sign()).await.assert_passed("of the plugin jwt");
    assert!(permits(plugin(), role("admin"), user).await);
    let with = |name: &str, roles: Value| json!({ "iss": origin, "sub": "u", "aud": origin, name: roles });
    assert!(!permits(plugin(), role("admin"), with("role", json!("admin,editor"))).await);
    assert!(permits(plugin(), role("editor"), with("roles", json!(["admin", "editor"]))).await);
    let copy = token(json!({ "iss": origin, "sub": "u", "aud": "better-auth:session-cache", "sid": "s" }));
    let copy = copy.header("typ", "better-auth.session-cache+jwt").sign();
    bearer(&behind(plugin()), &copy).await.assert_invalid("the cookie of a session", TokenType);

    let provider = || Issuer::new(&iss, api).rfc9068();
    let access = json!({ "iss": iss, "sub": "u", "aud": [api, format!("{iss}/oauth2/userinfo")], "client_id": "web",
        "azp": "web", "scope": "openid orders:read", "sid": "s", "iat": 1, "jti": "j" });
    let profiled = token(access).header("typ", "at+jwt");
    bearer(&behind(provider()), &profiled.sign()).await.assert_passed("of the OAuth provider");
    bearer(&behind(plugin()), &profiled.sign()).await.assert_invalid("under the other name", UnknownIssuer);
    let id = json!({ "iss": iss, "sub": "u", "aud": "web", "acr": "0", "auth_time": 1, "at_hash": "x", "sid": "s" });
    let id = token(id).without_header("typ").sign();
    bearer(&behind(provider()), &id).await.assert_invalid("an ID token", TokenType);
}

#[tokio::test]
async fn clerks_session_passes_from_the_origins_that_are_named() {
    let iss = "https://clerk.example.com";
    let issuer =
        || Issuer::without_audience(iss, "https://app.example.com").also_for("https://admin.example.com");
    let app = behind(issuer());
    let session = |azp: &str| {
        json!({ "iss": iss, "sub": "user_1", "azp": azp, "sid": "sess_1", "v": 2, "fva": [5, -1], "nbf": 1, "iat": 1,
            "o": { "id": "org_1", "slg": "acme", "rol": "admin" } })
    };
    for origin in ["https://app.example.com", "https://admin.example.com"] {
        bearer(&app, &token(session(origin)).sign()).await.assert_passed(origin);
    }
    let admin = || role("admin").at("o.rol");
    assert!(permits(issuer(), admin(), session("https://app.example.com")).await);
    assert!(!permits(issuer(), role("owner").at("o.rol"), session("https://app.example.com")).await);
    let elsewhere = token(session("https://evil.example.com")).sign();
    bearer(&app, &elsewhere).await.assert_invalid("of another origin", Client);
    bearer(&app, &token(session("")).without("azp").sign()).await.assert_invalid("of a native app", Client);
}

#[tokio::test]
async fn cognitos_access_tokens_pass_for_the_client_that_is_named() {
    let iss = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_POOL";
    let issuer = || Issuer::without_audience(iss, "client");
    let app = behind(issuer());
    let access = json!({ "iss": iss, "sub": "u", "client_id": "client", "token_use": "access", "username": "ada",
        "scope": "aws.cognito.signin.user.admin orders/read", "cognito:groups": ["admins"], "iat": 1, "jti": "j" });
    bearer(&app, &token(access.clone()).sign()).await.assert_passed("an access token");
    let may = || scope("orders/read").and(role("admins").at("cognito:groups"));
    assert!(permits(issuer(), may(), access.clone()).await);
    assert!(!permits(issuer(), role("owners").at("cognito:groups"), access.clone()).await);
    let id = json!({ "iss": iss, "sub": "u", "aud": "client", "token_use": "id", "cognito:username": "ada" });
    bearer(&app, &token(id).sign()).await.assert_invalid("an ID token", NotAnAccessToken);
    let other = token(access).claim("client_id", "another").sign();
    bearer(&app, &other).await.assert_invalid("of another client of the pool", Client);
}

#[tokio::test]
async fn entras_tokens_of_either_version_pass_for_one_tenant() {
    let tenant = "9d2f1c1e-0000-4000-8000-000000000001";
    let v2 = format!("https://login.microsoftonline.com/{tenant}/v2.0");
    let issuer = || Issuer::new(&v2, "api-id");
    // As its keys are: without `alg`, and with the issuer that they are for.
    let mut set = jwks(&[rs256()]);
    set["keys"][0].as_object_mut().unwrap().remove("alg");
    set["keys"][0]["issuer"] = json!("https://login.microsoftonline.com/{tenantid}/v2.0");
    let app_v2 = app(gate(issuer().keys(source(&set))));
    let access = json!({ "iss": v2, "sub": "pairwise", "aud": "api-id", "azp": "spa", "scp": "access_as_user orders.read",
        "roles": ["Orders.Admin"], "tid": tenant, "oid": "o", "ver": "2.0", "iat": 1, "nbf": 1 });
    bearer(&app_v2, &token(access.clone()).sign()).await.assert_passed("an access token");
    assert!(permits(issuer(), scope("orders.read").and(role("Orders.Admin")), access.clone()).await);
    let id =
        json!({ "iss": v2, "sub": "pairwise", "aud": "api-id", "tid": tenant, "ver": "2.0", "nonce": "n" });
    bearer(&app_v2, &token(id.clone()).sign()).await.assert_invalid("an ID token", NotAnAccessToken);
    let nonceless = token(id).without("nonce");
    bearer(&app_v2, &nonceless.sign()).await.assert_passed("one without nonce, of a shared registration");
    let claims: Value = serde_json::from_str(&nonceless.payload()).unwrap();
    assert!(!permits(issuer(), scope("access_as_user"), claims).await, "the scope tells");
    let other = token(access).claim("iss", "https://login.microsoftonline.com/other/v2.0").sign();
    bearer(&app_v2, &other).await.assert_invalid("of another tenant", UnknownIssuer);

    let v1 = format!("https://sts.windows.net/{tenant}/");
    let app_v1 = behind(Issuer::new(&v1, "api://api-id"));
    let access = json!({ "iss": v1, "sub": "s", "aud": "api://api-id", "appid": "spa", "scp": "orders.read",
        "tid": tenant, "ver": "1.0" });
    bearer(&app_v1, &token(access).header("x5t", "x").sign()).await.assert_passed("version 1");
}

#[tokio::test]
async fn firebases_tokens_pass_for_their_own_project() {
    let iss = "https://securetoken.google.com/project";
    let app = behind(Issuer::new(iss, "project").algorithms([Algorithm::RS256]));
    let claims = json!({ "iss": iss, "aud": "project", "sub": "uid", "user_id": "uid", "auth_time": 1, "iat": 1,
        "firebase": { "identities": {}, "sign_in_provider": "password" } });
    bearer(&app, &token(claims.clone()).sign()).await.assert_passed("a user's");
    bearer(&app, &token(claims).claim("aud", "another").sign())
        .await
        .assert_invalid("another project's", Audience);
}

#[tokio::test]
async fn keycloaks_access_tokens_pass_and_its_other_tokens_do_not() {
    let iss = "https://sso.example.com/realms/acme";
    let issuer = || Issuer::new(iss, "orders-api").algorithms([Algorithm::RS256]);
    // It publishes the key for encryption beside the others.
    let mut set = jwks(&[rs256()]);
    let mut encryption = rs256().public_jwk();
    (encryption["use"], encryption["alg"], encryption["kid"]) =
        (json!("enc"), json!("RSA-OAEP"), json!("enc"));
    set["keys"].as_array_mut().unwrap().insert(0, encryption);
    let app = app(gate(issuer().keys(source(&set))));
    let access = json!({ "iss": iss, "sub": "u", "aud": ["orders-api", "account"], "typ": "Bearer", "azp": "web",
        "sid": "s", "scope": "openid profile", "realm_access": { "roles": ["admin"] },
        "resource_access": { "orders-api": { "roles": ["editor"] } }, "iat": 1, "jti": "j" });
    bearer(&app, &token(access.clone()).sign()).await.assert_passed("an access token");
    let roles = || {
        let editor = role("editor").at(["resource_access", "orders-api", "roles"]);
        role("admin").at("realm_access.roles").and(editor)
    };
    assert!(permits(issuer(), roles(), access.clone()).await);
    assert!(!permits(issuer(), role("editor").at("realm_access.roles"), access.clone()).await);
    for (name, kind) in
        [("an ID token", "ID"), ("a refresh token", "Refresh"), ("an offline token", "Offline")]
    {
        let other = token(access.clone()).claim("typ", kind).sign();
        bearer(&app, &other).await.assert_invalid(name, NotAnAccessToken);
    }
    let unmapped = token(access.clone()).claim("aud", "account");
    bearer(&app, &unmapped.sign()).await.assert_invalid("without a mapper", Audience);
    let lenient = behind(Issuer::whatever_audience(iss, "web"));
    bearer(&lenient, &unmapped.sign()).await.assert_passed("of the client that is named");
    bearer(&lenient, &unmapped.claim("azp", "other").sign()).await.assert_invalid("of another", Client);
}

#[tokio::test]
async fn oktas_scopes_are_a_list_and_its_id_tokens_are_refused() {
    let iss = "https://org.okta.com/oauth2/default";
    let issuer = || Issuer::new(iss, "api://default");
    let app = behind(issuer());
    let access = json!({ "ver": 1, "jti": "AT.x", "iss": iss, "aud": "api://default", "iat": 1, "cid": "0oa", "uid": "00u",
        "scp": ["openid", "orders.read"], "sub": "ada@example.com", "groups": ["Admins"] });
    bearer(&app, &token(access.clone()).without_header("typ").sign()).await.assert_passed("an access token");
    let may = || scope("orders.read").and(role("Admins").at("groups"));
    assert!(permits(issuer(), may(), access.clone()).await);
    assert!(!permits(issuer(), scope("orders"), access).await);
    let id = json!({ "ver": 1, "iss": iss, "aud": "0oa", "sub": "00u", "at_hash": "x" });
    bearer(&app, &token(id).sign()).await.assert_invalid("an ID token", NotAnAccessToken);
}

#[tokio::test]
async fn ory_hydras_token_passes_where_the_audience_was_asked_for() {
    let iss = "https://hydra.example.com/";
    let issuer = || Issuer::new(iss, "https://api.example.com");
    let app = behind(issuer());
    let access = json!({ "iss": iss, "sub": "u", "aud": ["https://api.example.com"], "client_id": "web", "ext": {},
        "scp": ["orders"], "iat": 1.5, "nbf": 1.5, "jti": "j" });
    bearer(&app, &token(access.clone()).sign()).await.assert_passed("an access token");
    assert!(permits(issuer(), scope("orders"), access.clone()).await);
    bearer(&app, &token(access).claim("aud", json!([])).sign())
        .await
        .assert_invalid("nobody asked for", Audience);
}

#[tokio::test]
async fn the_session_of_workos_is_bound_by_its_keys() {
    let iss = "https://api.workos.com";
    let issuer = || Issuer::without_audience_or_client(iss);
    let app = behind(issuer());
    let session = json!({ "iss": iss, "sub": "user_1", "org_id": "org_1", "role": "member", "roles": ["member"],
        "permissions": ["posts:read"], "entitlements": ["audit-logs"], "sid": "session_1", "jti": "j", "iat": 1 });
    bearer(&app, &token(session.clone()).sign()).await.assert_passed("a session's");
    let may = || role("member").and(role("posts:read").at("permissions"));
    assert!(permits(issuer(), may(), session.clone()).await);
    assert!(!permits(issuer(), role("admin"), session.clone()).await);
    let machine = token(session).claim("aud", "https://payments.example").sign();
    bearer(&app, &machine).await.assert_invalid("for another API", Audience);
}

#[tokio::test]
async fn zitadels_roles_are_the_members_of_an_object() {
    let (iss, roles) = ("https://acme.zitadel.cloud", "urn:zitadel:iam:org:project:230:roles");
    let issuer = || Issuer::new(iss, "230");
    let app = behind(issuer());
    let access = json!({ "iss": iss, "sub": "u", "aud": ["230", "231@acme"], "client_id": "231@acme", "iat": 1, "jti": "j",
        roles: { "admin": { "229": "acme.zitadel.cloud" } } });
    bearer(&app, &token(access.clone()).sign()).await.assert_passed("an access token");
    assert!(permits(issuer(), role("admin").at([roles]), access.clone()).await);
    assert!(!permits(issuer(), role("229").at([roles]), access.clone()).await);
    let unasked = token(access).claim("aud", json!(["231@acme"])).sign();
    bearer(&app, &unasked).await.assert_invalid("the project not asked for", Audience);
}
