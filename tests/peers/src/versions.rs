//! The versions that are measured, as the lock file has them.

const LOCK: &str = include_str!("../Cargo.lock");

/// The version of a package; the highest, where several are locked: cargo sorts them.
pub fn locked(package: &str) -> Option<&'static str> {
    let (_, rest) = LOCK.rsplit_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split('"').next()
}
