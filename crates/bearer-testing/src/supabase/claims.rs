//! What the tokens of Supabase Auth say.

use serde_json::{Value, json};

use super::store::Identity;
use crate::{SigningKey, TokenBuilder, clock, random};

const TEN_YEARS: i64 = 10 * 365 * 24 * 3600;

pub(super) const AUDIENCE: &str = "authenticated";

/// Claims as for a user who signed in with a password: `GoTrue`'s `AccessTokenClaims`.
pub(super) fn access_token(key: &SigningKey, issuer: &str, identity: &Identity) -> TokenBuilder {
    let Identity { user, email, session, signed_in_at, claims } = identity;
    let usual = TokenBuilder::new(key, issuer, AUDIENCE).subject(user).claims(json!({
        "email": email,
        "phone": "",
        "app_metadata": app_metadata(),
        "user_metadata": user_metadata(user, email),
        "role": "authenticated",
        "aal": "aal1",
        "amr": [{ "method": "password", "timestamp": signed_in_at }],
        "session_id": session,
        "is_anonymous": false,
    }));
    usual.claims(claims.clone())
}

/// As the OAuth server issues it, to a client of its own.
pub(super) fn id_token(key: &SigningKey, issuer: &str, identity: &Identity) -> TokenBuilder {
    TokenBuilder::new(key, issuer, &random::uuid()).subject(&identity.user).claims(json!({
        "auth_time": identity.signed_in_at,
        "nonce": random::text::<16>(),
        "email": identity.email,
        "email_verified": true,
    }))
}

/// An API key of the old kind: a JWT without a user.
pub(super) fn api_key(legacy: &SigningKey, role: &str) -> String {
    let now = clock::now();
    TokenBuilder::new(&legacy.clone().without_kid(), "supabase", AUDIENCE)
        .without("aud")
        .without("sub")
        .claims(json!({ "ref": "abcdefghijklmnopqrst", "role": role, "iat": now, "exp": now + TEN_YEARS }))
        .sign()
}

/// The user object of `GET /user` and of the token answer. `claims` are what the user's tokens say besides.
pub(super) fn user(id: &str, email: &str, claims: &Value) -> Value {
    // Clients parse it as a date; which date it is does not matter.
    let then = "2026-01-01T00:00:00Z";
    let mut user = json!({
        "id": id,
        "aud": AUDIENCE,
        "role": "authenticated",
        "email": email,
        "email_confirmed_at": then,
        "phone": "",
        "confirmed_at": then,
        "last_sign_in_at": then,
        "app_metadata": app_metadata(),
        "user_metadata": user_metadata(id, email),
        "identities": [],
        "created_at": then,
        "updated_at": then,
        "is_anonymous": false,
    });
    for name in ["role", "app_metadata", "user_metadata", "is_anonymous"] {
        if let Some(value) = claims.get(name) {
            user[name] = value.clone();
        }
    }
    user
}

fn app_metadata() -> Value {
    json!({ "provider": "email", "providers": ["email"] })
}

fn user_metadata(id: &str, email: &str) -> Value {
    json!({ "sub": id, "email": email, "email_verified": true, "phone_verified": false })
}
