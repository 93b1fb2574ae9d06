//! The hand-over of keys: one end publishes, the other reads snapshots and says what it misses.

use super::{Key, KeySet, Meant};
use crate::error::Reason;
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Misses that wait to be looked at by the publisher. One more is not waited for.
const MISSES: usize = 1024;

/// What a reader sees at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the publications; 0 before the first.
    generation: u64,
    keys: Arc<KeySet>,
    state: KeyState,
}

/// Whether the keys may decide about tokens.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// Nothing was published yet: requests are answered 503.
    Waiting,
    /// The keys decide.
    Ready,
    /// The keys decide, but the last attempt to refresh them failed, or they are of a seed that no fetch has
    /// confirmed.
    Lagging,
    /// The publisher says that the keys are too old to trust, or is gone: requests are answered 503.
    Stale,
}

/// What one end changes and the other reads.
#[derive(Debug)]
struct Current {
    snapshot: ArcSwap<Snapshot>,
    /// Counts the changes of the snapshot, each after it was made.
    changes: AtomicU64,
    filter: ArcSwap<MissFilter>,
    /// Misses that the filter kept from a fetch that they might have been worth.
    unknown_keys: AtomicU64,
    bad_signatures: AtomicU64,
}

/// Which misses the publisher does not want to hear of before the given instants, because another fetch would
/// bring nothing new. It says so with [`KeySink::filter`].
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub struct MissFilter {
    /// Those of unknown keys, whatever their `kid`.
    pub unknown_keys: Option<Instant>,
    /// Those of bad signatures.
    pub bad_signatures: Option<Instant>,
    /// Those of unknown keys of these `kid`s.
    pub kids: HashMap<Box<str>, Instant>,
}

/// How many misses the last [`MissFilter`] kept back, without those of the `kid`s that it listed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FilteredMisses {
    /// Of unknown keys.
    pub unknown_keys: u64,
    /// Of bad signatures.
    pub bad_signatures: u64,
}

/// The reading end, held by the verifier. Cheap to clone.
///
/// The publisher can tell when the last clone is gone: [`KeySink::missed`] then answers `None`.
#[derive(Clone)]
pub struct KeySource {
    current: Arc<Current>,
    /// `None` for keys that nobody publishes.
    misses: Option<mpsc::Sender<Miss>>,
}

/// The publishing end, held by a refresher; deliberately not `Clone`. When it is dropped, keys that nobody
/// keeps fresh any more are [`Stale`](KeyState::Stale) at once.
#[derive(Debug)]
pub struct KeySink {
    current: Arc<Current>,
    misses: mpsc::Receiver<Miss>,
}

/// Sent when no key verifies a token and a request waits for newer keys.
///
/// Dropping it ends the wait, and the reader looks at its keys once more.
#[derive(Debug)]
pub struct Miss {
    kind: MissKind,
    kid: Option<Box<str>>,
    generation: u64,
    waiter: oneshot::Sender<()>,
}

/// What the reader's keys lack.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MissKind {
    /// There is no key of this `kid`, or no key at all yet.
    UnknownKey,
    /// The key of this `kid` did not make the signature: a forgery most likely, or new key material under an
    /// old name, as some issuers have it.
    BadSignature,
}

/// Resolves when the publisher is done with a [`Miss`].
#[derive(Debug)]
pub(crate) struct Answer(oneshot::Receiver<()>);

/// A pair of ends, without keys at first.
///
/// A request with a token whose key is not among those published waits for the publisher to take the
/// [`Miss`] from [`KeySink::missed`] and drop it, when it has published what it found or found nothing. A
/// publisher that has nothing to look up drops each as it comes. **One that never asks for them keeps such
/// requests waiting for five seconds each**, after which they are decided by the keys that there are:
///
/// ```
/// use std::time::SystemTime;
/// use tower_bearer::{Issuer, JwtVerifier, Reason, keys::{self, KeySet}};
/// # use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let (known, unknown) = (SigningKey::generate(Algorithm::EdDSA).kid("a"), SigningKey::generate(Algorithm::EdDSA).kid("b"));
/// # let jwks = format!(r#"{{"keys":[{}]}}"#, known.public_jwk());
/// # let token = |key: &SigningKey| TokenBuilder::new(key, "https://issuer.example", "api").sign();
/// # let (known, unknown) = (token(&known), token(&unknown));
/// let (mut sink, source) = keys::channel();
/// let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "api").keys(source)])?;
/// sink.publish(KeySet::from_jwks(&jwks)?);
/// tokio::spawn(async move { while let Some(miss) = sink.missed().await { drop(miss) } });
///
/// assert!(verifier.verify_token(&known, SystemTime::now()).await.is_ok());
/// let refused = verifier.verify_token(&unknown, SystemTime::now()).await.unwrap_err();
/// assert_eq!(refused.reason(), Reason::UnknownKey);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn channel() -> (KeySink, KeySource) {
    let snapshot = Snapshot { generation: 0, keys: Arc::default(), state: KeyState::Waiting };
    let current = Arc::new(Current::new(snapshot));
    let (sender, receiver) = mpsc::channel(MISSES);
    let source = KeySource { current: Arc::clone(&current), misses: Some(sender) };
    (KeySink { current, misses: receiver }, source)
}

