//! The command line.

use std::{error::Error, path::PathBuf, time::Duration};

pub const USAGE: &str = "\
peers [--rounds N] [--only NAME] [--json FILE] [--svg FILE]    the table of all crates
peers socket [--rounds N] [--seconds N]                        servers under load (needs wrk)
peers offload [--seconds N]                                    what new tokens do to other requests";

pub enum Command {
    Compare(Options),
    Socket(SocketOptions),
    Offload(OffloadOptions),
    /// What `socket` starts in processes of their own: the name of a server.
    Serve(String),
}

pub struct Options {
    /// How often each row takes its turn.
    pub rounds: usize,
    /// Only rows whose name contains this, besides the floor.
    pub only: Option<String>,
    pub json: Option<PathBuf>,
    pub svg: Option<PathBuf>,
}

pub struct SocketOptions {
    /// How often each server takes its turn.
    pub rounds: usize,
    /// How long it is under load in each.
    pub turn: Duration,
}

pub struct OffloadOptions {
    /// How long each row is under load.
    pub turn: Duration,
}

impl Command {
    pub fn from_args(args: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut args = args.peekable();
        match args.peek().map(String::as_str) {
            Some("socket") => {
                let mut options = SocketOptions { rounds: 20, turn: Duration::from_secs(1) };
                each(args.skip(1), |name, value| {
                    match name {
                        "--rounds" => options.rounds = value.parse()?,
                        "--seconds" => options.turn = Duration::from_secs(value.parse()?),
                        _ => return Err(USAGE.into()),
                    }
                    Ok(())
                })?;
                Ok(Self::Socket(options))
            }
            Some("offload") => {
                let mut options = OffloadOptions { turn: Duration::from_secs(3) };
                each(args.skip(1), |name, value| {
                    match name {
                        "--seconds" => options.turn = Duration::from_secs(value.parse()?),
                        _ => return Err(USAGE.into()),
                    }
                    Ok(())
                })?;
                Ok(Self::Offload(options))
            }
            Some("serve") => Ok(Self::Serve(args.nth(1).ok_or(USAGE)?)),
            _ => {
                let mut options = Options { rounds: 400, only: None, json: None, svg: None };
                each(args, |name, value| {
                    match name {
                        "--rounds" => options.rounds = value.parse()?,
                        "--only" => options.only = Some(value),
                        "--json" => options.json = Some(value.into()),
                        "--svg" => options.svg = Some(value.into()),
                        _ => return Err(USAGE.into()),
                    }
                    Ok(())
                })?;
                Ok(Self::Compare(options))
            }
        }
    }
}

/// Options with one value each.
fn each(
    mut args: impl Iterator<Item = String>,
    mut set: impl FnMut(&str, String) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    while let Some(name) = args.next() {
        set(&name, args.next().ok_or(USAGE)?)?;
    }
    Ok(())
}
