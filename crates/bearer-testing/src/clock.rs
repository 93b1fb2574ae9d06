//! The time, as tokens count it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, as `iat` and `exp` count them.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(elapsed.as_secs()).expect("the seconds since 1970 fit 63 bits")
}
