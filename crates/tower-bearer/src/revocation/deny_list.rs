//! [`DenyList`]: what was revoked, in memory.

use super::{
    CannotTell, Inquiry, Revocation, Standing,
    table::{Key, Kind, Table, Term},
};
use crate::{RegisteredClaims, Verified, jwt::LONGEST_LEEWAY};
use std::{
    error::Error,
    fmt,
    future::Ready,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Revoked tokens, sessions and subjects, in the memory of this process. Clones are one list.
///
/// Only revocations are stored, never what a request brought. It holds a fixed number of them, each for as
/// long as a token that it means could be accepted: until the token's `exp`, or for the longest life of an
/// access token from now. What issuers may be granted for their clocks ([`Issuer::leeway`](crate::Issuer::leeway))
/// is added here: say the plain times. A list that is full says so, and drops nothing.
///
/// A request asks it without a lock or an allocation, and an empty list costs one load of a counter. What was
/// revoked before is refused by every question that comes after. Other processes know nothing of it: where
/// several serve one API, tell each of them, or ask a store that they share with a [`Revocation`] of your
/// own.
///
/// A handler that has the caller's [`Verified`] says [`revoke`](Self::revoke), [`sign_out`](Self::sign_out) or
/// [`sign_out_everywhere`](Self::sign_out_everywhere):
///
/// ```
/// use std::time::Duration;
/// use tower_bearer::{RegisteredClaims, Verified, revocation::{DenyList, NotRevoked, Standing}};
///
/// const HOUR: Duration = Duration::from_secs(3600); // no access token of the issuer lives longer
/// let list = DenyList::new(100_000);
/// let of_session = |session: &str| {
///     let mut claims = RegisteredClaims::default();
///     claims.iss = Some("https://issuer.example".into());
///     claims.session_id = Some(session.into());
///     Verified::assertion(claims, ())
/// };
/// list.sign_out(&of_session("s-1"), HOUR)?;
/// list.revoke_session("https://issuer.example", "s-2", HOUR)?; // the same, by name
///
/// assert_eq!(list.standing(&of_session("s-1")), Standing::Revoked);
/// assert_eq!(list.standing(&of_session("s-2")), Standing::Revoked);
/// assert_eq!(list.standing(&of_session("s-3")), Standing::Good);
/// assert_eq!(list.revoke(&of_session("s-3")), Err(NotRevoked::Nameless("jti")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct DenyList {
    table: Arc<Table>,
    clock: fn() -> SystemTime,
}

/// A [`DenyList`] has no room: nothing was dropped, and not all that was to be revoked is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Full;

/// Why a [`DenyList`] did not revoke what a [`Verified`] has.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotRevoked {
    /// There is no room; see [`Full`].
    Full,
    /// The token lacks the claim, or it is empty: there is no name to refuse it by.
    Nameless(&'static str),
}

/// What dates in tokens are counted in.
const SECOND: Duration = Duration::from_secs(1);

