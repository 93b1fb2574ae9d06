//! Proof Key for Code Exchange (RFC 7636), by the method S256: the other one proves nothing to a reader of
//! logs.

use crate::{Secret, random};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The secret behind one sign-in: whoever exchanges the code must have it. It stays here, and only its
/// [`challenge`](Self::challenge) goes along with the user.
///
/// ```
/// use bearer_session::endpoint::PkceVerifier;
///
/// let (mine, other) = (PkceVerifier::generate(), PkceVerifier::generate());
/// let kept = PkceVerifier::from_secret(mine.secret().clone());
/// assert_eq!(kept.challenge(), mine.challenge());
/// assert_ne!(other.challenge(), mine.challenge());
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PkceVerifier(Secret);

impl PkceVerifier {
    /// 32 random bytes as base64url, 43 characters (RFC 7636 §4.1).
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn generate() -> Self {
        let bytes = Zeroizing::new(random::bytes::<32>());
        Self(Secret::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// One that was kept while the user was away.
    pub const fn from_secret(verifier: Secret) -> Self {
        Self(verifier)
    }

    /// The verifier's text: to be kept, sealed, until the user is back.
    pub const fn secret(&self) -> &Secret {
        &self.0
    }

    /// `BASE64URL(SHA256(verifier))` (RFC 7636 §4.2), which tells nothing of the verifier.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = PkceVerifier::from_secret(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn no_two_verifiers_are_alike_and_none_is_printed() {
        let (one, two) = (PkceVerifier::generate(), PkceVerifier::generate());
        assert_ne!(one, two);
        let text = one.secret().expose();
        assert!(
            text.len() == 43
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
        assert_eq!(format!("{one:?}"), "PkceVerifier(Secret(..))");
    }
}
