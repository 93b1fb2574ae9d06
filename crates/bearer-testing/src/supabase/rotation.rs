use std::time::Duration;

/// What refresh-token reuse is forgiven.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) reuse_interval: Duration,
    pub(super) strict_single_use: bool,
}

/// What comes of a refresh token that belongs to a living session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    /// It is the current one: a new one takes its place.
    Rotate,
    /// A reuse that is forgiven: the current one is given out again.
    Repeat,
    /// A reuse that is not: the session ends.
    Destroy,
}

impl Rules {
    /// As `GoTrue` decides in version 2 of its refresh tokens. `behind` is how many generations the token is
    /// older than the current one, `since` how long ago that one was made.
    pub(super) fn exchange(self, behind: u64, since: Duration) -> Exchange {
        match behind {
            0 => Exchange::Rotate,
            _ if self.strict_single_use => Exchange::Destroy,
            // The client may have failed to save the answer: forgiven at any later time.
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
    fn rotation_rules() {
        let rules = |seconds, strict_single_use| Rules {
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
            assert_eq!(rules.exchange(behind, Duration::from_secs(since)), expected, "{name}");
        }
    }
}