impl Current {
    fn new(snapshot: Snapshot) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            changes: AtomicU64::new(0),
            filter: ArcSwap::from_pointee(MissFilter::default()),
            unknown_keys: AtomicU64::new(0),
            bad_signatures: AtomicU64::new(0),
        }
    }

    fn set(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
        // Who knows of the change sees the snapshot, and who was told that it is made knows of it.
        self.changes.fetch_add(1, Ordering::Release);
    }

    fn count_of(&self, kind: MissKind) -> &AtomicU64 {
        match kind {
            MissKind::UnknownKey => &self.unknown_keys,
            MissKind::BadSignature => &self.bad_signatures,
        }
    }
}

impl MissFilter {
    /// Whether it keeps back such misses.
    fn has(&self, kind: MissKind, kid: Option<&str>) -> bool {
        let of_its_kind = match kind {
            MissKind::UnknownKey => self.unknown_keys,
            MissKind::BadSignature => self.bad_signatures,
        };
        is_ahead(of_its_kind) || self.lists(kind, kid)
    }

    fn lists(&self, kind: MissKind, kid: Option<&str>) -> bool {
        let kid = kid.filter(|_| kind == MissKind::UnknownKey);
        is_ahead(kid.and_then(|kid| self.kids.get(kid).copied()))
    }
}

fn is_ahead(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() < end)
}

impl KeySource {
    /// Keys that never change.
    pub fn fixed(keys: KeySet) -> Self {
        let snapshot = Snapshot { generation: 1, keys: Arc::new(keys), state: KeyState::Ready };
        Self { current: Arc::new(Current::new(snapshot)), misses: None }
    }

    /// The same keys for somebody who only reads: the publisher does not go on for its sake.
    pub(crate) fn reader(&self) -> Self {
        Self { current: Arc::clone(&self.current), misses: None }
    }

    /// Counts the changes of the keys. While it stays equal, a snapshot that is read after it is the current
    /// one, except for a change that is being published at this moment.
    pub(crate) fn changes(&self) -> u64 {
        self.current.changes.load(Ordering::Acquire)
    }

    /// Reads one consistent snapshot, without a lock. The closure keeps it from outliving the read.
    pub fn with<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.current.snapshot.load())
    }

    pub(crate) fn is_fixed(&self) -> bool {
        self.misses.is_none()
    }

    /// Tells the publisher which key a token named, and what the reader had seen. `None` when nobody would
    /// answer: there is no publisher, or it has its hands full, or it has said already that there is nothing
    /// new.
    pub(crate) fn miss(&self, kind: MissKind, kid: Option<&str>, generation: u64) -> Option<Answer> {
        let misses = self.misses.as_ref()?;
        // The filter first: what is said of other keys than those that were seen decides nothing.
        let filter = self.current.filter.load();
        if filter.has(kind, kid) && self.with(Snapshot::generation) == generation {
            if !filter.lists(kind, kid) {
                self.current.count_of(kind).fetch_add(1, Ordering::Relaxed);
            }
            return None;
        }
        let (waiter, answer) = oneshot::channel();
        let miss = Miss { kind, kid: kid.map(Into::into), generation, waiter };
        misses.try_send(miss).ok()?;
        // A publisher that went away meanwhile may have looked for the last time: nobody would end the wait.
        (!misses.is_closed()).then_some(Answer(answer))
    }
}

impl Snapshot {
    /// How many sets were published before and with this one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The keys. Empty until the first were published.
    pub fn keys(&self) -> &KeySet {
        &self.keys
    }

    /// Whether the keys may decide about tokens.
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// Whether there are keys that decide about tokens.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, KeyState::Ready | KeyState::Lagging)
    }

    /// The key that is meant, and made this signature.
    pub(crate) fn signer(
        &self,
        meant: Meant<'_>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<&Arc<Key>, Reason> {
        match self.state {
            KeyState::Waiting => Err(Reason::NoKeys),
            KeyState::Stale => Err(Reason::StaleKeys),
            KeyState::Ready | KeyState::Lagging => self.keys.signer(meant, message, signature),
        }
    }
}

