//! The servers: processes that print their address, and end when their standard input does.

use crate::{
    rows::axum_bearer,
    world::{AUDIENCE, World},
};
use axum::{Router, routing::get};
use std::{
    env,
    error::Error,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};
use tokio::{net::TcpListener, runtime};

pub const BARE: &str = "axum without the layer";
const GATE: &str = "axum-bearer in axum";
const NODE: &str = "jose in Fastify (Node.js)";

pub const SERVERS: [&str; 3] = [BARE, GATE, NODE];

/// Where the keys are, for the server.
const JWKS_URI: &str = "PEERS_JWKS_URI";

pub struct Server {
    process: Child,
    address: String,
}

impl Server {
    pub fn start(name: &str, world: &World) -> Result<Self, Box<dyn Error>> {
        let mut command = if name == NODE { node()? } else { Command::new(env::current_exe()?) };
        if name != NODE {
            command.args(["serve", name]);
        }
        command
            .env(JWKS_URI, &world.jwks_uri)
            .env("PEERS_ISSUER", &world.iss)
            .env("PEERS_AUDIENCE", AUDIENCE);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        let stdout = process.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut address)?;
        if address.is_empty() {
            return Err("it does not start".into());
        }
        Ok(Self { process, address: address.trim().to_owned() })
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, if not.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What `peers serve` does.
pub fn serve(name: &str) -> Result<(), Box<dyn Error>> {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let router = match name {
            BARE => Router::new().route("/me", get(async || ())).with_state(()),
            GATE => axum_bearer::router(axum_bearer::verifier(&env::var(JWKS_URI)?).await?),
            _ => return Err("no such server".into()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}

fn node() -> Result<Command, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    // npm writes this file last.
    if !folder.join("node_modules/.package-lock.json").exists() {
        return Err("run `npm ci --ignore-scripts` in tests/peers/node".into());
    }
    let mut command = Command::new("node");
    command.arg(folder.join("server.mjs")).env("NODE_ENV", "production");
    Ok(command)
}
