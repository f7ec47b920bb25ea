//! Probes: one attempt ([`Target::attempt`]), counting attempts ([`Counter`]), and the schedule of a container's
//! three probes ([`watch`]).

mod exec;
mod grpc;
mod http;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub use exec::run as run_exec;

use crate::shim_client::ShimClient;

/// First pause between early attempts.
const EARLY_FIRST: Duration = Duration::from_millis(10);

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeKind {
    /// Holds the others back until the container has started.
    Startup,
    /// Whether the container should be restarted.
    Liveness,
    /// Whether it should get traffic.
    Readiness,
}

impl ProbeKind {
    /// As events name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }
}

/// What the pod's task learns from probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeReport {
    /// The startup probe has passed (or there is none).
    Started,
    /// Readiness changed.
    Ready(bool),
    /// One attempt failed; for the event `Unhealthy`.
    Unhealthy(ProbeKind, String),
    /// The failure threshold of a startup or liveness probe was reached: restart the container, with the probe's own
    /// grace period if it has one.
    Restart(ProbeKind, Option<i64>),
}

/// Where probes of a container go.
#[derive(Clone)]
pub struct Target {
    /// The pod's address.
    pub address: String,
    /// For exec probes.
    pub shim: ShimClient,
    /// The container's id at the shim.
    pub container: String,
    /// Names of ports.
    pub ports: Vec<(String, u16)>,
}

impl Target {
    /// Reads the ports of a container.
    pub fn new(address: String, shim: ShimClient, id: String, container: &Container) -> Self {
        let ports = container.ports.iter().flatten();
        let ports = ports
            .filter_map(|port| Some((port.name.clone()?, u16::try_from(port.container_port).ok()?)))
            .collect();
        Self {
            address,
            shim,
            container: id,
            ports,
        }
    }

    fn port(&self, port: &IntOrString) -> Result<u16, String> {
        match port {
            IntOrString::Int(number) => {
                u16::try_from(*number).map_err(|_| format!("invalid port number: {number}"))
            }
            IntOrString::String(name) => {
                let named = self
                    .ports
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, port)| *port);
                named
                    .or_else(|| name.parse().ok())
                    .ok_or_else(|| format!("couldn't find port: {name}"))
            }
        }
    }

    fn socket(&self, host: Option<&str>, port: &IntOrString) -> Result<String, String> {
        let host = host.filter(|host| !host.is_empty()).unwrap_or(&self.address);
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        Ok(format!("{host}:{}", self.port(port)?))
    }

    /// Performs an HTTP request of a probe or a lifecycle hook.
    ///
    /// # Errors
    /// Says why it did not answer with 200 to 399.
    pub async fn http(&self, action: &HTTPGetAction, limit: Duration) -> Result<(), String> {
        let socket = self.socket(action.host.as_deref(), &action.port)?;
        match timeout(limit, http::get(&socket, action)).await {
            Ok(result) => result,
            Err(_) => Err(format!(
                "Get \"{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
                http::url(&socket, action)
            )),
        }
    }

    /// One attempt.
    ///
    /// # Errors
    /// Says what was wrong, in kubelet's words where clients know them.
    pub async fn attempt(&self, probe: &Probe) -> Result<(), String> {
        let limit = Duration::from_secs(seconds(probe.timeout_seconds, 1));
        if let Some(action) = &probe.http_get {
            return self.http(action, limit).await;
        }
        if let Some(action) = &probe.tcp_socket {
            let socket = self.socket(action.host.as_deref(), &action.port)?;
            return match timeout(limit, TcpStream::connect(&socket)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(format!("dial tcp {socket}: {}", refusal(&error))),
                Err(_) => Err(format!("dial tcp {socket}: i/o timeout")),
            };
        }
        if let Some(action) = &probe.grpc {
            let socket = self.socket(None, &IntOrString::Int(action.port))?;
            let address: SocketAddr = socket.parse().map_err(|_| format!("invalid address {socket}"))?;
            return match timeout(
                limit,
                grpc::check(address, action.service.as_deref().unwrap_or_default()),
            )
            .await
            {
                Ok(result) => result,
                Err(_) => Err(format!(
                    "timeout: failed to connect service \"{socket}\" within {limit:?}"
                )),
            };
        }
        if let Some(action) = &probe.exec {
            let command = action.command.clone().unwrap_or_default();
            return exec::run(&self.shim, &self.container, command, limit).await;
        }
        Ok(())
    }
}

/// The words of Go's net package.
fn refusal(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        _ => error.to_string(),
    }
}

fn seconds(value: Option<i32>, default: u64) -> u64 {
    value
        .and_then(|value| u64::try_from(value).ok())
        .filter(|&value| value > 0)
        .unwrap_or(default)
}

/// Consecutive results against thresholds. Pure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    success_threshold: u64,
    failure_threshold: u64,
    successes: u64,
    failures: u64,
}

/// What a result means, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Enough successes in a row.
    Passed,
    /// Enough failures in a row.
    Failed,
}

