//! The signature check alone, with a parsed key: what no verifier can be faster than.

use super::{Built, Row, said};
use crate::{
    contender::{Floor, token},
    world::{Case, World},
};
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bearer_testing::Algorithm;
use http::{Request, header::AUTHORIZATION};

pub const ROW: Row = Row {
    name: "the signature alone",
    package: Some("aws-lc-rs"),
    shape: "call",
    ours: false,
    note: "aws-lc-rs with a parsed key over the decoded signature.",
    build: |world, algorithm| Box::pin(async move { build(world, algorithm) }),
};

fn build(world: &World, algorithm: Algorithm) -> Built {
    let verification: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        _ => &signature::ED25519,
    };
    let key = ParsedPublicKey::new(verification, world.key(algorithm).public_der()).map_err(said)?;
    let mut request = Request::new(());
    let credential = world.credentials(algorithm, Case::Again, 1).remove(0).ok_or("no token")?;
    request.headers_mut().insert(AUTHORIZATION, credential);
    let (message, signature) = token(&request).and_then(|token| token.rsplit_once('.')).ok_or("no token")?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(said)?;
    Ok(Box::new(Floor { key, message: message.to_owned(), signature }))
}