impl KeySink {
    /// Replaces the set, at once and for all readers. What is not in `keys` is gone.
    pub fn publish(&mut self, mut keys: KeySet) {
        let before = self.current.snapshot.load();
        keys.keep_of(&before.keys);
        let generation = before.generation + 1;
        self.current.set(Snapshot { generation, keys: Arc::new(keys), state: KeyState::Ready });
    }

    /// Notes that a refresh failed: the keys are [`Lagging`](KeyState::Lagging) unless they are stale
    /// already.
    pub fn lag(&mut self) {
        if self.current.snapshot.load().state == KeyState::Ready {
            self.mark(KeyState::Lagging);
        }
    }

    /// Declares the published keys too old to trust: [`Stale`](KeyState::Stale) until the next
    /// [`publish`](Self::publish) or [`confirm`](Self::confirm).
    pub fn expire(&mut self) {
        self.mark(KeyState::Stale);
    }

    /// Declares the published keys current, after a fetch that found them unchanged.
    pub fn confirm(&mut self) {
        self.mark(KeyState::Ready);
    }

    /// Without keys nothing changes: there is nothing to trust or distrust.
    fn mark(&mut self, state: KeyState) {
        let now = self.current.snapshot.load();
        if now.generation > 0 && now.state != state {
            let keys = Arc::clone(&now.keys);
            self.current.set(Snapshot { generation: now.generation, keys, state });
        }
    }

    /// From now on these misses are not told, whatever was said before: who has one is refused at once. Says
    /// how many were kept back since the last time.
    ///
    /// ```
    /// # use bearer_testing::{Algorithm, SigningKey, TokenBuilder};
    /// # use std::time::{Duration, SystemTime};
    /// use tower_bearer::{Issuer, JwtVerifier, Verification, keys::{self, KeySet, MissFilter}};
    ///
    /// # let key = SigningKey::generate(Algorithm::EdDSA).kid("unknown");
    /// # let token = TokenBuilder::new(&key, "https://issuer.example", "api").sign();
    /// let (mut sink, source) = keys::channel();
    /// sink.publish(KeySet::default());
    /// let verifier = JwtVerifier::new([Issuer::new("https://issuer.example", "api").keys(source)])?;
    /// let waits = |now| matches!(verifier.verify_token(&token, now), Verification::Pending(_));
    /// assert!(waits(SystemTime::now()), "another set may have its key");
    ///
    /// let mut filter = MissFilter::default();
    /// filter.unknown_keys = Some(tokio::time::Instant::now() + Duration::from_secs(10));
    /// sink.filter(filter);
    /// assert!(!waits(SystemTime::now()), "refused for the next ten seconds");
    /// # Ok::<(), tower_bearer::ConfigError>(())
    /// ```
    pub fn filter(&mut self, filter: MissFilter) -> FilteredMisses {
        self.current.filter.store(Arc::new(filter));
        let count = |kind| self.current.count_of(kind).swap(0, Ordering::Relaxed);
        FilteredMisses {
            unknown_keys: count(MissKind::UnknownKey),
            bad_signatures: count(MissKind::BadSignature),
        }
    }

    /// Whether the next miss like this one would be kept back.
    pub fn keeps_back(&self, miss: &Miss) -> bool {
        self.current.filter.load().has(miss.kind, miss.kid())
    }

    /// Reads what the readers see.
    pub fn with<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.current.snapshot.load())
    }

    /// The next miss; `None` when the last [`KeySource`] is gone, so that there is nobody to publish for.
    /// Cancel-safe.
    pub async fn missed(&mut self) -> Option<Miss> {
        self.misses.recv().await
    }
}

impl Drop for KeySink {
    fn drop(&mut self) {
        self.expire();
    }
}

impl Miss {
    /// What the reader's keys lack.
    pub fn kind(&self) -> MissKind {
        self.kind
    }

    /// The `kid` that was asked for; `None` for a token without one, before the first keys.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether nobody waits any more: the request is gone.
    pub fn is_abandoned(&self) -> bool {
        self.waiter.is_closed()
    }

