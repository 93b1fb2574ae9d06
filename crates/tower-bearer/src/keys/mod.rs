//! Verification keys: sets of them, and the channel that swaps one set for the next while requests go on.
//!
//! A [`KeySet`] is parsed key by key from a JWK Set (RFC 7517 §5); one odd key never spoils the others, and
//! what was [skipped](KeySet::skipped) says why. A [`channel`] has one end that publishes ([`KeySink`], held
//! by a refresher) and one that reads ([`KeySource`], held by the verifier).
//!
//! ```
//! use tower_bearer::keys::{KeySet, SkipReason};
//!
//! let keys = KeySet::from_jwks(r#"{"keys":[
//!     {"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
//!     {"kty":"oct","kid":"b","k":"c2VjcmV0"}
//! ]}"#)?;
//! assert_eq!(keys.ids().collect::<Vec<_>>(), ["a"]);
//! assert_eq!(keys.skipped()[0].reason(), SkipReason::Symmetric);
//!
//! assert!(KeySet::from_jwks("[]").is_err(), "an array is not a JWK Set");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod channel;
mod jwk;
#[cfg(feature = "pem")]
mod pem;
mod set;
mod skip;

pub use channel::{
    FilteredMisses, KeySink, KeySource, KeyState, Miss, MissFilter, MissKind, Snapshot, channel,
};
pub use set::KeySet;
pub use skip::{KeySetError, SkipReason, SkippedKey};

pub(crate) use channel::Answer;
pub(crate) use set::{Key, LONGEST_KID, Meant};
