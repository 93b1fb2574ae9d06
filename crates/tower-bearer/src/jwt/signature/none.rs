//! No backend: every key is turned away when it is loaded, so nothing is ever verified.

use super::{Algorithm, PublicParts, Rejected};

pub(super) fn knows(_: Algorithm) -> bool {
    false
}

pub(super) enum PublicKey {}

impl PublicKey {
    pub(super) fn new(_: Algorithm, _: PublicParts<'_>) -> Result<Self, Rejected> {
        Err(Rejected::Unsupported)
    }

    pub(super) fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        match *self {}
    }
}

pub(super) enum HmacKey {}

impl HmacKey {
    pub(super) fn new(_: Algorithm, _: &[u8]) -> Result<Self, Rejected> {
        Err(Rejected::Unsupported)
    }

    pub(super) fn verify(&self, _: &[u8], _: &[u8]) -> bool {
        match *self {}
    }
}