    /// The [generation](Snapshot::generation) that did not have it.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Future for Answer {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(|_| ())
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with(|now| {
            f.debug_struct("KeySource")
                .field("generation", &now.generation)
                .field("state", &now.state)
                .finish_non_exhaustive()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn set() -> KeySet {
        KeySet::from_jwks(SET).expect("a set")
    }

    #[test]
    fn a_published_set_replaces_the_one_before() {
        let (mut sink, source) = channel();
        assert_eq!(source.with(Snapshot::state), KeyState::Waiting);
        sink.publish(set());
        assert_eq!(source.with(|now| (now.generation(), now.state())), (1, KeyState::Ready));
        sink.publish(KeySet::default());
        assert!(source.with(|now| now.generation() == 2 && now.keys().is_empty()));
    }

    #[test]
    fn keys_that_nobody_keeps_fresh_are_stale() {
        let (mut sink, source) = channel();
        sink.publish(set());
        drop(sink);
        assert_eq!(source.with(Snapshot::state), KeyState::Stale);
        assert!(source.miss(MissKind::UnknownKey, Some("b"), 1).is_none());
    }

    #[test]
    fn a_set_can_go_stale_and_be_confirmed_but_not_before_there_is_one() {
        let (mut sink, source) = channel();
        sink.confirm();
        assert_eq!(source.with(Snapshot::state), KeyState::Waiting);
        sink.publish(set());
        sink.expire();
        assert_eq!(source.with(Snapshot::state), KeyState::Stale);
        sink.confirm();
        assert_eq!(source.with(|now| (now.generation(), now.state())), (1, KeyState::Ready));
    }

    #[test]
    fn a_failed_refresh_is_noted_and_unsays_nothing_worse() {
        let (mut sink, source) = channel();
        sink.lag();
        assert_eq!(source.with(Snapshot::state), KeyState::Waiting);
        sink.publish(set());
        sink.lag();
        assert!(source.with(|now| now.state() == KeyState::Lagging && now.is_ready()));
        sink.expire();
        sink.lag();
        assert!(source.with(|now| now.state() == KeyState::Stale && !now.is_ready()));
    }

    #[tokio::test]
    async fn a_dropped_miss_answers_and_the_last_source_ends_the_stream() {
        let (mut sink, source) = channel();
        let answer = source.miss(MissKind::UnknownKey, Some("b"), 0).expect("a publisher");
        let miss = sink.missed().await.expect("a miss");
        assert_eq!((miss.kid(), miss.generation()), (Some("b"), 0));
        drop(miss);
        answer.await;
        drop(source);
        assert!(sink.missed().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_miss_whose_answer_is_known_is_not_told_unless_other_keys_were_seen() {
        use MissKind::{BadSignature, UnknownKey};
        let (mut sink, source) = channel();
        sink.publish(set());
        let is_told = |kind, kid, generation| source.miss(kind, kid, generation).is_some();
        let second = std::time::Duration::from_secs(1);
        let soon = Some(Instant::now() + second);
        let kids = || HashMap::from([("b".into(), Instant::now() + second)]);
        sink.filter(MissFilter { kids: kids(), ..MissFilter::default() });
        assert!(!is_told(UnknownKey, Some("b"), 1));
        assert!(is_told(UnknownKey, Some("c"), 1) && is_told(UnknownKey, None, 1));
        assert!(is_told(BadSignature, Some("b"), 1), "the key was there");
        assert!(is_told(UnknownKey, Some("b"), 0), "it may be in the set that was not seen yet");

        let all = MissFilter { unknown_keys: soon, kids: kids(), ..MissFilter::default() };
        assert_eq!(sink.filter(all), FilteredMisses::default(), "those of the list are not counted");
        assert!(!is_told(UnknownKey, Some("c"), 1) && !is_told(UnknownKey, Some("b"), 1));
        assert!(is_told(BadSignature, Some("a"), 1) && is_told(UnknownKey, Some("c"), 0));
        let bad = MissFilter { bad_signatures: soon, ..MissFilter::default() };
        assert_eq!(sink.filter(bad), FilteredMisses { unknown_keys: 1, bad_signatures: 0 });
        assert!(!is_told(BadSignature, Some("a"), 1) && is_told(UnknownKey, Some("c"), 1));
        sink.filter(MissFilter { bad_signatures: soon, unknown_keys: soon, kids: kids() });
        tokio::time::advance(second).await;
        assert!(is_told(BadSignature, Some("a"), 1) && is_told(UnknownKey, Some("b"), 1), "by then");
        let counted = sink.filter(MissFilter::default());
        assert_eq!(counted, FilteredMisses { unknown_keys: 0, bad_signatures: 0 });
    }

    #[test]
    fn misses_beyond_the_queue_are_not_waited_for() {
        let (_sink, source) = channel();
        let answers: Vec<_> =
            std::iter::repeat_with(|| source.miss(MissKind::UnknownKey, Some("b"), 0)).take(MISSES).collect();
        assert!(answers.iter().all(Option::is_some));
        assert!(source.miss(MissKind::UnknownKey, Some("b"), 0).is_none());
    }
}
