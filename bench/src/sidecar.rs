//! queue-proxy against nginx, both in front of one nginx that answers at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::nginx::{BACKEND, PROXY};
use crate::process::Killed;
use crate::wrk::{Target, added, load};
use crate::{http, nginx, process, say};

const QUEUE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8012);

/// Measures and prints.
pub fn measure(bin: &Path, seconds: u32) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("spindrift-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let _nginx = nginx::start(&folder, BACKEND)?;
    let queue = queue_proxy(bin)?;
    for address in [BACKEND, PROXY, QUEUE] {
        http::answers(address)?;
    }
    say(&format!(
        "queue-proxy idle: resident            {:8.1} MiB",
        process::resident_mib(queue.0.id())?
    ));
    let [backend, proxy, ours] = [BACKEND, PROXY, QUEUE].map(|address| Target::new(address, "localhost"));
    let (by_nginx, by_us) = added(&backend, &proxy, &ours)?;
    say(&format!(
        "added latency, 1 connection, p50      {by_us:8.0} µs; nginx adds {by_nginx:.0} µs; ratio {:.2}",
        by_us / by_nginx
    ));
    let (nginx, queue_proxy) = (load(&proxy, 32, seconds)?, load(&ours, 32, seconds)?);
    say(&format!(
        "throughput, 32 connections            {:8.0} requests/s; nginx {:.0}; ratio {:.2}",
        queue_proxy.requests_per_second,
        nginx.requests_per_second,
        queue_proxy.requests_per_second / nginx.requests_per_second
    ));
    load(&ours, 128, seconds)?;
    say(&format!(
        "queue-proxy after 128 connections     {:8.1} MiB",
        process::resident_mib(queue.0.id())?
    ));
    drop(queue);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
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
