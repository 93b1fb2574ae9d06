//! The servers: processes that print their address, and end when their standard input does.

use crate::{
    rows::axum_bearer as row,
    world::{AUDIENCE, World},
};
use axum::{Router, body::Body, routing::get};
use axum_bearer::{BearerLayer, JwtVerifier};
use http::Request;
use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};
use tokio::{net::TcpListener, runtime};
use tower::util::MapRequestLayer;

pub const BARE: &str = "axum without the layer";
const IDLE: &str = "axum with a layer that does nothing";
const GATE: &str = "axum with this gate";
const USER: &str = "axum with this gate, and a handler that asks for the user";
const NODE: &str = "jose in Fastify (Node.js)";

pub const SERVERS: [&str; 5] = [BARE, IDLE, GATE, USER, NODE];

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

    /// The processor time it has taken since it started, in seconds, where the system tells (Linux).
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        // After the name in parentheses: utime and stime are the 12th and 13th, in hundredths of a second.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: Vec<f64> =
            after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse().ok()).collect();
        if ticks.len() == 2 { ticks.iter().sum::<f64>() / 100.0 } else { f64::NAN }
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
            BARE => bare(),
            // What it costs axum to have one.
            IDLE => bare().layer(MapRequestLayer::new(|request: Request<Body>| request)),
            GATE => bare().layer(BearerLayer::new(verifier().await?)),
            USER => row::router(verifier().await?),
            _ => return Err("no such server".into()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router).await?)
    })
}

async fn verifier() -> Result<JwtVerifier, Box<dyn Error>> {
    Ok(row::verifier(&env::var(JWKS_URI)?).await?)
}

fn bare() -> Router {
    Router::new().route("/me", get(async || ()))
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