/// Longer than any token lives, and short enough to be added to any date.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl DenyList {
    /// An empty list with room for so many revocations. Each takes some 100 bytes and its names.
    pub fn new(capacity: usize) -> Self {
        Self { table: Arc::new(Table::new(capacity)), clock: SystemTime::now }
    }

    /// Where the time comes from by which revocations begin and make room, for tests. Default
    /// [`SystemTime::now`]. What is asked about a request goes by the time of the request.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.clock = clock;
        self
    }

    /// Refuses this token alone, until it expires. One without `exp`, from a verifier of yours, is refused
    /// for good.
    ///
    /// # Errors
    /// [`NotRevoked::Nameless`] for a token without `jti`: it cannot be told from others. What
    /// [signs out](Self::sign_out) its session refuses it too.
    pub fn revoke(&self, verified: &Verified) -> Result<(), NotRevoked> {
        let claims = verified.registered();
        let jti = name(claims.jti.as_deref()).ok_or(NotRevoked::Nameless("jti"))?;
        let exp = claims.exp.unwrap_or_else(|| later((self.clock)(), CENTURY));
        Ok(self.revoke_token(iss(claims), jti, exp)?)
    }

    /// Signs this session out: refuses every token with a `session_id` or `sid` of this one, for the longest
    /// life of an access token from now. The user's other sessions go on. Under single sign-on that includes the
    /// tokens of whoever signs in again in the session that goes on at the issuer; see
    /// [`revoke_session_before`](Self::revoke_session_before).
    ///
    /// # Errors
    /// [`NotRevoked::Nameless`] for a token without either. Nobody is signed out everywhere for it:
    /// [`sign_out_everywhere`](Self::sign_out_everywhere) is yours to say.
    pub fn sign_out(&self, verified: &Verified, longest_life: Duration) -> Result<(), NotRevoked> {
        let claims = verified.registered();
        let (session_id, sid) = (name(claims.session_id.as_deref()), name(claims.sid.as_deref()));
        if session_id.is_none() && sid.is_none() {
            return Err(NotRevoked::Nameless("session_id and sid"));
        }
        // By both: other tokens of the session may have one of them.
        for session in session_id.into_iter().chain(sid.filter(|sid| Some(*sid) != session_id)) {
            self.revoke_session(iss(claims), session, longest_life)?;
        }
        Ok(())
    }

    /// Signs this user out everywhere: refuses this token and all of its `sub` that were issued until now, for
    /// the longest life of an access token from now. Who signs in again after this second is let in.
    ///
    /// # Errors
    /// [`NotRevoked::Nameless`] for a token without `sub`.
    pub fn sign_out_everywhere(&self, verified: &Verified, longest_life: Duration) -> Result<(), NotRevoked> {
        let claims = verified.registered();
        let sub = name(claims.sub.as_deref()).ok_or(NotRevoked::Nameless("sub"))?;
        let now = (self.clock)();
        // The issuer's clock may be ahead: this token is meant, whatever it says.
        let issued_before = claims.iat.map_or(now, |iat| now.max(later(iat, SECOND)));
        Ok(self.revoke_subject(iss(claims), sub, issued_before, longest_life)?)
    }

    /// Refuses the token of this `jti`, which expires at `exp`.
    ///
    /// `iss` is the issuer's name; the empty one for tokens without `iss`, where these are allowed.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_token(&self, iss: &str, jti: &str, exp: SystemTime) -> Result<(), Full> {
        let term = Term { until: later(exp, LONGEST_LEEWAY), issued_before: None };
        self.revoke_key(Key { kind: Kind::Token, iss, name: jti }, term)
    }

    /// Refuses the tokens of this session, for the longest life of an access token from now. A token that has
    /// both `session_id` and `sid` is refused by either.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_session(&self, iss: &str, session: &str, longest_life: Duration) -> Result<(), Full> {
        let term = Term { until: self.end(longest_life), issued_before: None };
        self.revoke_key(Key { kind: Kind::Session, iss, name: session }, term)
    }

    /// Refuses the tokens of this session with an `iat` before `issued_before`, and those without `iat`, for the
    /// longest life of an access token from now: where the session at the issuer may go on. Under single sign-on,
    /// whoever signs out at one application and in again has the same `sid` in new tokens, and these are good.
    /// Of two calls the later times hold, and [all tokens](Self::revoke_session) over some.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    /// use tower_bearer::{RegisteredClaims, Verified, revocation::{DenyList, Standing}};
    ///
    /// let (list, now) = (DenyList::new(1000), SystemTime::now());
    /// let hour = Duration::from_secs(3600);
    /// list.revoke_session_before("https://issuer.example", "s-1", now, hour)?;
    ///
    /// let token_of = |iat| {
    ///     let mut claims = RegisteredClaims::default();
    ///     claims.iss = Some("https://issuer.example".into());
    ///     claims.sid = Some("s-1".to_owned());
    ///     claims.iat = Some(iat);
    ///     Verified::assertion(claims, ())
    /// };
    /// assert_eq!(list.standing(&token_of(now - hour / 2)), Standing::Revoked);
    /// assert_eq!(list.standing(&token_of(now)), Standing::Good);
    /// # Ok::<(), tower_bearer::revocation::Full>(())
    /// ```
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_session_before(
        &self,
        iss: &str,
        session: &str,
        issued_before: SystemTime,
        longest_life: Duration,
    ) -> Result<(), Full> {
        let term = Term { until: self.end(longest_life), issued_before: Some(issued_before) };
        self.revoke_key(Key { kind: Kind::Session, iss, name: session }, term)
    }

    /// Signs a subject out everywhere: refuses its tokens with an `iat` before `issued_before`, and those
    /// without `iat`, for the longest life of an access token from now. What is issued later is good. Of two
    /// calls the later times hold.
    ///
    /// Issuers count in whole seconds: with the present moment, a token of this very second is refused too,
    /// even of who signed in again within it. Anything later refuses who signs in again at once, for as long
    /// as that token lives.
    ///
    /// # Errors
    /// [`Full`] when there is no room.
    pub fn revoke_subject(
        &self,
        iss: &str,
        sub: &str,
        issued_before: SystemTime,
        longest_life: Duration,
    ) -> Result<(), Full> {
        let term = Term { until: self.end(longest_life), issued_before: Some(issued_before) };
        self.revoke_key(Key { kind: Kind::Subject, iss, name: sub }, term)
    }

    /// When the last token that was issued until now is over for every issuer. Its clock may be ahead of ours
    /// by the leeway, and then the leeway is granted once more.
    fn end(&self, longest_life: Duration) -> SystemTime {
        later((self.clock)(), longest_life.saturating_add(2 * LONGEST_LEEWAY))
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

    fn revoke_key(&self, key: Key<'_>, term: Term) -> Result<(), Full> {
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
        let iss = iss(claims);
        let is_meant = |kind, name: Option<&String>| {
            let term = name.and_then(|name| self.table.find(&Key { kind, iss, name }, now));
            term.is_some_and(|term| term.covers(claims.iat))
        };
        is_meant(Kind::Token, claims.jti.as_ref())
            || is_meant(Kind::Session, claims.session_id.as_ref())
            || is_meant(Kind::Session, claims.sid.as_ref())
            || is_meant(Kind::Subject, claims.sub.as_ref())
    }
}

