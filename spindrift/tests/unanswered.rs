//! Components beside an API server that takes connections and never answers.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Only ends tests that fail.
const LIMIT: Duration = Duration::from_secs(60);

fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(start.elapsed() < LIMIT, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A component, which does not outlive its test.
struct Component(Child);

impl Drop for Component {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Component {
    fn start(folder: &Path, api: SocketAddr, arguments: &[&str], health: SocketAddr) -> Self {
        let kubeconfig = folder.join("kubeconfig");
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://{api}'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        );
        std::fs::write(&kubeconfig, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_spindrift"))
            .args(arguments)
            .args(["--health-address", &health.to_string(), "--kubeconfig"])
            .arg(&kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

/// The answer of a probe; `None` while nobody listens.
fn readiness(health: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(health).ok()?;
    let request = "GET /readiness HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn components_wait_to_be_ready_and_end_when_told() {
    // The kernel takes the connections.
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events");
    let free = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let any = "127.0.0.1:0";
    let cases: [(&[&str], &str); 4] = [
        (&["controller"], "the caches are not filled yet"),
        (&["eventing-controller"], "the caches are not filled yet"),
        (
            &["event-sources", "--listen", any],
            "the sources are not known yet",
        ),
        (
            &[
                "broker",
                "--listen",
                any,
                "--listen-tls",
                any,
                "--events-dir",
                events.to_str().unwrap(),
            ],
            "brokers and triggers are not known yet",
        ),
    ];
    for (arguments, missing) in cases {
        let health = free();
        let mut component = Component::start(folder.path(), api.local_addr().unwrap(), arguments, health);
        let answer = eventually("an answer", || readiness(health));
        assert!(answer.starts_with("HTTP/1.1 503 "), "{arguments:?}: {answer}");
        assert!(answer.contains(missing), "{arguments:?}: {answer}");

        let id = i32::try_from(component.0.id()).unwrap();
        kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
        let status = eventually("the end", || component.0.try_wait().unwrap());
        assert!(status.success(), "{arguments:?}: {status}");
    }
}
