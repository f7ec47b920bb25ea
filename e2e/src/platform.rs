//! A running platform: `spindrift up` in a folder of its own, on ports of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::run::{Background, Output, run};
use crate::wait::eventually;

/// Programs that the tests run; built once per test program, with cargo's own up-to-date check.
const PROGRAMS: [&str; 7] = [
    "spindrift",
    "kn",
    "queue-proxy",
    "hello",
    "ab",
    "echo",
    "autoscale",
];

/// The folder that holds the freshly built programs.
///
/// # Errors
/// With the compiler's output, if they do not build.
pub fn programs() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build().map_err(|error| format!("{error:?}")))
        .as_ref()
        .map(PathBuf::as_path)
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> anyhow::Result<PathBuf> {
    // target/<profile>/deps/<this test>
    let own = std::env::current_exe()?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .context("this test lies in no target folder")?;
    if let Some(given) = std::env::var_os("SPINDRIFT_BIN_DIR") {
        return Ok(PathBuf::from(given));
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet"]);
    if folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    for program in PROGRAMS {
        cargo.args(["-p", program]);
    }
    let built = cargo.output().context("cannot run cargo")?;
    anyhow::ensure!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Ok(folder.to_path_buf())
}

/// How a platform is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments of `spindrift up`.
    pub arguments: Vec<String>,
    /// An existing data folder; a temporary one by default.
    pub data_dir: Option<PathBuf>,
}

/// A running `spindrift up`.
pub struct Platform {
    child: Child,
    data_dir: PathBuf,
    /// Keeps the folder until the platform is gone.
    _temporary: Option<tempfile::TempDir>,
    status: Value,
    bin: PathBuf,
}

impl Platform {
    /// Starts `spindrift up` and waits until it is ready.
    ///
    /// # Errors
    /// With its log, if it does not come up.
    pub fn start(options: Options) -> anyhow::Result<Self> {
        let bin = programs()?.to_path_buf();
        let temporary = match options.data_dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("spindrift-e2e-").tempdir()?),
        };
        let data_dir = match (&options.data_dir, &temporary) {
            (Some(given), _) => given.clone(),
            (None, Some(temporary)) => temporary.path().to_path_buf(),
            (None, None) => anyhow::bail!("no data folder"),
        };
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(data_dir.join("e2e.log"))?;
        let mut child = Command::new(bin.join("spindrift"))
            .arg("up")
            .arg("--data-dir")
            .arg(&data_dir)
            .args(["--log", "info"])
            .args(&options.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start spindrift")?;
        let pid = child.id();
        let status = eventually("the platform to be ready", || {
            if let Some(status) = child.try_wait()? {
                anyhow::bail!("spindrift ended ({status}): {}", read(&data_dir.join("e2e.log")));
            }
            let run: Value = serde_json::from_str(&std::fs::read_to_string(data_dir.join("run.json"))?)?;
            anyhow::ensure!(
                run["ready"] == true && run["pid"] == pid,
                "not ready: {}",
                read(&data_dir.join("e2e.log"))
            );
            Ok(run)
        });
        match status {
            Ok(status) => Ok(Self {
                child,
                data_dir,
                _temporary: temporary,
                status,
                bin,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `host:port` of the registry, as images name it.
    pub fn registry(&self) -> String {
        self.status["registry"].as_str().unwrap_or_default().to_owned()
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
        let mut command = Command::new(self.bin.join(name));
        command
            .env(
                "KUBECONFIG",
                self.status["kubeconfig"].as_str().unwrap_or_default(),
            )
            .env("NO_COLOR", "1");
        command
    }

    /// Runs `kn` with these arguments.
    pub fn kn(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(self.program("kn").args(arguments))
    }

    /// Runs the real `kubectl` with these arguments.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        run(Command::new("kubectl")
            .env(
                "KUBECONFIG",
                self.status["kubeconfig"].as_str().unwrap_or_default(),
            )
            .args(arguments))
    }

    /// Starts the real `kubectl` with these arguments; it is killed when the guard goes.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn kubectl_in_background(&self, arguments: &[&str]) -> anyhow::Result<Background> {
        let mut command = Command::new("kubectl");
        command
            .env(
                "KUBECONFIG",
                self.status["kubeconfig"].as_str().unwrap_or_default(),
            )
            .args(arguments);
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
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same data, after [`Platform::kill`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        let options = Options {
            arguments: vec!["--http-port".into(), self.http_port().to_string()],
            data_dir: Some(self.data_dir.clone()),
        };
        let mut started = Self::start(options)?;
        std::mem::swap(&mut self.child, &mut started.child);
        std::mem::swap(&mut self.status, &mut started.status);
        Ok(())
    }

    /// Stops it as Ctrl-C does, and waits for its end.
    ///
    /// # Errors
    /// If it does not end by itself, or with another code than 0.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGINT)?;
        let status = eventually("spindrift to stop", || {
            self.child.try_wait()?.context("it still runs")
        })?;
        anyhow::ensure!(status.success(), "it ended with {status}: {}", self.log());
        Ok(())
    }

    /// What it logged.
    pub fn log(&self) -> String {
        read(&self.data_dir.join("e2e.log"))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = run(Command::new(self.bin.join("spindrift"))
                .arg("down")
                .arg("--data-dir")
                .arg(&self.data_dir));
        }
    }
}

/// The end of a log.
fn read(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
