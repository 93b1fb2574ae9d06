//! PKCE: the challenge of a sign-in, and the verifier that meets it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};

/// A code challenge ([RFC 7636 §4.3](https://www.rfc-editor.org/rfc/rfc7636#section-4.3)).
#[derive(Clone, Debug)]
pub(crate) enum Challenge {
    S256(String),
    Plain(String),
}

impl Challenge {
    /// `None` when the method is unknown, or there is no challenge. Supabase's own clients write the method
    /// in lower case.
    pub(crate) fn new(method: &str, challenge: &str) -> Option<Self> {
        if challenge.is_empty() {
            return None;
        }
        match method.to_ascii_lowercase().as_str() {
            "s256" => Some(Self::S256(challenge.to_owned())),
            "plain" | "" => Some(Self::Plain(challenge.to_owned())),
            _ => None,
        }
    }

    pub(crate) fn is_met_by(&self, verifier: &str) -> bool {
        match self {
            Self::S256(challenge) => {
                BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == *challenge
            }
            Self::Plain(challenge) => verifier == challenge,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_of_rfc_7636_appendix_b() {
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        for method in ["S256", "s256"] {
            let asked = Challenge::new(method, challenge).unwrap();
            assert!(asked.is_met_by(verifier));
            assert!(!asked.is_met_by(challenge));
        }
        assert!(Challenge::new("plain", verifier).unwrap().is_met_by(verifier));
        assert!(Challenge::new("S512", challenge).is_none());
        assert!(Challenge::new("S256", "").is_none());
    }
}