fn iss(claims: &RegisteredClaims) -> &str {
    claims.iss.as_deref().unwrap_or_default()
}

/// What is empty names nothing: all tokens that have it so would be one.
fn name(claim: Option<&str>) -> Option<&str> {
    claim.filter(|name| !name.is_empty())
}

fn later(time: SystemTime, by: Duration) -> SystemTime {
    // A date that nothing can be added to is late enough.
    time.checked_add(by.min(CENTURY)).unwrap_or(time)
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

impl From<Full> for NotRevoked {
    fn from(_: Full) -> Self {
        Self::Full
    }
}

impl fmt::Display for NotRevoked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => Full.fmt(f),
            Self::Nameless(claim) => write!(f, "the token has no {claim} to refuse it by"),
        }
    }
}

impl Error for NotRevoked {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
        time::UNIX_EPOCH,
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

    const fn for_seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn with_sid(sid: &str, claims: RegisteredClaims) -> RegisteredClaims {
        RegisteredClaims { sid: Some(sid.into()), ..claims }
    }

    #[test]
    fn rs_101_names_are_compared_whole_with_their_issuer_and_kind() {
        let list = list(9);
        list.revoke_token(A, "j", at(700)).expect("room");
        list.revoke_session(A, "s", for_seconds(100)).expect("room");
        list.revoke_subject(A, "u", at(50), for_seconds(100)).expect("room");
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
            assert_eq!(list.is_revoked(&claims, at(1299)), revoked, "{name}");
            assert!(!list.is_revoked(&claims, at(1300)), "{name}: until then, with all leeway");
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
        for (before, life) in [(50, 100), (40, 200), (60, 90)] {
            list.revoke_subject(A, "u", at(before), for_seconds(life)).expect("one entry");
        }
        assert_eq!(list.len(), 1);
        assert!(list.is_revoked(&claims(A, "", "", "u", Some(59)), at(1399)));
        assert!(!list.is_revoked(&claims(A, "", "", "u", Some(60)), at(1399)));
    }

