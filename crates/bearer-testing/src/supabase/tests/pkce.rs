//! Signing in at a provider, with PKCE.

use super::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Where a sign-in at a provider leads.
async fn authorize(supabase: &TestSupabase, parameters: &[(&str, &str)]) -> Answer {
    let url = crate::query::with_query(&format!("{}/authorize", supabase.issuer()), parameters);
    client::request("GET", &url, &[NEW_SHAPE], "").await
}

#[tokio::test]
async fn a_sign_in_with_pkce_comes_back_with_a_code_that_is_good_once() {
    let supabase = project(SupabaseOptions::default()).await;
    let back = ("redirect_to", "http://localhost/back?state=s");
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "s256")];
    let parameters = [&[("provider", "github"), back][..], &challenge].concat();
    let code = async || {
        let answer = authorize(&supabase, &parameters).await;
        assert_eq!(answer.status, 302);
        let location = &answer.headers["location"];
        location.strip_prefix("http://localhost/back?state=s&code=").expect("back again").to_owned()
    };
    let exchange = async |code: &str, verifier: &str| {
        let body = json!({ "auth_code": code, "code_verifier": verifier });
        post(&supabase, "token?grant_type=pkce", body).await
    };
    let good = code().await;
    let session = exchange(&good, VERIFIER).await.json();
    assert_eq!(session["user"]["email"], EMAIL);
    assert_eq!(outcome(&exchange(&good, VERIFIER).await), (404, "flow_state_not_found".to_owned()));
    let stolen = code().await;
    assert_eq!(outcome(&exchange(&stolen, CHALLENGE).await), (400, "bad_code_verifier".to_owned()));
    assert_eq!(supabase.sessions_alive(), 1);

    for without in [0, 1, 2] {
        let mut parameters = parameters.clone();
        parameters.remove(without);
        let answer = authorize(&supabase, &parameters).await;
        assert_eq!(outcome(&answer), (400, "validation_failed".to_owned()), "{without}");
    }
    let nobody = [&parameters[..], &[("login_hint", "eve@example.com")]].concat();
    let answer = authorize(&supabase, &nobody).await;
    assert!(answer.headers["location"].contains("&error=access_denied&"), "{answer:?}");
}
