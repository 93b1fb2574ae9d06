//! What a request costs in allocations, counted. In a binary of its own, since `allocation-counter` replaces the
//! allocator.

use bearer_testing::{Algorithm as Alg, SigningKey, TokenBuilder};
use http::{Request, Response};
use std::{
    convert::Infallible,
    future::ready,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tower::{Layer, Service, service_fn};
use tower_bearer::{
    Algorithm, AuthError, BearerLayer, Credential, Issuer, JwtVerifier, Presented, RegisteredClaims, Scopes,
    TokenCache, Verification, Verified, Verify,
    keys::{KeySet, KeySource},
    policy::{
        Claim, ClaimPath, Policy, aal, acr, acr_any, audience, authenticated, claim, claims, client, deny,
        issuer, max_age, not, not_anonymous, role, roles_all, roles_any, scope, scopes_all, scopes_any,
    },
    revocation::{DenyList, Standing, WhenUnsure},
};

/// Claims of several issuers at once, nested, with what has to be skipped on the way.
const CLAIMS: &str = r#"{
    "user_metadata": { "name": "A \"B\" C", "links": [{ "a": [[["deep"]]] }] },
    "role": "authenticated", "roles": ["staff", "editor"], "groups": ["a", "b"],
    "realm_access": { "roles": ["offline_access", "admin"] },
    "resource_access": { "account": { "roles": ["view"] }, "my.app": { "roles": ["editor"] } },
    "urn:zitadel:iam:org:project:roles": { "viewer": { "1": "x" }, "admin": { "230": "a.zitadel.cloud" } },
    "app_metadata": { "provider": "email", "roles": ["admin"], "plan": { "seats": 5 } },
    "aal": "aal2", "acr": "urn:mace:incommon:iap:silver", "auth_time": 1700000000, "is_anonymous": false,
    "amr": [{ "method": "totp", "timestamp": 1700000000 }, { "method": "password", "timestamp": 1699990000 }]
}"#;

/// One who was asked for a claim before.
fn caller() -> Verified {
    let caller = new_caller();
    assert!(caller.claim("none").is_none());
    caller
}

