//! The issuer that all rows trust, and the requests that they all get.

use axum::{Json, Router, routing::get};
use bearer_testing::{Algorithm, SigningKey, TestIssuer, TokenBuilder};
use http::HeaderValue;
use serde::Serialize;
use serde_json::{Value, json};
use std::{io, sync::mpsc, thread};
use tokio::{net::TcpListener, runtime};

pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA];
pub const AUDIENCE: &str = "authenticated";
pub const PROJECT: &str = "https://abcdefghijklmnopqrst.supabase.co";

const USER: &str = "0b1f3f0e-9d0a-4c8e-8b59-6a4a2f6d2c11";

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Case {
    /// A good token that was never seen before.
    New,
    /// A good token, the same one each time.
    Again,
    /// A token that expired an hour ago.
    Expired,
    /// A good token by a key that the issuer never published.
    UnknownKey,
    /// A token of another issuer, though signed with the key of this one.
    ForeignIssuer,
    /// Nothing.
    NoCredential,
    /// `Bearer` and something that is no token.
    Garbage,
}

impl Case {
    pub const ALL: [Self; 7] = [
        Self::New,
        Self::Again,
        Self::Expired,
        Self::UnknownKey,
        Self::ForeignIssuer,
        Self::NoCredential,
        Self::Garbage,
    ];

    pub fn is_good(self) -> bool {
        matches!(self, Self::New | Self::Again)
    }
}

/// An issuer with one key of each algorithm, as after two rotations.
pub struct World {
    keys: [SigningKey; 3],
    pub iss: String,
    pub jwks_uri: String,
    /// Where a Keycloak server would be, with the realm `main`.
    pub keycloak: String,
}

impl World {
    /// Starts the endpoint on a thread of its own, so that its work is nobody's time or allocation.
    pub fn start() -> Result<Self, io::Error> {
        let keys = ALGORITHMS.map(|algorithm| {
            SigningKey::generate(algorithm).kid(format!("3f2a7c1e-5b64-4d0f-9a8c-{:012}", algorithm as u8))
        });
        let (told, addresses) = mpsc::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let served = keys.clone();
        thread::spawn(move || {
            runtime.block_on(async {
                let issuer = TestIssuer::start_with(served).await;
                let jwks_uri = issuer.jwks_uri();
                let listener = TcpListener::bind("127.0.0.1:0").await?;
                let base = format!("http://{}", listener.local_addr()?);
                let metadata = keycloak(&base, &jwks_uri);
                let path = "/realms/main/.well-known/openid-configuration";
                let routes = Router::new().route(path, get(async move || Json(metadata)));
                told.send((jwks_uri, base)).map_err(io::Error::other)?;
                axum::serve(listener, routes).await
            })
        });
        let (jwks_uri, keycloak) = addresses.recv().map_err(io::Error::other)?;
        Ok(Self { keys, iss: format!("{PROJECT}/auth/v1"), jwks_uri, keycloak })
    }

    pub fn key(&self, algorithm: Algorithm) -> &SigningKey {
        self.keys.iter().find(|key| key.algorithm() == algorithm).expect("one key of each algorithm")
    }

    /// The `Authorization` headers of so many requests.
    pub fn credentials(&self, algorithm: Algorithm, case: Case, count: usize) -> Vec<Option<HeaderValue>> {
        let key = self.key(algorithm);
        let good = access_token(key, &self.iss, 0);
        let token = match case {
            Case::New => {
                let signed = |n| Some(bearer(&access_token(key, &self.iss, n + 1).sign()));
                return (0..count).map(signed).collect();
            }
            Case::Again => good.sign(),
            Case::Expired => good.expires_in(-3600).sign(),
            Case::UnknownKey => good.key(&SigningKey::generate(algorithm).kid("unknown")).sign(),
            Case::ForeignIssuer => good.issuer("https://zyxwvutsrqponmlkjihg.supabase.co/auth/v1").sign(),
            Case::NoCredential => return vec![None; count],
            Case::Garbage => "not-a-token".to_owned(),
        };
        vec![Some(bearer(&token)); count]
    }
}

/// The claims of a user who signed in with a password, as Supabase Auth sends them. `n` is part of the session's id.
fn access_token(key: &SigningKey, iss: &str, n: usize) -> TokenBuilder {
    TokenBuilder::new(key, iss, AUDIENCE).subject(USER).claims(json!({
        "email": "ada@example.com",
        "phone": "",
        "app_metadata": { "provider": "email", "providers": ["email"] },
        "user_metadata": { "email": "ada@example.com", "email_verified": true, "sub": USER },
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{ "method": "password", "timestamp": 1_700_000_000 }],
        "session_id": format!("7d9f9ac6-3a5e-4f53-9d07-{n:012x}"),
        "is_anonymous": false,
    }))
}

fn bearer(token: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {token}")).expect("a token is visible ASCII")
}

/// The members that axum-keycloak-auth insists on.
fn keycloak(base: &str, jwks_uri: &str) -> Value {
    json!({
        "issuer": format!("{base}/realms/main"),
        "jwks_uri": jwks_uri,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "end_session_endpoint": format!("{base}/logout"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "RS256", "EdDSA"],
    })
}
