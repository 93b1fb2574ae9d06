//! The rules of refresh-token rotation and reuse, as pure functions.

use std::time::Duration;

use super::RefreshTokenVersion;

/// What refresh-token reuse is forgiven.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) version: RefreshTokenVersion,
    pub(super) reuse_interval: Duration,
    pub(super) strict_single_use: bool,
}

/// A refresh token of a living session, as it is presented.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented {
    /// How many tokens of the session were made after it.
    pub(super) behind: usize,
    /// Whether the newest unspent token was made from it.
    pub(super) is_parent_of_active: bool,
    /// Version 1: how long ago it was spent or revoked, if it was.
    pub(super) spent_since: Option<Duration>,
    /// Version 2: how long ago the newest token was made.
    pub(super) refreshed_since: Duration,
}

/// What comes of a refresh token that belongs to a living session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// It is good: a new one takes its place.
    Rotate,
    /// A reuse that is forgiven: the current one is given out again.
    Repeat,
    /// A reuse that is not: all tokens of the session are revoked.
    Revoke,
    /// A reuse that is not: the session ends.
    Destroy,
}

impl Rules {
    pub(super) fn exchange(self, token: Presented) -> Exchange {
        match self.version {
            RefreshTokenVersion::V1 => self.version_1(token),
            RefreshTokenVersion::V2 => self.version_2(token.behind, token.refreshed_since),
        }
    }

    /// As `GoTrue` decides where the tokens have parents.
    fn version_1(self, token: Presented) -> Exchange {
        match token.spent_since {
            None => Exchange::Rotate,
            Some(_) if self.strict_single_use => Exchange::Destroy,
            // The client may have failed to save the answer: forgiven at any later time.
            Some(_) if token.is_parent_of_active => Exchange::Repeat,
            Some(since) if since < self.reuse_interval => Exchange::Rotate,
            Some(_) => Exchange::Revoke,
        }
    }

    /// As `GoTrue` decides where the tokens are counted.
    fn version_2(self, behind: usize, since: Duration) -> Exchange {
        match behind {
            0 => Exchange::Rotate,
            _ if self.strict_single_use => Exchange::Destroy,
            // The client may have failed to save the answer, as above.
            1 => Exchange::Repeat,
            _ if since < self.reuse_interval => Exchange::Repeat,
            _ => Exchange::Destroy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_with_parents() {
        let rules = |seconds, strict_single_use| Rules {
            version: RefreshTokenVersion::V1,
            reuse_interval: Duration::from_secs(seconds),
            strict_single_use,
        };
        let spent = |seconds| Some(Duration::from_secs(seconds));
        for (name, rules, spent_since, is_parent_of_active, expected) in [
            ("active", rules(0, false), None, false, Exchange::Rotate),
            ("active, strict", rules(10, true), None, false, Exchange::Rotate),
            ("parent at once", rules(0, false), spent(0), true, Exchange::Repeat),
            ("parent much later", rules(0, false), spent(1_000_000), true, Exchange::Repeat),
            ("parent, strict", rules(10, true), spent(0), true, Exchange::Destroy),
            ("older, no interval", rules(0, false), spent(0), false, Exchange::Revoke),
            ("older, in time", rules(10, false), spent(9), false, Exchange::Rotate),
            ("older, at the end", rules(10, false), spent(10), false, Exchange::Revoke),
        ] {
            let refreshed_since = Duration::ZERO;
            let token = Presented { behind: 7, is_parent_of_active, spent_since, refreshed_since };
            assert_eq!(rules.exchange(token), expected, "{name}");
        }
    }

    #[test]
    fn tokens_that_are_counted() {
        let rules = |seconds, strict_single_use| Rules {
            version: RefreshTokenVersion::V2,
            reuse_interval: Duration::from_secs(seconds),
            strict_single_use,
        };
        for (name, rules, behind, since, expected) in [
            ("current", rules(0, false), 0, 100, Exchange::Rotate),
            ("current, strict", rules(10, true), 0, 0, Exchange::Rotate),
            ("parent at once", rules(0, false), 1, 0, Exchange::Repeat),
            ("parent much later", rules(0, false), 1, 1_000_000, Exchange::Repeat),
            ("parent, strict", rules(10, true), 1, 0, Exchange::Destroy),
            ("grandparent, no interval", rules(0, false), 2, 0, Exchange::Destroy),
            ("grandparent, in time", rules(10, false), 2, 9, Exchange::Repeat),
            ("grandparent, at the end", rules(10, false), 2, 10, Exchange::Destroy),
            ("older, in time", rules(10, false), 7, 9, Exchange::Repeat),
            ("older, strict", rules(10, true), 7, 0, Exchange::Destroy),
        ] {
            let refreshed_since = Duration::from_secs(since);
            let token = Presented {
                behind,
                is_parent_of_active: false,
                spent_since: Some(Duration::ZERO),
                refreshed_since,
            };
            assert_eq!(rules.exchange(token), expected, "{name}");
        }
    }
}
