//! A protected API and its issuer in one process: `cargo run -p quickstart`, and paste what it prints.
//!
//! `api.rs` is the part to copy. The rest plays the world around it.

mod api;
mod cli;
mod demo;
mod serve;
mod table;
mod visitor;

use cli::Command;
use std::{env, error::Error, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let command = match Command::parse(env::args().skip(1), env::var("SUPABASE_URL").ok()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("{error}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        Command::Help => println!("{}", cli::USAGE),
        Command::Serve { port } => serve::with_test_issuer(port).await?,
        Command::ServeProject { url, port } => serve::with_project(&url, port).await?,
        Command::Demo => return demo::run().await,
    }
    Ok(ExitCode::SUCCESS)
}
