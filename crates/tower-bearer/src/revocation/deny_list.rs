//! [`DenyList`]: what was revoked, in memory.

use super::{
    CannotTell, Inquiry, Revocation, Standing,
    table::{Key, Kind, Table, Term},
};
use crate::{RegisteredClaims, Verified};
use std::{error::Error, fmt, future::Ready, sync::Arc, time::SystemTime};

/// Revoked tokens, sessions and subjects, in the memory of this process. Clones are one list.
///
/// Only revocations are stored, never what a request brought. It holds a fixed number of them, each until the
/// time it was given: that of the token's `exp` and the leeway, or for a session or subject the longest life
/// of an access token from now. A list that is full says so, and drops nothing.
///
/// A request asks it without a lock or an allocation, and an empty list costs one load of a counter. What was
/// revoked before is refused by every question that comes after. Other processes know nothing of it: where
/// several serve one API, tell each of them, or ask a store that they share with a [`Revocation`] of your
/// own.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use tower_bearer::{RegisteredClaims, Verified, revocation::{DenyList, Standing}};
///
/// let list = DenyList::new(100_000);
/// let in_an_hour = SystemTime::now() + Duration::from_secs(3600);
/// list.revoke_session("https://issuer.example", "s-1", in_an_hour)?;
///
/// let of_session = |session: &str| {
///     let mut claims = RegisteredClaims::default();
///     claims.iss = Some("https://issuer.example".into());
///     claims.session_id = Some(session.into());
///     Verified::assertion(claims, ())
/// };
/// assert_eq!(list.standing(&of_session("s-2")), Standing::Good);
/// assert_eq!(list.standing(&of_session("s-1")), Standing::Revoked);
/// # Ok::<(), tower_bearer::revocation::Full>(())
/// ```
#[derive(Clone)]
pub struct DenyList {
    table: Arc<Table>,
    clock: fn() -> SystemTime,
}

/// A [`DenyList`] has no room: nothing was revoked, and nothing dropped.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

impl DenyList {
    /// An empty list with room for so many revocations. Each takes some 100 bytes and its names.
    pub fn new(capacity: usize) -> Self {
        Self { table: Arc::new(Table::new(capacity)), clock: SystemTime::now }
    }

    /// Where the time comes from by which revocations make room, for tests. Default [`SystemTime::now`]. What
    /// is asked about a request goes by the time of the request.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses the token of this `jti` until then: its `exp`, and the leeway of its issuer.
    ///
    /// `iss` is the issuer's name; the empty one for tokens without `iss`, where these are allowed.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_token(&self, iss: &str, jti: &str, until: SystemTime) -> Result<(), Full> {
        self.revoke(Key { kind: Kind::Token, iss, name: jti }, Term { until, issued_before: None })
    }

    /// Refuses the tokens of this session until then: the longest life of an access token from now. A token
    /// that has both `session_id` and `sid` is refused by either.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_session(&self, iss: &str, session: &str, until: SystemTime) -> Result<(), Full> {
        self.revoke(Key { kind: Kind::Session, iss, name: session }, Term { until, issued_before: None })
    }

    /// Signs a subject out everywhere: refuses its tokens with an `iat` before `issued_before`, and those
    /// without `iat`, until then. What is issued later is good. Of two calls the later times hold.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_subject(
        &self,
        iss: &str,
        sub: &str,
        issued_before: SystemTime,
        until: SystemTime,
    ) -> Result<(), Full> {
        let term = Term { until, issued_before: Some(issued_before) };
        self.revoke(Key { kind: Kind::Subject, iss, name: sub }, term)
    }

    /// Whether a token is revoked, at the time it was [verified](Verified::at).
    pub fn standing(&self, verified: &Verified) -> Standing {
        if self.is_revoked(verified.registered(), verified.at()) { Standing::Revoked } else { Standing::Good }
    }

    /// How many revocations are in memory, some of them over perhaps.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn revoke(&self, key: Key<'_>, term: Term) -> Result<(), Full> {
        let now = (self.clock)();
        if !term.is_live(now) {
            return Ok(());
        }
        self.table.update(&key, now, |old| Some(old.map_or(term, |old| old.or_later(term))))
    }

    fn is_revoked(&self, claims: &RegisteredClaims, now: SystemTime) -> bool {
        if self.is_empty() {
            return false;
        }
        let iss = claims.iss.as_deref().unwrap_or_default();
        let find = |kind, name: Option<&String>| self.table.find(&Key { kind, iss, name: name? }, now);
        find(Kind::Token, claims.jti.as_ref()).is_some()
            || find(Kind::Session, claims.session_id.as_ref()).is_some()
            || find(Kind::Session, claims.sid.as_ref()).is_some()
            || find(Kind::Subject, claims.sub.as_ref()).is_some_and(|term| term.covers(claims.iat))
    }
}

