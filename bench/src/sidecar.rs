//! queue-proxy against nginx, both in front of one nginx that answers at once.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::{process, say};

const BACKEND: u16 = 18080;
const BASELINE: u16 = 18081;
const QUEUE: u16 = 8012;

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// Figures of one load.
struct Load {
    requests_per_second: f64,
    p50_micros: f64,
}

/// Measures and prints.
pub fn measure(bin: &Path, seconds: u32) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("spindrift-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let _nginx = nginx(&folder)?;
    let queue = queue_proxy(bin)?;
    for port in [BACKEND, BASELINE, QUEUE] {
        answers(port)?;
    }
    say(&format!(
        "queue-proxy idle: resident            {:8.1} MiB",
        process::resident_mib(queue.0.id())?
    ));
    let single: Vec<Load> = [BACKEND, BASELINE, QUEUE]
        .into_iter()
        .map(|port| load(port, 1, seconds))
        .collect::<Result<_, _>>()?;
    let added = |load: &Load| load.p50_micros - single[0].p50_micros;
    say(&format!(
        "added latency, 1 connection, p50      {:8.0} µs; nginx adds {:.0} µs; ratio {:.2}",
        added(&single[2]),
        added(&single[1]),
        added(&single[2]) / added(&single[1])
    ));
    let (nginx, ours) = (load(BASELINE, 32, seconds)?, load(QUEUE, 32, seconds)?);
    say(&format!(
        "throughput, 32 connections            {:8.0} requests/s; nginx {:.0}; ratio {:.2}",
        ours.requests_per_second,
        nginx.requests_per_second,
        ours.requests_per_second / nginx.requests_per_second
    ));
    load(QUEUE, 128, seconds)?;
    say(&format!(
        "queue-proxy after 128 connections     {:8.1} MiB",
        process::resident_mib(queue.0.id())?
    ));
    drop(queue);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn nginx(folder: &Path) -> anyhow::Result<Killed> {
    let config = folder.join("nginx.conf");
    let text = format!(
        "worker_processes 2; daemon off; pid {0}/nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n\
         client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         upstream app {{ server 127.0.0.1:{BACKEND}; keepalive 256; }}\n\
         server {{ listen 127.0.0.1:{BACKEND}; location / {{ return 200 'Hello World!'; }} }}\n\
         server {{ listen 127.0.0.1:{BASELINE}; location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }} }} }}\n",
        folder.display()
    );
    std::fs::write(&config, text)?;
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    let program = program.context("nginx is the baseline: install nginx-light")?;
    let child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Killed(child))
}

fn queue_proxy(bin: &Path) -> anyhow::Result<Killed> {
    let environment = [
        ("SERVING_NAMESPACE", "default"),
        ("SERVING_SERVICE", "bench"),
        ("SERVING_CONFIGURATION", "bench"),
        ("SERVING_REVISION", "bench-00001"),
        ("SERVING_POD", "bench"),
        ("SERVING_POD_IP", "127.0.0.1"),
        ("HOST_IP", "127.0.0.1"),
        ("QUEUE_SERVING_PORT", "8012"),
        ("QUEUE_SERVING_TLS_PORT", "8112"),
        ("USER_PORT", "18080"),
        ("CONTAINER_CONCURRENCY", "0"),
        ("REVISION_TIMEOUT_SECONDS", "300"),
        (
            "SERVING_READINESS_PROBE",
            r#"{"tcpSocket":{"port":18080,"host":"127.0.0.1"},"successThreshold":1}"#,
        ),
        ("SYSTEM_NAMESPACE", "knative-serving"),
    ];
    let child = Command::new(bin.join("queue-proxy"))
        .envs(environment)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Killed(child))
}

fn answers(port: u16) -> anyhow::Result<()> {
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        match crate::http::get(address, "localhost") {
            Ok(answer) if answer.status == 200 => return Ok(()),
            result => ensure!(
                std::time::Instant::now() < deadline,
                "port {port} does not answer: {}",
                result.map_or_else(|error| error.to_string(), |answer| answer.status.to_string())
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Runs wrk and reads its report.
fn load(port: u16, connections: u32, seconds: u32) -> anyhow::Result<Load> {
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
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .context("wrk makes the load: install it")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && !text.contains("Non-2xx"),
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
