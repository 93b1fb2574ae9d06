//! This project and the crates that do parts of its job, side by side, in one run. See README.md.

mod chart;
mod claims;
mod contender;
mod measure;
mod offload;
mod options;
mod results;
mod rows;
mod socket;
mod table;
mod versions;
mod world;

use options::{Command, Options};
use std::{error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    match Command::from_args(std::env::args().skip(1))? {
        Command::Compare(options) => compare(&options),
        Command::Socket(options) => socket::run(&options),
        Command::Offload(options) => offload::run(&options),
        Command::Serve(name) => socket::serve(&name),
    }
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let results = measure::all(options)?;
    print!("{}", table::markdown(&results));
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_string_pretty(&results)? + "\n")?;
    }
    if let Some(file) = &options.svg {
        fs::write(file, chart::svg(&results))?;
    }
    Ok(())
}
