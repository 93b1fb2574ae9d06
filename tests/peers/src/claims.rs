//! What the handlers behind the other crates read of a token.

use serde::{Deserialize, Serialize};

/// The members that a service needs, and no metadata: the cheapest that a user of those crates would write. This
/// project's row reads everything, metadata included.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Claims {
    pub sub: String,
    pub exp: u64,
    pub email: String,
    pub role: String,
    pub aal: String,
    pub session_id: String,
    pub is_anonymous: bool,
}

/// The same for crates that read the registered claims themselves.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Profile {
    pub email: String,
    pub role: String,
    pub aal: String,
    pub session_id: String,
    pub is_anonymous: bool,
}
