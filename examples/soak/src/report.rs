//! What happened.

use http::{Response, StatusCode};
use std::{
    convert::Infallible,
    fs,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tower_bearer::AuthError;

/// More than this is growth, not noise.
const GROWTH_KIB: u64 = 8 * 1024;

#[derive(Debug, Default)]
pub(crate) struct Report {
    good_accepted: AtomicU64,
    good_refused: AtomicU64,
    bad_accepted: AtomicU64,
    bad_refused: AtomicU64,
    first_wrong: Mutex<Option<String>>,
}

impl Report {
    pub(crate) fn good(&self, answer: Result<Response<()>, Infallible>) {
        let Ok(answer) = answer;
        if answer.status() == StatusCode::OK {
            self.good_accepted.fetch_add(1, Relaxed);
        } else {
            self.good_refused.fetch_add(1, Relaxed);
            self.note(format!("a good token: {:?}", answer.extensions().get::<AuthError>()));
        }
    }

    pub(crate) fn bad(&self, answer: Result<Response<()>, Infallible>) {
        let Ok(answer) = answer;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.bad_refused.fetch_add(1, Relaxed);
        } else {
            self.bad_accepted.fetch_add(1, Relaxed);
            self.note(format!("a bad token: {}", answer.status()));
        }
    }

    fn note(&self, wrong: String) {
        self.first_wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(wrong);
    }

    /// Prints the table; the exit code says whether all went well.
    pub(crate) fn print(&self, seconds: u64, sets: u64, before: Option<u64>, after: Option<u64>) -> ExitCode {
        let [good_accepted, good_refused, bad_accepted, bad_refused] =
            [&self.good_accepted, &self.good_refused, &self.bad_accepted, &self.bad_refused]
                .map(|count| count.load(Relaxed));
        println!("seconds                {seconds:>12}");
        println!(
            "requests a second      {:>12}",
            (good_accepted + good_refused + bad_accepted + bad_refused) / seconds
        );
        println!("key sets published     {sets:>12}");
        println!("good tokens accepted   {good_accepted:>12}");
        println!("good tokens refused    {good_refused:>12}");
        println!("bad tokens refused     {bad_refused:>12}");
        println!("bad tokens not refused {bad_accepted:>12}");
        let grown = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        if let (Some(before), Some(after)) = (before, after) {
            println!("resident memory, KiB   {before:>12} -> {after}");
        }
        if let Some(wrong) = &*self.first_wrong.lock().unwrap_or_else(PoisonError::into_inner) {
            println!("first wrong answer     {wrong}");
        }
        let is_right = good_accepted > 0 && bad_refused > 0 && good_refused == 0 && bad_accepted == 0;
        if is_right && grown.is_none_or(|kib| kib < GROWTH_KIB) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The memory of this process that is resident, in KiB; `None` where the system does not say.
pub(crate) fn resident_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
