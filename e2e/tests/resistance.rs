//! What resists on a machine: registries that hang, containers that do not end, a disk without room.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::disk::SmallDisk;
use e2e::registry::{Fault, Registry};
use e2e::tools::Need;
use e2e::workload::{pod, until_running};
use e2e::{Options, Platform, busybox, cases, eventually, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox];

/// An image with a shell.
fn tools() -> anyhow::Result<&'static str> {
    static TOOLS: OnceLock<Result<String, String>> = OnceLock::new();
    let loaded = TOOLS.get_or_init(|| {
        let loaded = shared().and_then(|platform| busybox::load(platform, "tools:v1"));
        loaded.map_err(|error| format!("{error:?}"))
    });
    loaded.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn pod_status(platform: &Platform, name: &str) -> anyhow::Result<Value> {
    Ok(platform.get(&["pod", name])?["status"].clone())
}

fn a_hanging_registry_holds_up_no_other_pull_and_is_given_up() -> anyhow::Result<()> {
    let platform = shared()?;
    let tools = tools()?;
    let registry = Registry::start(Fault::Hangs)?;
    let hangs = |name: &str| {
        pod(
            name,
            json!({"containers": [{"name": "c", "image": registry.pinned()}]}),
        )
    };
    let names: Vec<String> = (0..6).map(|number| format!("hangs-{number}")).collect();
    for name in &names {
        platform.apply(&hangs(name).to_string(), &[])?.ok()?;
    }
    eventually("pulls that hang", || {
        ensure!(registry.requests() >= 4);
        Ok(())
    })?;
    let container =
        json!({"name": "c", "image": tools, "imagePullPolicy": "Always", "command": ["sleep", "999"]});
    let start = Instant::now();
    platform
        .apply(
            &pod("not-held-up", json!({"containers": [container]})).to_string(),
            &[],
        )?
        .ok()?;
    until_running(platform, "not-held-up")?;
    ensure!(
        start.elapsed() < Duration::from_secs(20),
        "it was held up for {:?}",
        start.elapsed()
    );
    eventually("a pull to be given up", || {
        let mut told = Vec::new();
        for name in &names {
            let waiting = &pod_status(platform, name)?["containerStatuses"][0]["state"]["waiting"];
            told.push(format!("{waiting}"));
        }
        ensure!(
            told.iter()
                .any(|told| told.contains("ImagePull") && told.contains("localhost:")),
            "{told:?}"
        );
        Ok(())
    })?;
    let mut delete = vec!["delete", "pod", "not-held-up", "--grace-period=0", "--wait=false"];
    delete.extend(names.iter().map(String::as_str));
    platform.kubectl(&delete)?.ok()?;
    Ok(())
}