    #[test]
    fn of_a_session_that_goes_on_at_the_issuer_the_newer_tokens_are_good_unless_all_were_meant() {
        let revoked = |list: &DenyList| {
            [Some(49), Some(50), None].map(|iat| list.is_revoked(&claims(A, "j", "s", "u", iat), at(99)))
        };
        let (before, life) = (at(50), for_seconds(100));
        let some = list(1);
        some.revoke_session_before(A, "s", before, life).expect("room");
        assert_eq!(revoked(&some), [true, false, true]);
        assert!(!some.is_revoked(&claims(A, "j", "s2", "u", Some(49)), at(99)), "another one");
        some.revoke_session(A, "s", life).expect("one entry");
        assert_eq!(revoked(&some), [true; 3]);
        some.revoke_session_before(A, "s", before, life).expect("one entry");
        assert_eq!(revoked(&some), [true; 3], "in whatever order");
    }

    #[test]
    fn what_a_verified_token_names_is_revoked_and_nothing_else() {
        const NOW: u64 = 1_000;
        let refused_of = |revoke: &dyn Fn(&DenyList, &Verified) -> Result<(), NotRevoked>, iat| {
            let list = DenyList::new(9).clock(|| at(NOW));
            let token = RegisteredClaims { exp: Some(at(NOW + 60)), ..claims(A, "j", "s", "u", iat) };
            revoke(&list, &Verified::assertion(with_sid("t", token.clone()), ())).expect("it has all names");
            [
                token,
                claims(A, "j2", "s", "u2", iat),
                with_sid("t", claims(A, "j2", "s2", "u2", iat)),
                claims(A, "j2", "s2", "u", iat),
                claims(A, "j2", "s2", "u", Some(NOW + 31)),
                claims(A, "j2", "s2", "u2", iat),
            ]
            .map(|claims| list.is_revoked(&claims, at(NOW + 650)))
        };
        let life = for_seconds(60);
        // Also by an issuer whose clock is ahead.
        for iat in [Some(NOW - 30), Some(NOW), Some(NOW + 30)] {
            let refused = refused_of(&|list, token| list.revoke(token), iat);
            assert_eq!(refused, [true, false, false, false, false, false]);
            let refused = refused_of(&|list, token| list.sign_out(token, life), iat);
            assert_eq!(refused, [true, true, true, false, false, false]);
            let refused = refused_of(&|list, token| list.sign_out_everywhere(token, life), iat);
            assert_eq!(refused, [true, false, false, true, false, false]);
        }
    }

    #[test]
    fn what_has_no_name_is_not_revoked_and_says_which() {
        use NotRevoked::{Full, Nameless};
        let anonymous = Verified::assertion(RegisteredClaims::default(), ());
        let empty = Verified::assertion(with_sid("", claims(A, "", "", "", None)), ());
        let named = Verified::assertion(claims(A, "j", "s", "u", None), ());
        let life = for_seconds(60);
        let (list, full) = (list(9), list(0));
        for (list, token, jti, session, sub) in [
            (&list, &anonymous, Nameless("jti"), Nameless("session_id and sid"), Nameless("sub")),
            (&list, &empty, Nameless("jti"), Nameless("session_id and sid"), Nameless("sub")),
            (&full, &named, Full, Full, Full),
        ] {
            assert_eq!(list.revoke(token), Err(jti));
            assert_eq!(list.sign_out(token, life), Err(session));
            assert_eq!(list.sign_out_everywhere(token, life), Err(sub));
        }
        assert!(list.is_empty());
        assert_eq!(Nameless("sub").to_string(), "the token has no sub to refuse it by");
        assert_eq!(Full.to_string(), "no room for another revocation");
    }

