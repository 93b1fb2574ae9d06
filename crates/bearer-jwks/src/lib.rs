//! bearer-jwks
/// Stub.
pub trait Connect {}