fn containers_that_resist_are_bounded() -> anyhow::Result<()> {
    let (platform, tools) = (shared()?, tools()?);
    let container = |script: &str| json!({"name": "c", "image": tools, "command": ["sh", "-c", script]});
    let mut hook = container("sleep 1000");
    hook["lifecycle"] = json!({"preStop": {"exec": {"command": ["sleep", "1000"]}}});
    let mut unhealthy = container("exec httpd -f -p 8080 -h /tmp");
    unhealthy["livenessProbe"] = json!({"httpGet": {"path": "/no", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1,
        "terminationGracePeriodSeconds": 1});
    let pods = [
        (
            "stubborn",
            2,
            container("trap '' TERM; while true; do sleep 1; done"),
        ),
        ("hook", 3, hook),
        ("unhealthy", 1, unhealthy),
        (
            "flood",
            1,
            container("timeout 5 yes a line of a flood that is to fill the disk of this machine; sleep 1000"),
        ),
        ("bomb", 1, container("while true; do sleep 1000 & done")),
    ];
    for (name, grace, container) in pods {
        let spec = json!({"terminationGracePeriodSeconds": grace, "restartPolicy": "Never", "containers": [container]});
        let spec = match name {
            "unhealthy" => json!({"terminationGracePeriodSeconds": 1, "containers": spec["containers"]}),
            _ => spec,
        };
        platform.apply(&pod(name, spec).to_string(), &[])?.ok()?;
    }
    for name in ["stubborn", "hook"] {
        until_running(platform, name)?;
        let start = Instant::now();
        platform.kubectl(&["delete", "pod", name])?.ok()?;
        let took = start.elapsed();
        ensure!(
            took > Duration::from_secs(2) && took < Duration::from_secs(20),
            "{name} took {took:?} to end"
        );
    }
    eventually("the bomb to meet its limit", || {
        let ended = &pod_status(platform, "bomb")?["containerStatuses"][0]["state"]["terminated"];
        ensure!(
            ended["message"].as_str().is_some() || ended["exitCode"].as_i64() > Some(0),
            "{ended}"
        );
        Ok(())
    })?;
    ensure!(platform.kubectl(&["logs", "bomb"])?.ok()?.contains("can't fork"));
    eventually("a second failure of the probe", || {
        let container = &pod_status(platform, "unhealthy")?["containerStatuses"][0];
        ensure!(container["restartCount"].as_u64() >= Some(2), "{container:#}");
        ensure!(
            container["state"]["waiting"]["reason"] == "CrashLoopBackOff",
            "{container:#}"
        );
        Ok(())
    })?;
    let logs = platform.data_dir().join("node/logs");
    let mut bytes = 0;
    for folder in std::fs::read_dir(&logs)?.flatten() {
        if folder.file_name().to_string_lossy().starts_with("default_flood_") {
            bytes += size(&folder.path())?;
        }
    }
    // Five files of ten mebibytes, as the kubelet keeps; the one that is written may be a buffer longer.
    ensure!(bytes > 10 << 20, "the flood wrote {bytes} bytes only");
    ensure!(bytes < 60 << 20, "{bytes} bytes of logs of one container");
    platform
        .kubectl(&[
            "delete",
            "pod",
            "unhealthy",
            "flood",
            "bomb",
            "--grace-period=1",
            "--wait=false",
        ])?
        .ok()?;
    Ok(())
}

fn size(path: &std::path::Path) -> anyhow::Result<u64> {
    let meta = path.symlink_metadata()?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    std::fs::read_dir(path)?
        .flatten()
        .map(|entry| size(&entry.path()))
        .sum()
}

fn a_full_disk_refuses_writes_and_loses_nothing() -> anyhow::Result<()> {
    let disk = SmallDisk::mount(700)?;
    let data_dir = disk.path().join("data");
    std::fs::create_dir(&data_dir)?;
    let options = Options {
        data_dir: Some(data_dir),
        ..Options::default()
    };
    let mut platform = Platform::start(options)?;
    let create = |platform: &Platform, name: &str| {
        let text = format!("--from-literal=text={}", "x".repeat(20_000));
        platform.kubectl(&["create", "configmap", name, text.as_str()])
    };
    create(&platform, "before")?.ok()?;
    disk.fill()?;
    let refused = create(&platform, "refused")?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("No space left on device"),
        "{}",
        refused.text()
    );
    let ready = |platform: &Platform| platform.kubectl(&["get", "--raw", "/readyz"]);
    // Not only at that moment: small writes of the platform's own may still find their place.
    for _ in 0..8 {
        let readiness = ready(&platform)?;
        ensure!(readiness.code != 0, "ready on a full disk: {}", readiness.text());
        std::thread::sleep(Duration::from_millis(500));
    }
    let loaded = busybox::load(&platform, "tools:v1");
    ensure!(
        loaded
            .as_ref()
            .is_err_and(|error| error.to_string().contains("No space left on device")),
        "{loaded:?}"
    );
    disk.free()?;
    eventually("the platform to be ready again", || ready(&platform)?.ok())?;
    eventually("writes to be taken again", || create(&platform, "after")?.ok())?;
    busybox::load(&platform, "tools:v1")?;
    disk.fill()?;
    platform.kill()?;
    disk.free()?;
    platform.restart()?;
    let there = platform.kubectl(&["get", "configmaps", "-o", "name"])?.ok()?;
    for (name, expected) in [("before", true), ("after", true), ("refused", false)] {
        let name = format!("configmap/{name}");
        ensure!(
            there.lines().any(|line| line == name) == expected,
            "{name}: {there}"
        );
    }
    platform.stop()
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_hanging_registry_holds_up_no_other_pull_and_is_given_up,
            a_full_disk_refuses_writes_and_loses_nothing,
            containers_that_resist_are_bounded,
        ]],
        stop_shared,
    )
}
