//! The load generator.

use std::{
    error::Error,
    process::{Command, Stdio},
    time::Duration,
};

/// One turn.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Requests per second.
    pub rate: f64,
    /// Seconds.
    pub p99: f64,
    /// Seconds of the server's processor time per request, where the system tells.
    pub cpu: f64,
}

impl Load {
    /// The medians of each figure by itself.
    pub fn median(loads: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(loads.iter().map(figure));
        Self { rate: of(|load| load.rate), p99: of(|load| load.p99), cpu: of(|load| load.cpu) }
    }

    /// The medians of what each turn was to the other's of the same round: the machine is not the same for long.
    pub fn relative(loads: &[Self], others: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| {
            median(loads.iter().zip(others).map(|(load, other)| figure(load) / figure(other)))
        };
        Self { rate: of(|load| load.rate), p99: of(|load| load.p99), cpu: of(|load| load.cpu) }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

pub fn is_here() -> bool {
    Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub fn load(
    address: &str,
    authorization: &str,
    connections: usize,
    turn: Duration,
) -> Result<Load, Box<dyn Error>> {
    let output = Command::new("wrk")
        .args(["--latency", "--threads", "1"])
        .args(["--connections", &connections.to_string()])
        .args(["--duration", &format!("{}s", turn.as_secs())])
        .args(["--header", &format!("Authorization: {authorization}")])
        .arg(format!("http://{address}/me"))
        .output()?;
    parse(&String::from_utf8(output.stdout)?)
}

fn parse(text: &str) -> Result<Load, Box<dyn Error>> {
    // A server that refuses is fast; a server that is not measured is no result.
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("not all requests were answered well: {text}").into());
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim).ok_or(format!("no {name} in {text}"))
    };
    Ok(Load { rate: value("Requests/sec:")?.parse()?, p99: seconds(value("99%")?)?, cpu: f64::NAN })
}

/// `1.23ms`.
fn seconds(text: &str) -> Result<f64, Box<dyn Error>> {
    let number = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        other => return Err(format!("unit {other}").into()),
    };
    Ok(number.parse::<f64>()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "  Latency Distribution\n     50%  301.00us\n     99%    1.25ms\n  9 requests in 1s\nRequests/sec:  94100.25\n";

    #[test]
    fn wrk_is_understood() {
        let load = parse(OUTPUT).expect("what wrk prints");
        assert!((load.rate - 94_100.25).abs() < 1e-9 && (load.p99 - 1.25e-3).abs() < 1e-9, "{load:?}");
    }

    #[test]
    fn refused_requests_are_no_result() {
        assert!(parse(&format!("{OUTPUT}  Non-2xx or 3xx responses: 9\n")).is_err());
    }
}
