//! The load generator.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, ensure};

/// What is asked.
pub struct Target {
    pub address: SocketAddr,
    /// The `Host` header.
    pub host: String,
}

impl Target {
    pub fn new(address: impl Into<SocketAddr>, host: &str) -> Self {
        Self {
            address: address.into(),
            host: host.to_owned(),
        }
    }
}

/// Figures of one load.
pub struct Load {
    pub requests_per_second: f64,
    pub p50_micros: f64,
}

/// Runs wrk and reads its report.
pub fn load(target: &Target, connections: u32, seconds: u32) -> anyhow::Result<Load> {
    let output = Command::new("wrk")
        .args([
            "--latency",
            "-t",
            "1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{seconds}s"),
        ])
        .args(["-H", &format!("Host: {}", target.host)])
        .arg(format!("http://{}/", target.address))
        .output()
        .context("wrk makes the load: install it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "wrk: {text}"
    );
    let word = |label: &str| {
        text.lines().find_map(|line| {
            line.trim()
                .strip_prefix(label)?
                .split_whitespace()
                .next()
                .map(str::to_owned)
        })
    };
    Ok(Load {
        requests_per_second: word("Requests/sec:")
            .and_then(|n| n.parse().ok())
            .context("no rate in wrk's report")?,
        p50_micros: word("50%")
            .and_then(|n| micros(&n))
            .context("no median in wrk's report")?,
    })
}

fn micros(text: &str) -> Option<f64> {
    let (number, factor) = match text {
        t if t.ends_with("us") => (t.trim_end_matches("us"), 1.0),
        t if t.ends_with("ms") => (t.trim_end_matches("ms"), 1000.0),
        t => (t.trim_end_matches('s'), 1_000_000.0),
    };
    Some(number.parse::<f64>().ok()? * factor)
}

/// Rounds of loads that are compared: what one connection takes on a small virtual machine shifts by half from one
/// second to the next, so the three take turns, and the median of their rounds is what counts.
const ROUNDS: usize = 9;

/// What each of two proxies adds to the median of what is behind them, over one connection: nginx, ours, in µs.
pub fn added(behind: &Target, nginx: &Target, ours: &Target) -> anyhow::Result<(f64, f64)> {
    let mut taken = [(); 3].map(|()| Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        for (target, taken) in [behind, nginx, ours].into_iter().zip(&mut taken) {
            taken.push(load(target, 1, 1)?.p50_micros);
        }
    }
    let [behind, nginx, ours] = taken.map(median);
    Ok((nginx - behind, ours - behind))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
