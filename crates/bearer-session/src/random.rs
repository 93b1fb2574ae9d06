//! Randomness for names and nonces.

/// Bytes from the operating system.
///
/// # Panics
/// When it has none. Then nothing that this crate hands out could be trusted, and there is no second source
/// to try.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        panic!("the operating system has no randomness: {error}");
    }
    bytes
}
