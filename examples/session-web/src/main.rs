//! A site whose sessions live on the server: `cargo run -p session-web`, and open what it prints.
//!
//! `site.rs` is the part to copy. The rest is its pages, and the world around it.

mod api;
mod assets;
mod auth;
mod cli;
mod demo;
mod issuer;
mod limit;
mod pages;
mod serve;
mod settings;
mod site;
mod visitor;

use cli::Command;
use settings::Settings;
use std::{env, error::Error, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Command::parse(env::args().skip(1)) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{error}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("session-web: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Help => println!("{}", cli::USAGE),
        Command::Serve { port, lifetime } => {
            let settings = Settings::read(|name| env::var(name).ok())?;
            serve::run(settings, port, lifetime).await?;
        }
        Command::Demo => return demo::run().await,
    }
    Ok(ExitCode::SUCCESS)
}