impl Counter {
    /// Thresholds of a probe; 1 and 3 when absent.
    pub fn new(probe: &Probe) -> Self {
        Self {
            success_threshold: seconds(probe.success_threshold, 1),
            failure_threshold: seconds(probe.failure_threshold, 3),
            successes: 0,
            failures: 0,
        }
    }

    /// Counts one result.
    pub fn count(&mut self, success: bool) -> Option<Verdict> {
        if success {
            self.failures = 0;
            self.successes += 1;
            (self.successes >= self.success_threshold).then_some(Verdict::Passed)
        } else {
            self.successes = 0;
            self.failures += 1;
            (self.failures >= self.failure_threshold).then_some(Verdict::Failed)
        }
    }
}

/// Runs the probes of a started container until the task is aborted or the container is to be restarted.
pub async fn watch(target: Target, container: Container, reports: mpsc::Sender<ProbeReport>) {
    if let Some(probe) = &container.startup_probe
        && !start_up(&target, probe, &reports).await
    {
        return;
    }
    if reports.send(ProbeReport::Started).await.is_err() {
        return;
    }
    let liveness = async {
        if let Some(probe) = &container.liveness_probe {
            live(&target, probe, &reports).await;
        }
    };
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => ready(&target, probe, &reports).await,
            None => {
                let _ = reports.send(ProbeReport::Ready(true)).await;
            }
        }
    };
    tokio::join!(liveness, readiness);
}

fn period(probe: &Probe) -> Duration {
    Duration::from_secs(seconds(probe.period_seconds, 10))
}

async fn initial_delay(probe: &Probe) {
    let delay = probe
        .initial_delay_seconds
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or(0);
    if delay > 0 {
        sleep(Duration::from_secs(delay)).await;
    }
}

/// Tries often during the first period, without counting failures: a cold start must not wait for a whole period when
/// the server opens its port a few milliseconds after the first attempt. Programs run as probes cost too much for that.
async fn early_success(target: &Target, probe: &Probe) -> bool {
    if probe.exec.is_some() {
        return false;
    }
    let end = Instant::now() + period(probe);
    let mut pause = EARLY_FIRST;
    while Instant::now() + pause < end {
        sleep(pause).await;
        if target.attempt(probe).await.is_ok() {
            return true;
        }
        pause = pause.saturating_mul(3) / 2;
    }
    sleep_until(end).await;
    false
}

async fn start_up(target: &Target, probe: &Probe, reports: &mpsc::Sender<ProbeReport>) -> bool {
    initial_delay(probe).await;
    let mut counter = Counter::new(probe);
    let mut early = true;
    loop {
        let result = target.attempt(probe).await;
        match counter.count(result.is_ok()) {
            Some(Verdict::Passed) => return true,
            verdict => {
                if let Err(message) = result {
                    let _ = reports
                        .send(ProbeReport::Unhealthy(ProbeKind::Startup, message))
                        .await;
                }
                if verdict == Some(Verdict::Failed) {
                    let grace = probe.termination_grace_period_seconds;
                    let _ = reports
                        .send(ProbeReport::Restart(ProbeKind::Startup, grace))
                        .await;
                    return false;
                }
            }
        }
        if std::mem::take(&mut early) {
            if early_success(target, probe).await {
                return true;
            }
        } else {
            sleep(period(probe)).await;
        }
    }
}

async fn live(target: &Target, probe: &Probe, reports: &mpsc::Sender<ProbeReport>) {
    initial_delay(probe).await;
    let mut counter = Counter::new(probe);
    loop {
        let result = target.attempt(probe).await;
        let verdict = counter.count(result.is_ok());
        if let Err(message) = result {
            let _ = reports
                .send(ProbeReport::Unhealthy(ProbeKind::Liveness, message))
                .await;
        }
        if verdict == Some(Verdict::Failed) {
            let grace = probe.termination_grace_period_seconds;
            let _ = reports
                .send(ProbeReport::Restart(ProbeKind::Liveness, grace))
                .await;
            return;
        }
        sleep(period(probe)).await;
    }
}

async fn ready(target: &Target, probe: &Probe, reports: &mpsc::Sender<ProbeReport>) {
    initial_delay(probe).await;
    let mut counter = Counter::new(probe);
    let mut reported = None;
    let mut early = counter.success_threshold == 1;
    loop {
        let result = target.attempt(probe).await;
        let verdict = counter
            .count(result.is_ok())
            .map(|verdict| verdict == Verdict::Passed);
        if let Err(message) = result {
            let _ = reports
                .send(ProbeReport::Unhealthy(ProbeKind::Readiness, message))
                .await;
        }
        if let Some(ready) = verdict
            && reported != Some(ready)
        {
            reported = Some(ready);
            if reports.send(ProbeReport::Ready(ready)).await.is_err() {
                return;
            }
        }
        if std::mem::take(&mut early) && reported != Some(true) {
            if early_success(target, probe).await && counter.count(true) == Some(Verdict::Passed) {
                reported = Some(true);
                if reports.send(ProbeReport::Ready(true)).await.is_err() {
                    return;
                }
                sleep(period(probe)).await;
            }
        } else {
            sleep(period(probe)).await;
        }
    }
}

#[cfg(test)]
mod tests;
