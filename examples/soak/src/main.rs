//! A gate at full load while its issuer rotates every second and fails in between. See the README.

mod issuer;
mod report;
mod visitors;

use bearer_jwks::{HttpFetch, Refresher, Schedule, Status};
use issuer::Director;
use report::Report;
use std::{error::Error, process::ExitCode, sync::Arc, thread, time::Duration};
use tokio::time::sleep;
use tower_bearer::{BearerLayer, Issuer, JwtVerifier};

/// Caches and allocators fill up first.
const WARM_UP: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let seconds = match std::env::args().nth(1).map(|text| text.parse()) {
        None => 60,
        Some(Ok(seconds)) if seconds >= 1 => seconds,
        Some(_) => {
            eprintln!("usage: soak [SECONDS]");
            return Ok(ExitCode::from(2));
        }
    };

    let (director, tokens) = Director::start().await;
    let (refresher, keys) = Refresher::new(HttpFetch::new(&director.jwks_uri())?);
    let mut status = refresher.status();
    let running = refresher.schedule(schedule()).spawn();
    status.wait_for(Status::is_ready).await?;
    let issuer = Issuer::new(director.issuer(), director.audience()).keys(keys);
    let layer = BearerLayer::new(JwtVerifier::new([issuer])?);

    let report = Arc::new(Report::default());
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let visitors: Vec<_> = (0..cores)
        .map(|_| tokio::spawn(visitors::visit(layer.clone(), tokens.clone(), Arc::clone(&report))))
        .collect();
    let directing = tokio::spawn(director.direct());

    sleep(WARM_UP).await;
    let before = report::resident_kib();
    sleep(Duration::from_secs(seconds)).await;
    let after = report::resident_kib();

    visitors.iter().for_each(tokio::task::JoinHandle::abort);
    directing.abort();
    let fetches = status.borrow().generation;
    drop(running);
    Ok(report.print(seconds + WARM_UP.as_secs(), fetches, before, after))
}

/// Real issuers publish a key minutes before they sign with it, and rotate once in a while; here all that
/// happens within a second or two.
fn schedule() -> Schedule {
    let mut schedule = Schedule::default();
    schedule.every = Duration::from_millis(250);
    schedule.at_least = Duration::from_millis(250);
    schedule.backoff = Duration::from_millis(50);
    schedule.longest_backoff = Duration::from_millis(200);
    schedule
}