impl Term {
    /// Whether a token that was issued then is meant. One that does not say when may be an old one.
    fn covers(&self, iat: Option<SystemTime>) -> bool {
        match (self.issued_before, iat) {
            (Some(before), Some(iat)) => iat < before,
            _ => true,
        }
    }
}

/// Always answers at once.
impl Revocation for DenyList {
    type Future = Ready<Result<Standing, CannotTell>>;

    fn ask(&self, verified: &Verified) -> Inquiry<Self::Future> {
        Inquiry::Answered(Ok(self.standing(verified)))
    }
}

/// Names are personal data: only how many there are.
impl fmt::Debug for DenyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DenyList").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no room for another revocation")
    }
}

impl Error for Full {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
        time::{Duration, UNIX_EPOCH},
    };

    const A: &str = "https://a.example";

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn list(capacity: usize) -> DenyList {
        DenyList::new(capacity).clock(|| UNIX_EPOCH)
    }

    fn claims(iss: &str, jti: &str, session: &str, sub: &str, iat: Option<u64>) -> RegisteredClaims {
        RegisteredClaims {
            iss: Some(iss.into()),
            jti: Some(jti.into()),
            session_id: Some(session.into()),
            sub: Some(sub.into()),
            iat: iat.map(at),
            ..RegisteredClaims::default()
        }
    }

    fn with_sid(sid: &str, claims: RegisteredClaims) -> RegisteredClaims {
        RegisteredClaims { sid: Some(sid.into()), ..claims }
    }

    #[test]
    fn rs_101_names_are_compared_whole_with_their_issuer_and_kind() {
        let list = list(9);
        list.revoke_token(A, "j", at(100)).expect("room");
        list.revoke_session(A, "s", at(100)).expect("room");
        list.revoke_subject(A, "u", at(50), at(100)).expect("room");
        let table = [
            ("nothing of it", claims(A, "j2", "s2", "u2", None), false),
            ("the token", claims(A, "j", "s2", "u2", None), true),
            ("the session", claims(A, "j2", "s", "u2", None), true),
            ("the session by sid", with_sid("s", claims(A, "j2", "s2", "u2", None)), true),
            ("the session by session_id", with_sid("s2", claims(A, "j2", "s", "u2", None)), true),
            (
                "the session by sid alone",
                with_sid("s", RegisteredClaims { session_id: None, ..claims(A, "j2", "", "u2", None) }),
                true,
            ),
            ("another sid", with_sid("s3", claims(A, "j2", "s2", "u2", None)), false),
            ("the subject, earlier", claims(A, "j2", "s2", "u", Some(49)), true),
            ("the subject, at no time", claims(A, "j2", "s2", "u", None), true),
            ("the subject, at that time", claims(A, "j2", "s2", "u", Some(50)), false),
            ("the subject, later", claims(A, "j2", "s2", "u", Some(51)), false),
            ("names of other kinds", with_sid("j", claims(A, "s", "u", "j", None)), false),
            ("parts and other cases", claims(A, "J", "s ", "", None), false),
            ("another issuer", with_sid("s", claims("https://b.example", "j", "s", "u", None)), false),
            ("no issuer", RegisteredClaims { iss: None, ..claims(A, "j", "s", "u", None) }, false),
            ("no names at all", RegisteredClaims { iss: Some(A.into()), ..Default::default() }, false),
        ];
        for (name, claims, revoked) in table {
            assert_eq!(list.is_revoked(&claims, at(99)), revoked, "{name}");
            assert!(!list.is_revoked(&claims, at(100)), "{name}: until then");
        }
    }

    #[test]
    fn tokens_without_iss_are_revoked_under_the_empty_name() {
        let list = list(9);
        list.revoke_token("", "j", at(100)).expect("room");
        assert!(list.is_revoked(&RegisteredClaims { iss: None, ..claims(A, "j", "s", "u", None) }, at(0)));
        assert!(!list.is_revoked(&claims(A, "j", "s", "u", None), at(0)));
    }

    #[test]
    fn of_two_revocations_of_one_name_the_later_times_hold() {
        let list = list(1);
        for (before, until) in [(50, 100), (40, 200), (60, 90)] {
            list.revoke_subject(A, "u", at(before), at(until)).expect("one entry");
        }
        assert_eq!(list.len(), 1);
        assert!(list.is_revoked(&claims(A, "", "", "u", Some(59)), at(199)));
        assert!(!list.is_revoked(&claims(A, "", "", "u", Some(60)), at(199)));
    }

    #[test]
    fn a_full_list_says_so_until_something_is_over() {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        let list = DenyList::new(2).clock(|| at(NOW.load(SeqCst) as u64));
        list.revoke_token(A, "1", at(10)).expect("room");
        list.revoke_token(A, "2", at(20)).expect("room");
        assert_eq!(list.revoke_token(A, "3", at(30)), Err(Full));
        list.revoke_token(A, "2", at(25)).expect("it is there already");
        list.revoke_token(A, "4", at(0)).expect("it is over already");
        NOW.store(10, SeqCst);
        list.revoke_token(A, "3", at(30)).expect("the first is over");
        assert_eq!(list.revoke_session(A, "1", at(30)), Err(Full));
        assert!(["2", "3"].iter().all(|jti| list.is_revoked(&claims(A, jti, "", "", None), at(10))));
        assert_eq!(
            DenyList::new(0).revoke_token(A, "1", SystemTime::now() + Duration::from_secs(9)),
            Err(Full)
        );
    }

    proptest! {
        /// Against a list that keeps every call and looks through all of them.
        #[test]
        fn it_refuses_what_a_plain_list_would(
            calls in proptest::collection::vec((0..3, 0..3usize, 0..3usize, 0..20u64, 0..20u64), 0..40),
            asked in proptest::collection::vec((0..3usize, 0..3usize, (0..3usize, 0..3usize), 0..3usize, proptest::option::of(0..20u64), 0..20u64), 1..40),
        ) {
            const NAMES: [&str; 3] = ["", "a", "b"];
            let list = list(100);
            for &(kind, iss, name, before, until) in &calls {
                let (iss, name, until) = (NAMES[iss], NAMES[name], at(until));
                match kind {
                    0 => list.revoke_token(iss, name, until),
                    1 => list.revoke_session(iss, name, until),
                    _ => list.revoke_subject(iss, name, at(before), until),
                }.expect("room");
            }
            for (iss, jti, (session, sid), sub, iat, now) in asked {
                let of = |kind: i32, name: usize| {
                    let same = calls.iter().filter(move |call| (call.0, call.1, call.2) == (kind, iss, name));
                    // The later times hold, of calls that had an effect at all.
                    let same = same.filter(|call| call.4 > 0);
                    same.fold(None, |later: Option<(u64, u64)>, call| {
                        let later = later.unwrap_or_default();
                        Some((later.0.max(call.3), later.1.max(call.4)))
                    }).filter(|(_, until)| now < *until)
                };
                let expected = of(0, jti).is_some() || of(1, session).is_some() || of(1, sid).is_some()
                    || of(2, sub).is_some_and(|(before, _)| iat.is_none_or(|iat| iat < before));
                let claims = with_sid(NAMES[sid], claims(NAMES[iss], NAMES[jti], NAMES[session], NAMES[sub], iat));
                prop_assert_eq!(list.is_revoked(&claims, at(now)), expected);
            }
        }
    }

    #[test]
    fn once_revoked_every_later_question_is_answered_so() {
        const EACH: usize = 2_000;
        static DONE: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let list = list(2 * EACH);
        let name = |writer: usize, n: usize| format!("{writer}-{n}");
        thread::scope(|scope| {
            let write = |(writer, done): (usize, &'static AtomicUsize)| {
                let list = list.clone();
                scope.spawn(move || {
                    for n in 0..EACH {
                        list.revoke_token(A, &name(writer, n), at(100)).expect("room");
                        done.store(n + 1, SeqCst);
                    }
                })
            };
            let writers: Arc<Vec<_>> = Arc::new(DONE.iter().enumerate().map(write).collect());
            for reader in 0..2 {
                let (list, writers) = (list.clone(), Arc::clone(&writers));
                scope.spawn(move || {
                    let mut random = reader;
                    while writers.iter().any(|writer| !writer.is_finished()) {
                        for (writer, done) in DONE.iter().enumerate() {
                            let Some(last) = done.load(SeqCst).checked_sub(1) else { continue };
                            random = (random * 7 + 3) % 1_009;
                            for n in [last, random % (last + 1)] {
                                let jti = name(writer, n);
                                assert!(list.is_revoked(&claims(A, &jti, "", "", None), at(0)), "{jti}");
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(list.len(), 2 * EACH);
    }

    #[test]
    fn a_list_is_printed_without_names() {
        let list = list(9);
        list.revoke_session(A, "secret-session", at(100)).expect("room");
        assert_eq!(format!("{list:?}"), "DenyList { len: 1, .. }");
    }
}
