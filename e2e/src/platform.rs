//! A running platform: `spindrift up` in a folder of its own, on ports of its own.

use std::path::Path;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::run::{Background, Output, run};
use crate::starting::{Options, Starting};

/// A running `spindrift up`.
pub struct Platform {
    process: Starting,
    status: Value,
}

impl Platform {
    /// Starts `spindrift up` and waits until it is ready.
    ///
    /// # Errors
    /// With its log, if it does not come up.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        Starting::new(options)?.ready()
    }

    pub(crate) fn new(process: Starting, status: Value) -> Self {
        Self { process, status }
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> &Path {
        self.process.data_dir()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The administrator's credentials.
    pub fn kubeconfig(&self) -> &str {
        self.status["kubeconfig"].as_str().unwrap_or_default()
    }

    /// `host:port` of the registry, as images name it.
    pub fn registry(&self) -> String {
        self.status["registry"].as_str().unwrap_or_default().to_owned()
    }

    /// The address of this machine that pods reach.
    ///
    /// # Errors
    /// If the API does not tell.
    pub fn address(&self) -> anyhow::Result<String> {
        let at = "jsonpath={.endpoints[0].addresses[0]}";
        let told = self.kubectl(&["get", "endpointslice", "kubernetes", "-o", at])?;
        Ok(told.ok()?.trim().to_owned())
    }

    /// The port of the gateway.
    pub fn http_port(&self) -> u16 {
        let url = self.status["gatewayUrl"].as_str().unwrap_or_default();
        url.trim_end_matches('/')
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or(0)
    }

    /// One of our programs, with the platform's credentials.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.process.bin().join(name));
        command.env("KUBECONFIG", self.kubeconfig()).env("NO_COLOR", "1");
        command
    }

    /// Runs `kn` with these arguments.
    pub fn kn(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(self.program("kn").args(arguments))
    }

    /// Runs the real `kubectl` with these arguments.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new("kubectl")
            .env("KUBECONFIG", self.kubeconfig())
            .args(arguments))
    }

    /// Starts the real `kubectl` with these arguments; it is killed when the guard goes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn kubectl_in_background(&self, arguments: &[&str]) -> anyhow::Result<Background> {
        let mut command = Command::new("kubectl");
        command.env("KUBECONFIG", self.kubeconfig()).args(arguments);
        Background::start(command)
    }

    /// Runs `kubectl apply -f -` on `manifest`, by way of a file.
    pub fn apply(&self, manifest: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let file = tempfile::Builder::new().suffix(".yaml").tempfile()?;
        std::fs::write(file.path(), manifest)?;
        let path = file.path().to_string_lossy().into_owned();
        let mut all = vec!["apply", "-f", path.as_str()];
        all.extend(arguments);
        self.kubectl(&all)
    }

    /// An object as JSON.
    pub fn get(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut all = vec!["get", "-o", "json"];
        all.extend(arguments);
        Ok(serde_json::from_str(&self.kubectl(&all)?.ok()?)?)
    }

    /// Runs the real `curl` against the gateway for `host`. `-sS` and a time limit are added.
    pub fn curl(&self, host: &str, path: &str, arguments: &[&str]) -> anyhow::Result<Output> {
        let port = self.http_port();
        run(Command::new("curl")
            .args([
                "-sS",
                "--max-time",
                "60",
                "--resolve",
                &format!("{host}:{port}:127.0.0.1"),
            ])
            .args(arguments)
            .arg(format!("http://{host}:{port}{path}")))
    }

    /// Memory of the process that is in use, bytes.
    ///
    /// # Errors
    /// If it has ended.
    pub fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("it has no memory")? * 1024)
    }

    /// The value of one metric, by its name with labels as the text format writes it.
    ///
    /// # Errors
    /// If it is not told.
    pub fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let service = self.get(&["service", "activator-service", "-n", "knative-serving"])?;
        let address = service["spec"]["clusterIP"].as_str().context("no address")?;
        let url = format!("http://{address}:9090/metrics");
        let text = run(Command::new("curl").args(["-sSf", "--max-time", "20", &url]))?.ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.with_context(|| format!("no {name}"))?.trim().parse()?)
    }

    /// Kills the process without a chance to clean up.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same data and ports, after [`Platform::kill`] or [`Platform::stop`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let started = Starting::new(self.options())?.ready()?;
        self.replace(started);
        Ok(())
    }

    /// How it is started again on the same data and ports.
    pub fn options(&self) -> Options {
        Options {
            arguments: Vec::new(),
            ports: Some(self.process.ports()),
            data_dir: Some(self.data_dir().to_path_buf()),
            terminal: self.process.terminal(),
        }
    }

    /// Goes on with another process on the same folder; the one until now has ended.
    pub fn replace(&mut self, next: Self) {
        self.status = next.status;
        self.process.replace(next.process);
    }

    /// Stops it as Ctrl-C does, and waits for its end.
    ///
    /// # Errors
    /// If it does not end by itself, or with another code than 0.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        let status = self.process.interrupt()?;
        anyhow::ensure!(status.success(), "it ended with {status}: {}", self.log());
        Ok(())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        self.process.log()
    }
}
