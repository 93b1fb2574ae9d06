//! What can happen, and histories of it.

use proptest::{collection::vec, prelude::*};

/// The most keys of the issuer: as many as are tried on a token without `kid`.
pub(super) const MOST_KEYS: usize = 4;

/// Names that forgers are fond of.
pub(super) const FORGED_KIDS: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The issuer changes its keys.
    Keys(Change),
    /// The issuer answers like this from now on, after so many milliseconds.
    Answers(Mode, u64),
    /// As many requests at once.
    Requests(Kind, usize),
    /// A request whose client leaves after so many milliseconds.
    Cancelled(Kind, u64),
    /// Milliseconds pass.
    Passes(u64),
    /// The machine sleeps for so many seconds: no timer fires before its end.
    Sleeps(u64),
    /// Forgeries come in, and a healthy issuer replaces its keys.
    RotationUnderFlood,
    /// Forgeries use up the bucket while the issuer is down, and go on while it says that nothing has
    /// changed.
    FloodAndNothingNew,
    /// The answer to a scheduled fetch, and the first token of a key that is younger than that answer, come
    /// in the same moment.
    AnswerMeetsRequest,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Add,
    ReplaceAll,
    Remove(usize),
    /// New key material under an old name.
    Renew(usize),
    /// A second key under a name that is taken.
    Twin(usize),
    /// A new key under a name that tokens may have named before.
    Late(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Mode {
    /// The set; with an `ETag`, and so 304 to whoever has it.
    Set {
        tagged: bool,
        max_age: Option<u64>,
    },
    /// 304 to every conditional request, whatever has changed.
    Stuck,
    /// 304, whether it was asked for or not.
    Rogue,
    Status(u16, Option<u64>),
    Garbage,
    Empty,
    Hang,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Of a key that the issuer publishes now, whether it was fetched or not.
    Current(usize),
    /// Of a key that the issuer published once.
    Former(usize),
    /// Under a `kid` that is nobody's, one of a few.
    ForgedKid(usize),
    /// Under a `kid` that was never seen before.
    FreshKid,
    /// Under the `kid` of a held key.
    ForgedSignature(usize),
    /// Without `kid`, of a held key.
    Nameless(usize),
    NamelessForged,
    Expired(usize),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = prop_oneof![
        3 => Just(Change::Add),
        3 => Just(Change::ReplaceAll),
        2 => (0..MOST_KEYS).prop_map(Change::Remove),
        2 => (0..MOST_KEYS).prop_map(Change::Renew),
        1 => (0..MOST_KEYS).prop_map(Change::Twin),
        1 => (0..FORGED_KIDS).prop_map(Change::Late),
    ];
    let max_age = prop_oneof![3 => Just(None), 1 => prop_oneof![0_u64..7200, Just(u64::MAX)].prop_map(Some)];
    let set = || (any::<bool>(), max_age.clone()).prop_map(|(tagged, max_age)| Mode::Set { tagged, max_age });
    let seconds = prop_oneof![0_u64..5, 0_u64..900, Just(u64::MAX / 2)];
    let retry_after = prop_oneof![1 => Just(None), 3 => seconds.prop_map(Some)];
    let status = prop::sample::select(vec![429, 503, 500, 404]);
    let mode = prop_oneof![
        8 => set(),
        1 => Just(Mode::Stuck),
        1 => Just(Mode::Rogue),
        3 => (status, retry_after).prop_map(|(status, after)| Mode::Status(status, after)),
        1 => Just(Mode::Garbage),
        1 => Just(Mode::Empty),
        1 => Just(Mode::Hang),
    ];
    // Beyond 2 s nobody waits for it, beyond 5 s neither does the refresher.
    let delay = prop_oneof![3 => Just(1_u64), 3 => 1_u64..1900, 2 => 1900_u64..4900, 1 => 5100_u64..9000];
    let kind = || {
        prop_oneof![
            6 => (0..MOST_KEYS).prop_map(Kind::Current),
            2 => (0_usize..16).prop_map(Kind::Former),
            6 => (0..FORGED_KIDS).prop_map(Kind::ForgedKid),
            3 => Just(Kind::FreshKid),
            4 => (0..MOST_KEYS).prop_map(Kind::ForgedSignature),
            1 => (0..MOST_KEYS).prop_map(Kind::Nameless),
            1 => Just(Kind::NamelessForged),
            1 => (0..MOST_KEYS).prop_map(Kind::Expired),
        ]
    };
    let passes = prop_oneof![
        6 => 1_u64..1000,
        8 => 1000_u64..15_000,
        3 => 15_000_u64..700_000,
        1 => 700_000_u64..26_000_000,
    ];
    let step = prop_oneof![
        4 => change.prop_map(Step::Keys),
        4 => (mode, delay).prop_map(|(mode, delay)| Step::Answers(mode, delay)),
        16 => kind().prop_map(|kind| Step::Requests(kind, 1)),
        2 => (kind(), 2_usize..40).prop_map(|(kind, count)| Step::Requests(kind, count)),
        1 => (kind(), 0_u64..2500).prop_map(|(kind, after)| Step::Cancelled(kind, after)),
        10 => passes.prop_map(Step::Passes),
        1 => (1_u64..40_000).prop_map(Step::Sleeps),
        1 => Just(Step::RotationUnderFlood),
        1 => Just(Step::FloodAndNothingNew),
        1 => Just(Step::AnswerMeetsRequest),
    ];
    vec(step, 20..40)
}
