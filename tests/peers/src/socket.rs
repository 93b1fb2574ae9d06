//! Whole servers on 127.0.0.1 under load, each a process of its own, in turns.
//!
//! The load generator is wrk, with keep-alive and one token for all requests. It shares the processors with the server
//! it loads, so the figures are those of this machine, and only their ratios mean anything. Every server has one thread
//! that serves, since that is what Node.js has.

mod server;
mod wrk;

use crate::{
    options::SocketOptions,
    world::{ALGORITHMS, Case, World},
};
use server::{SERVERS, Server};
use std::{error::Error, num::NonZero, thread, time::Duration};
use wrk::Load;

pub use server::serve;

/// What is not measured: compiling in Node.js, first keys everywhere.
const WARM_UP: Duration = Duration::from_secs(1);

/// Open connections.
const CONNECTIONS: usize = 32;

const HEADING: &str = "\
| | requests/s | × the bare router | p99, ms | × the bare router | processor time, µs | × the bare router |
|---|--:|--:|--:|--:|--:|--:|";

pub fn run(options: &SocketOptions) -> Result<(), Box<dyn Error>> {
    if !wrk::is_here() {
        println!("skipped: there is no wrk (Debian: apt-get install wrk; macOS: brew install wrk)");
        return Ok(());
    }
    if cfg!(feature = "allocations") {
        return Err("counting allocations takes time: run with --no-default-features".into());
    }
    let world = World::start()?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    println!(
        "Requests per second and 99th percentile of the latency on 127.0.0.1: {CONNECTIONS} kept connections, one token \
         again and again, the median of {} turns of {} s. wrk and the server share {processors} processors.",
        options.rounds,
        options.turn.as_secs(),
    );
    // The two algorithms that Supabase offers; EdDSA would say nothing new.
    for &algorithm in &ALGORITHMS[..2] {
        let header = world.credentials(algorithm, Case::Again, 1).remove(0).ok_or("no token")?;
        let header = header.to_str()?;
        let servers: Vec<_> = SERVERS
            .iter()
            .filter_map(|name| match Server::start(name, &world) {
                Ok(server) => Some((*name, server)),
                Err(reason) => {
                    println!("\nwithout {name}: {reason}");
                    None
                }
            })
            .collect();
        let mut loads = vec![Vec::new(); servers.len()];
        for (_, server) in &servers {
            wrk::load(server.address(), header, CONNECTIONS, WARM_UP)?;
        }
        for round in 0..options.rounds {
            for index in 0..servers.len() {
                // Another one begins each round.
                let index = (round + index) % servers.len();
                let server = &servers[index].1;
                let before = server.cpu();
                let mut load = wrk::load(server.address(), header, CONNECTIONS, options.turn)?;
                load.cpu = (server.cpu() - before) / (load.rate * options.turn.as_secs_f64());
                loads[index].push(load);
            }
        }
        let bare = servers.iter().position(|(name, _)| *name == server::BARE);
        println!("\n### {}\n\n{HEADING}", algorithm.name());
        for ((name, _), of_server) in servers.iter().zip(&loads) {
            let Load { rate, p99, cpu } = Load::median(of_server);
            let relative = Load::relative(of_server, bare.map_or(&[], |bare| &loads[bare]));
            println!(
                "| {name} | {rate:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} |",
                relative.rate,
                p99 * 1e3,
                relative.p99,
                cpu * 1e6,
                relative.cpu
            );
        }
    }
    Ok(())
}