    #[test]
    fn no_time_is_too_late_to_be_kept() {
        let list = list(9);
        list.revoke_session(A, "s", Duration::MAX).expect("room");
        list.revoke(&Verified::assertion(claims(A, "j", "", "", None), ())).expect("room");
        let last = UNIX_EPOCH + Duration::from_secs(i64::MAX.unsigned_abs());
        list.revoke_token(A, "k", last).expect("room");
        for (jti, session) in [("", "s"), ("j", ""), ("k", "")] {
            assert!(list.is_revoked(&claims(A, jti, session, "", None), at(99 * 365 * 24 * 60 * 60)));
        }
    }

    #[test]
    fn a_full_list_says_so_until_something_is_over() {
        static NOW: AtomicUsize = AtomicUsize::new(600);
        let list = DenyList::new(2).clock(|| at(NOW.load(SeqCst) as u64));
        list.revoke_token(A, "1", at(10)).expect("room");
        list.revoke_token(A, "2", at(20)).expect("room");
        assert_eq!(list.revoke_token(A, "3", at(30)), Err(Full));
        list.revoke_token(A, "2", at(25)).expect("it is there already");
        list.revoke_token(A, "4", at(0)).expect("it is over already");
        NOW.store(610, SeqCst);
        list.revoke_token(A, "3", at(30)).expect("the first is over");
        assert_eq!(list.revoke_session(A, "1", for_seconds(30)), Err(Full));
        assert!(["2", "3"].iter().all(|jti| list.is_revoked(&claims(A, jti, "", "", None), at(610))));
        assert_eq!(DenyList::new(0).revoke_token(A, "1", SystemTime::now() + for_seconds(9)), Err(Full));
    }

    proptest! {
        /// Against a list that keeps every call and looks through all of them.
        #[test]
        fn it_refuses_what_a_plain_list_would(
            calls in proptest::collection::vec((0..3, 0..3usize, 0..3usize, 0..20u64, 0..20u64), 0..40),
            asked in proptest::collection::vec((0..3usize, 0..3usize, (0..3usize, 0..3usize), 0..3usize, proptest::option::of(0..20u64), 0..20u64), 1..40),
        ) {
            const NAMES: [&str; 3] = ["", "a", "b"];
            const NOW: u64 = 605;
            let list = DenyList::new(100).clock(|| at(NOW));
            for &(kind, iss, name, before, seconds) in &calls {
                let (iss, name) = (NAMES[iss], NAMES[name]);
                match kind {
                    0 => list.revoke_token(iss, name, at(seconds)),
                    1 => list.revoke_session(iss, name, for_seconds(seconds)),
                    _ => list.revoke_subject(iss, name, at(before), for_seconds(seconds)),
                }.expect("room");
            }
            // Tokens end around the time of the calls, some before it.
            let end = |kind, seconds| if kind == 0 { seconds + 600 } else { NOW + seconds + 1200 };
            let asked = asked.into_iter().flat_map(|(iss, jti, sessions, sub, iat, offset)| {
                [600 + offset, NOW + 1200 + offset].map(|now| (iss, jti, sessions, sub, iat, now))
            });
            for (iss, jti, (session, sid), sub, iat, now) in asked {
                let of = |kind: i32, name: usize| {
                    let same = calls.iter().filter(move |call| (call.0, call.1, call.2) == (kind, iss, name));
                    // The later times hold, of calls that had an effect at all.
                    let same = same.map(|call| (call.3, end(kind, call.4))).filter(|(_, until)| NOW < *until);
                    same.fold(None, |later: Option<(u64, u64)>, (before, until)| {
                        let later = later.unwrap_or_default();
                        Some((later.0.max(before), later.1.max(until)))
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
        list.revoke_session(A, "secret-session", for_seconds(100)).expect("room");
        assert_eq!(format!("{list:?}"), "DenyList { len: 1, .. }");
    }
}
