//! Which keys were just looked for in vain.

use std::collections::HashMap;
use tokio::time::Instant;

/// Key ids that a fetch has just proved unknown: asking again would bring the same answer.
#[derive(Debug, Default)]
pub(crate) struct UnknownKids(HashMap<Box<str>, Instant>);

impl UnknownKids {
    /// The most ids that are remembered; a flood of others finds an empty bucket instead.
    const MOST: usize = 256;

    /// Remembers as many of these ids as there is room for until `until`: not for long, since an issuer may
    /// publish a key a moment after its first token was seen. The others are not looked at.
    pub(crate) fn extend<'a>(&mut self, kids: impl Iterator<Item = &'a str>, now: Instant, until: Instant) {
        if self.0.len() >= Self::MOST {
            self.0.retain(|_, until| *until > now);
        }
        let room = Self::MOST - self.0.len();
        self.0.extend(kids.take(room).map(|kid| (kid.into(), until)));
    }

    pub(crate) fn contains(&self, kid: &str, now: Instant) -> bool {
        self.0.get(kid).is_some_and(|until| *until > now)
    }

    /// Those that are remembered still, and until when.
    pub(crate) fn at(&self, now: Instant) -> impl Iterator<Item = (&str, Instant)> {
        self.0.iter().filter(move |(_, until)| **until > now).map(|(kid, until)| (&**kid, *until))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn unknown_kids_are_forgotten_in_time_and_bounded() {
        let now = Instant::now();
        let mut unknown = UnknownKids::default();
        unknown.extend(["a"].into_iter(), now, now + secs(10));
        assert!(unknown.contains("a", now + secs(9)) && !unknown.contains("a", now + secs(10)));
        let flood: Vec<_> = (0..10_000).map(|n| n.to_string()).collect();
        let mut looked_at = 0;
        for _ in 0..2 {
            let kids = flood.iter().map(String::as_str).inspect(|_| looked_at += 1);
            unknown.extend(kids, now, now + secs(10));
        }
        assert_eq!((unknown.0.len(), looked_at), (UnknownKids::MOST, UnknownKids::MOST - 1));
        unknown.extend(["late"].into_iter(), now + secs(11), now + secs(21));
        assert!(unknown.contains("late", now + secs(12)), "what is over makes room");
        unknown.clear();
        assert!(!unknown.contains("late", now));
    }
}
