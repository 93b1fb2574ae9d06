//! How rows are compared: they take turns.
//!
//! In each round every row answers one batch of requests, in another order each time, so that a busy neighbour, the
//! processor's clock and what the row before left in the caches meet all of them alike. A row's time is
//! the tenth percentile of its batches' means: what a request takes when nearly nothing else wants the processor. (The
//! minimum would be one lucky batch, the median half of the neighbour's load; the result shows the floor's median over
//! its tenth percentile, as a measure of the noise.)
//!
//! Requests are built before the clock starts; the response is dropped before it stops. Allocations are counted apart,
//! with the clock off, each growth as one more, on the thread that answers, which is the only one but the issuer's.

use crate::{
    contender::{Contender, Look},
    options::Options,
    results::{Group, Measured, Numbers, Results},
    rows::{self, Row},
    world::{ALGORITHMS, Case, World},
};
use bearer_testing::Algorithm;
use http::{HeaderValue, StatusCode};
use std::{error::Error, num::NonZero, thread, time::Duration};
use tokio::runtime::{self, Runtime};

/// Requests of one turn: enough that starting the clock is nothing, few enough that a turn is short.
const BATCH: usize = 8;

/// New tokens that everyone has seen before any are timed. Who remembers tokens is to have as much memory by then as it
/// will ever take: 8 MiB of it, fresh from the system, cost more than the tokens.
const EARLIER: usize = 4096;

/// How often a row is asked before it is given up: some fetch their first keys in the background.
const PATIENCE: usize = 50;

struct Entry {
    row: Row,
    contender: Result<Box<dyn Contender>, String>,
    cases: Vec<Numbers>,
}

pub fn all(options: &Options) -> Result<Results, Box<dyn Error>> {
    rows::install_crypto();
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let world = World::start()?;
    let groups = ALGORITHMS.iter().map(|&algorithm| group(&runtime, &world, algorithm, options)).collect();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    Ok(Results { rounds: options.rounds, batch: BATCH, processors, groups })
}

fn group(runtime: &Runtime, world: &World, algorithm: Algorithm, options: &Options) -> Group {
    eprintln!("{}: {} rounds…", algorithm.name(), options.rounds);
    let good = world.credentials(algorithm, Case::Again, BATCH);
    let wanted = |row: &Row| {
        let asked = |only: &String| row.name == rows::FLOOR || row.name.contains(only.as_str());
        options.only.as_ref().is_none_or(asked)
    };
    let mut entries: Vec<_> = rows::ALL
        .into_iter()
        .filter(wanted)
        .map(|row| {
            let contender = runtime.block_on((row.build)(world, algorithm));
            let contender = contender.and_then(|contender| settled(runtime, contender, &good));
            Entry { row, contender, cases: Vec::new() }
        })
        .collect();
    for case in Case::ALL {
        let earlier = if case == Case::New { EARLIER } else { 0 };
        let credentials = world.credentials(algorithm, case, earlier + (options.rounds + 2) * BATCH);
        let (earlier, timed) = credentials.split_at(earlier);
        for contender in entries.iter_mut().filter_map(|entry| entry.contender.as_mut().ok()) {
            for turn in earlier.chunks(BATCH) {
                contender.answer(runtime, turn, Look::Time);
            }
        }
        compare(runtime, &mut entries, case, timed);
    }
    let floor = entries[0].cases.first().map_or(1.0, |floor| floor.median / floor.nanoseconds);
    Group {
        algorithm: algorithm.name(),
        token_bytes: good[0].as_ref().map_or(0, |header| header.len() - "Bearer ".len()),
        noise: floor,
        rows: entries.into_iter().map(Entry::finish).collect(),
    }
}

/// Waits until it takes a good token.
fn settled(
    runtime: &Runtime,
    mut contender: Box<dyn Contender>,
    good: &[Option<HeaderValue>],
) -> Result<Box<dyn Contender>, String> {
    let mut answer = StatusCode::OK;
    for _ in 0..PATIENCE {
        answer = contender.answer(runtime, &good[..1], Look::Time).answers[0];
        if answer.is_success() {
            return Ok(contender);
        }
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
    }
    Err(format!("refuses the token: {}", answer.as_u16()))
}

/// One case through all rows that have contenders.
fn compare(runtime: &Runtime, entries: &mut [Entry], case: Case, credentials: &[Option<HeaderValue>]) {
    let mut turns = credentials.chunks_exact(BATCH);
    let (Some(warm), Some(counted)) = (turns.next(), turns.next()) else { return };
    let mut racing: Vec<_> = entries
        .iter_mut()
        .filter_map(|entry| {
            let contender = entry.contender.as_mut().ok().filter(|contender| contender.knows(case))?;
            Some((contender, &mut entry.cases, Vec::new()))
        })
        .collect();
    let mut counts = Vec::new();
    for (contender, ..) in &mut racing {
        let status = contender.answer(runtime, warm, Look::Time).answers[0];
        let seen = contender.answer(runtime, counted, Look::Allocations);
        counts.push((status, seen.allocations / BATCH as u64, seen.bytes / BATCH as u64));
    }
    // The same orders in every run.
    let mut random = fastrand::Rng::with_seed(0);
    let mut order: Vec<_> = (0..racing.len()).collect();
    for turn in turns {
        random.shuffle(&mut order);
        for index in &order {
            let (contender, _, times) = &mut racing[*index];
            let seen = contender.answer(runtime, turn, Look::Time);
            times.push(seen.elapsed / u32::try_from(BATCH).expect("a small number"));
        }
    }
    for ((_, cases, times), (status, allocations, bytes)) in racing.into_iter().zip(counts) {
        let (nanoseconds, median) = percentiles(times);
        cases.push(Numbers { case, status: status.as_u16(), nanoseconds, median, allocations, bytes });
    }
}

/// The tenth and the fiftieth, in nanoseconds.
fn percentiles(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort_unstable();
    let at =
        |share: usize| times.get(times.len() * share / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e9);
    (at(10), at(50))
}

impl Entry {
    fn finish(self) -> Measured {
        Measured {
            name: self.row.name,
            version: self.row.package.and_then(crate::versions::locked),
            shape: self.row.shape,
            ours: self.row.ours,
            note: self.row.note,
            absent: self.contender.err(),
            cases: self.cases,
        }
    }
}