fn new_caller() -> Verified {
    let mut registered = RegisteredClaims::default();
    registered.scopes = Scopes::from_iter(["orders:read", "orders:write", "files:admin"]);
    registered.aud = ["https://api.example", "https://other.example"].into_iter().collect();
    registered.client_id = Some("web".into());
    registered.iss = Some(ISS.into());
    Verified::assertion(registered, 7_u8)
        .with_json(CLAIMS)
        .verified_at(UNIX_EPOCH + Duration::from_secs(1_700_000_010))
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn is_pro(plan: &Claim<'_>) -> bool {
    plan.as_u64() >= Some(5)
}

#[test]
fn whom_a_policy_permits_costs_no_allocation() {
    let no = || |_: &Verified| Err(AuthError::forbidden("no"));
    let table: Vec<(&str, Box<dyn Policy>)> = vec![
        ("authenticated", Box::new(authenticated())),
        ("scope", Box::new(scope("orders:read"))),
        ("scopes_all", Box::new(scopes_all(["orders:read", "orders:write"]))),
        ("scopes_any", Box::new(scopes_any(["x", "orders:write"]))),
        ("implied_by", Box::new(scope("files:read").implied_by(["files:write", "files:admin"]))),
        ("role", Box::new(role("editor"))),
        ("roles_all", Box::new(roles_all(["authenticated", "editor"]))),
        ("roles_any", Box::new(roles_any(["x", "staff"]))),
        ("role at", Box::new(role("admin").at("realm_access.roles"))),
        ("role at names with dots", Box::new(role("editor").at(["resource_access", "my.app", "roles"]))),
        ("role in an object", Box::new(role("admin").at("urn:zitadel:iam:org:project:roles"))),
        ("audience", Box::new(audience("https://other.example"))),
        ("issuer", Box::new(issuer("https://issuer.example"))),
        ("client", Box::new(client("web"))),
        ("claim", Box::new(claim("app_metadata.plan.seats", is_pro))),
        ("claims", Box::new(claims(|number: &u8| *number == 7))),
        ("not_anonymous", Box::new(not_anonymous())),
        ("aal", Box::new(aal("aal2"))),
        ("acr", Box::new(acr("urn:mace:incommon:iap:silver"))),
        ("acr_any", Box::new(acr_any(["x", "urn:mace:incommon:iap:silver"]).max_age(minute()))),
        ("max_age", Box::new(max_age(minute()))),
        ("aal and max_age", Box::new(aal("aal2").max_age(minute()))),
        ("and", Box::new(scope("orders:read").and(role("staff")).and(aal("aal1")))),
        ("or", Box::new(scope("x").or(role("x")).or(acr("x")).or(role("staff")))),
        ("not", Box::new(not(scope("x")).and(not(role("x"))).and(not(aal("aal3"))).and(not(deny())))),
        ("nested", Box::new(not(role("x").and(scope("x"))).and(scope("x").or(no()).or(not(aal("aal3")))))),
        ("dyn", Box::new(Arc::new(role("staff")) as Arc<dyn Policy>)),
    ];
    let caller = caller();
    for (name, policy) in table {
        let mut outcome = Ok(());
        let count = allocation_counter::measure(|| outcome = policy.check(&caller));
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        assert_eq!(count.count_total, 0, "{name}: {} bytes", count.bytes_total);
    }
}

#[test]
fn the_first_question_for_a_claim_finds_out_where_all_of_them_are() {
    let (caller, path) = (new_caller(), ClaimPath::from("aal"));
    let ask = || allocation_counter::measure(|| assert!(caller.claim(&path).is_some())).count_total;
    assert!((1..=4).contains(&ask()), "a list that grows, once");
    assert_eq!(ask(), 0);
}

#[test]
fn a_claim_by_a_path_made_before_costs_no_allocation() {
    let (caller, path) = (caller(), ClaimPath::from("resource_access.account.roles"));
    let mut found = false;
    let count = allocation_counter::measure(|| {
        found = caller.claim(&path).is_some_and(|roles| roles.contains("view"));
    });
    assert_eq!((found, count.count_total), (true, 0));
}

#[test]
fn the_counter_counts_and_only_a_challenge_that_was_completed_in_vain_costs_something() {
    let completed_in_vain = scope("x").and(aal("aal3")).or(authenticated());
    let (caller, mut outcome) = (caller(), Ok(()));
    let count = allocation_counter::measure(|| outcome = completed_in_vain.check(&caller));
    assert!(outcome.is_ok());
    assert!((1..=5).contains(&count.count_total), "{}", count.count_total);
}

const ISS: &str = "https://issuer.example";

/// A list that has something of every kind, and one session by either name.
fn list() -> DenyList {
    let (list, now) = (DenyList::new(1000), SystemTime::now());
    for other in 0..100 {
        list.revoke_token(ISS, &format!("other-{other}"), now + minute()).expect("room");
    }
    list.revoke_session(ISS, "closed", minute()).expect("room");
    list.revoke_subject(ISS, "gone", now + minute(), minute()).expect("room");
    list
}

#[test]
fn asking_a_deny_list_costs_no_allocation() {
    let of = |sub: &str, session_id: &str, sid: &str| {
        let mut claims = RegisteredClaims::default();
        let some = |text: &str| Some(text.to_owned());
        (claims.iss, claims.sub, claims.jti) = (Some(ISS.into()), some(sub), some("j"));
        (claims.session_id, claims.sid) = (some(session_id), some(sid));
        Verified::assertion(claims, ())
    };
    let (list, empty) = (list(), DenyList::new(1000));
    // A thread that asks for the first time gets its place among the readers.
    let _ = list.standing(&of("ada", "s-1", "s-2"));
    for (list, verified, expected) in [
        (&empty, of("gone", "closed", "closed"), Standing::Good),
        (&list, of("ada", "s-1", "s-2"), Standing::Good),
        (&list, of("ada", "closed", "s-2"), Standing::Revoked),
        (&list, of("ada", "s-1", "closed"), Standing::Revoked),
        (&list, of("gone", "s-1", "s-2"), Standing::Revoked),
    ] {
        let mut standing = Standing::Good;
        let count = allocation_counter::measure(|| standing = list.standing(&verified));
        assert_eq!((standing, count.count_total), (expected, 0), "{:?}", verified.registered());
    }
}

/// How many one verification makes.
fn allocations<V: Verify>(verifier: &V, presented: &Presented<'_>) -> u64 {
    let mut accepted = false;
    let count = allocation_counter::measure(|| {
        accepted = matches!(verifier.verify(presented), Verification::Done(Ok(_)));
    });
    assert!(accepted);
    count.count_total
}

#[test]
fn a_verifier_with_a_deny_list_costs_no_allocation_more_than_the_verifier() {
    let secret = [7; 32];
    let token = TokenBuilder::new(&SigningKey::hmac(Alg::HS256, &secret), ISS, "api");
    let token = token.subject("ada").claim("jti", "j").claim("session_id", "s-1").claim("sid", "s-2").sign();
    let verifier = JwtVerifier::new([Issuer::new(ISS, "api").hmac_secret(Algorithm::HS256, secret)]);
    let verifier = verifier.expect("an issuer with a secret").cache(&TokenCache::new(0));
    let request = Request::new(());
    let presented = Presented::new(Credential::new(&token).expect("b64token"), &request, SystemTime::now());
    let revocable = verifier.clone().revocable(list(), WhenUnsure::Refuse);
    // As above: the first time of this thread.
    allocations(&revocable, &presented);
    let alone = allocations(&verifier, &presented);
    assert!(alone > 0, "the counter counts");
    assert_eq!(allocations(&revocable, &presented), alone);
}

#[test]
fn what_is_remembered_keeps_to_its_size_whatever_users_write_into_their_claims() {
    #[derive(serde::Deserialize)]
    struct Own {
        #[expect(dead_code, reason = "only held")]
        user_metadata: serde_json::Value,
    }
    const BYTES: usize = 1024 * 1024;
    let (secret, deep) = ([7; 32], 40);
    let key = SigningKey::hmac(Alg::HS256, &secret);
    for (name, written) in [
        ("text", format!("[\"{}\"]", "x".repeat(500))),
        ("objects", format!("[{}{{}}]", r#"{"":1},"#.repeat(50))),
        ("arrays", format!("[{}0]", "[0],".repeat(100))),
        ("numbers", format!("[{}0]", "0,".repeat(200))),
        (
            "members",
            format!("{{{}\"\":0}}", (0..90).fold(String::new(), |all, n| format!(r#"{all}"{n}":0,"#))),
        ),
        ("objects in objects", format!("{}1{}", r#"{"":"#.repeat(deep), "}".repeat(deep))),
        ("arrays in arrays", format!("{}1{}", "[".repeat(deep), "]".repeat(deep))),
    ] {
        let cache = TokenCache::new(BYTES);
        let issuer = Issuer::new(ISS, "api").hmac_secret(Algorithm::HS256, secret).claims::<Own>();
        let verifier = JwtVerifier::new([issuer]).expect("an issuer").cache(&cache);
        let written: serde_json::Value = serde_json::from_str(&written).expect("JSON");
        let tokens: Vec<_> = (0..1000)
            .map(|n| {
                TokenBuilder::new(&key, ISS, "api")
                    .claim("n", n)
                    .claim("user_metadata", written.clone())
                    .sign()
            })
            .collect();
        let count = allocation_counter::measure(|| {
            for token in &tokens {
                let verification = verifier.verify_token(token, SystemTime::now());
                assert!(matches!(verification, Verification::Done(Ok(_))), "{name}: {verification:?}");
            }
        });
        let held = usize::try_from(count.bytes_current).expect("it holds something");
        assert!(held <= BYTES, "{name}: {held} bytes");
        assert!((1..1000).contains(&cache.len()), "{name}: {} tokens", cache.len());
    }
}

/// How many the gate makes for a request that it lets in, those of the inner service not counted.
fn of_gate(gate: &BearerLayer, token: &str) -> u64 {
    let inner = || {
        service_fn(|request: Request<()>| {
            drop(request);
            ready(Ok::<_, Infallible>(Response::new(())))
        })
    };
    let request = || {
        let header = format!("Bearer {token}");
        // As behind a router, which has put something there before.
        Request::builder().header("authorization", header).extension(7_u8).body(()).expect("a request")
    };
    let count = |request, service: &mut dyn FnMut(Request<()>) -> u16| {
        let mut status = 0;
        let count = allocation_counter::measure(|| status = service(request));
        assert_eq!(status, 200);
        count.count_total
    };
    let (mut bare, mut gated) = (inner(), gate.layer(inner()));
    let bare = count(request(), &mut |request| finish(bare.call(request)));
    let gated = count(request(), &mut |request| finish(gated.call(request)));
    gated - bare
}

fn finish(future: impl Future<Output = Result<Response<()>, Infallible>>) -> u16 {
    let Poll::Ready(Ok(response)) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nothing here waits or fails");
    };
    response.status().as_u16()
}

#[test]
fn a_usual_token_costs_a_dozen_allocations_once_and_then_next_to_none() {
    let key = SigningKey::generate(Alg::ES256).kid("3f2a7c1e-5b64-4d0f-9a8c-000000000000");
    let jwks = serde_json::json!({ "keys": [key.public_jwk()] }).to_string();
    let project = "https://abcdefghijklmnopqrst.supabase.co";
    let token = TokenBuilder::new(&key, &format!("{project}/auth/v1"), "authenticated")
        .claims(serde_json::json!({
            "email": "ada@example.com",
            "phone": "",
            "app_metadata": { "provider": "email", "providers": ["email"] },
            "user_metadata": { "email": "ada@example.com", "email_verified": true },
            "role": "authenticated",
            "aal": "aal1",
            "amr": [{ "method": "password", "timestamp": 1_700_000_000 }],
            "session_id": "7d9f9ac6-3a5e-4f53-9d07-d6ed2b9d8f5c",
            "is_anonymous": false,
        }))
        .sign();
    let keys = KeySource::fixed(KeySet::from_jwks(&jwks).expect("a set"));
    let issuer = Issuer::supabase(project).expect("a project").keys(keys);
    let verifier = JwtVerifier::new([issuer]).expect("an issuer");

    let cold = BearerLayer::new(verifier.clone().cache(&TokenCache::new(0)));
    // The first request of a process makes what all others use.
    of_gate(&cold, &token);
    assert!(of_gate(&cold, &token) <= 12);

    let remembering = BearerLayer::new(verifier);
    of_gate(&remembering, &token);
    assert!(of_gate(&remembering, &token) <= 2);
}
