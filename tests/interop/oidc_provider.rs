//! Access tokens by node-oidc-provider, its keys found by discovery.

use crate::{
    node,
    support::app::{app, bearer},
};
use axum::Router;
use axum_bearer::{Algorithm, BearerLayer, Connect, Issuer};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::process::Child;
use tower_bearer::Reason;

/// The provider, as long as it is needed.
struct Provider {
    _process: Child,
    about: About,
}

#[derive(Deserialize)]
struct About {
    issuer: String,
    /// What the names of all resources begin with; the name of an algorithm follows.
    api: String,
    algorithms: Vec<String>,
    hmac_secret: String,
    client: Client,
}

#[derive(Deserialize)]
struct Client {
    id: String,
    secret: String,
}

impl Provider {
    async fn start() -> Option<Self> {
        let (process, about) = node::serve("provider.mjs").await?;
        Some(Self { _process: process, about })
    }

    fn audience(&self, resource: &str) -> String {
        format!("{}{resource}", self.about.api)
    }

    /// The issuer of the tokens for this resource.
    fn issuer(&self, resource: &str) -> Issuer {
        Issuer::new(&self.about.issuer, self.audience(resource))
    }

    /// A client's own access token for this resource.
    async fn client_token(&self, resource: &str) -> String {
        let audience = self.audience(resource);
        let grant = [("grant_type", "client_credentials"), ("scope", "orders:read"), ("resource", &audience)];
        text(&self.post("token", &grant).await, "access_token")
    }

    /// A user's access token for this resource, and the ID token beside it (CIBA Core 1.0, where nobody is redirected).
    async fn user_tokens(&self, resource: &str) -> (String, String) {
        let audience = self.audience(resource);
        let request = [("scope", "openid orders:read"), ("login_hint", "ada"), ("resource", &audience)];
        let id = text(&self.post("backchannel", &request).await, "auth_req_id");
        let grant = [("grant_type", "urn:openid:params:grant-type:ciba"), ("auth_req_id", &id)];
        let tokens = self.post("token", &grant).await;
        (text(&tokens, "access_token"), text(&tokens, "id_token"))
    }

    async fn post(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let Client { id, secret } = &self.about.client;
        let client = [("client_id", id.as_str()), ("client_secret", secret)];
        let url = format!("{}/{path}", self.about.issuer);
        let form = Url::parse_with_params(&url, params.iter().chain(&client)).unwrap();
        let request = reqwest::Client::new()
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.query().unwrap().to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }
}

fn text(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member} in {answer}")).to_owned()
}

async fn gate(issuer: Issuer) -> Router {
    app(BearerLayer::new(issuer.connect().await.unwrap()))
}

fn header(token: &str) -> Value {
    let header = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&header).unwrap()
}

#[tokio::test]
async fn tokens_of_every_algorithm_pass_at_their_own_resource_and_at_no_other() {
    let Some(provider) = Provider::start().await else { return };
    let elsewhere = gate(provider.issuer("elsewhere")).await;
    assert_eq!(provider.about.algorithms.len(), Algorithm::ASYMMETRIC.len() + 1, "one has two names");
    for alg in &provider.about.algorithms {
        let token = provider.client_token(alg).await;
        assert_eq!(header(&token)["alg"], **alg);

        let algorithm = Algorithm::from_name(alg).unwrap();
        let here = gate(provider.issuer(alg).algorithms([algorithm]).rfc9068()).await;
        let answer = bearer(&here, &token).await;
        answer.assert_passed(alg);
        let verified = answer.verified.unwrap();
        let claims = verified.registered();
        assert!(claims.scopes.contains("orders:read"), "{alg}");
        assert_eq!(claims.client_id.as_ref(), Some(&provider.about.client.id), "{alg}");

        bearer(&elsewhere, &token).await.assert_invalid(alg, Reason::Audience);
        bearer(&here, &tampered(&token)).await.assert_invalid(alg, Reason::Signature);
        bearer(&here, &promoted(&token)).await.assert_invalid(alg, Reason::Signature);
    }
}

/// With one bit of the signature turned.
fn tampered(token: &str) -> String {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    *signature.last_mut().unwrap() ^= 1;
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

/// With a scope that was not given.
fn promoted(token: &str) -> String {
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let payload = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let better = payload.replace("orders:read", "orders:write");
    assert_ne!(better, payload);
    format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(better))
}

#[tokio::test]
async fn a_users_access_token_passes_and_the_id_token_beside_it_does_not() {
    let Some(provider) = Provider::start().await else { return };
    let (access_token, id_token) = provider.user_tokens("ES256").await;
    let usual = gate(provider.issuer("ES256")).await;
    let answer = bearer(&usual, &access_token).await;
    answer.assert_passed("the access token");
    assert_eq!(answer.body, "ada");
    bearer(&usual, &id_token).await.assert_invalid("the ID token", Reason::Audience);

    // Where the API goes by the client's name too, nothing in this ID token tells what it is: the profile does.
    let shared = provider.issuer("ES256").also_for(&provider.about.client.id).rfc9068();
    let shared = gate(shared).await;
    bearer(&shared, &access_token).await.assert_passed("the access token");
    bearer(&shared, &id_token).await.assert_invalid("the ID token", Reason::TokenType);
}

#[tokio::test]
async fn an_opaque_token_is_refused_as_what_it_is() {
    let Some(provider) = Provider::start().await else { return };
    let token = provider.client_token("opaque").await;
    let gate = gate(provider.issuer("opaque")).await;
    bearer(&gate, &token).await.assert_invalid("opaque", Reason::NotAJwt);
}

#[tokio::test]
async fn a_token_under_a_shared_secret_needs_the_gate_to_share_it() {
    let Some(provider) = Provider::start().await else { return };
    let token = provider.client_token("HS256").await;
    assert_eq!(header(&token).get("kid"), None, "nothing but the algorithm leads to the secret");
    let with = |secret: &str| provider.issuer("HS256").hmac_secret(Algorithm::HS256, secret);
    let secret = provider.about.hmac_secret.as_str();
    bearer(&gate(with(secret)).await, &token).await.assert_passed("the secret");

    let another = secret.to_uppercase();
    bearer(&gate(with(&another)).await, &token).await.assert_invalid("another", Reason::Signature);
    let none = gate(provider.issuer("HS256")).await;
    bearer(&none, &token).await.assert_invalid("none", Reason::Algorithm);
}

#[tokio::test]
async fn an_issuer_under_nearly_its_name_is_not_connected_to() {
    let Some(provider) = Provider::start().await else { return };
    let named = Issuer::new(format!("{}/", provider.about.issuer), provider.audience("ES256"));
    let error = named.connect().await.unwrap_err().to_string();
    assert!(error.contains("the metadata names another issuer"), "{error}");
}
