//! The shim alone: containers, logs, exec, signals, restarts of the agent and leftovers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests are tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster_node::cgroup::{Cgroup, Hierarchies, Limits};
use cluster_node::oci::{BindMount, Process, Rights, User, capabilities_of, specification};
use cluster_node::shim::protocol::{Answer, Call, Event, ExecProcess, SeccompProfile, StartContainer};
use cluster_node::shim::{Exit, ShimConfig};
use cluster_node::shim_client::{ShimClient, ShimEvent};
use tokio::sync::mpsc::UnboundedReceiver;

const PATIENCE: Duration = Duration::from_secs(20);

struct Pod {
    dir: tempfile::TempDir,
    layer: PathBuf,
    shim: ShimClient,
    events: UnboundedReceiver<ShimEvent>,
    group: Cgroup,
}

impl Pod {
    async fn start(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layer = support::busybox_layer(dir.path());
        let path = PathBuf::from(format!("spindrift-test-{}-{name}", std::process::id()));
        let config = ShimConfig {
            hostname: name.to_owned(),
            host_network: false,
            host_ipc: false,
            cgroup: path.clone(),
            sysctls: Default::default(),
            log_max_bytes: 1 << 20,
            log_max_files: 3,
        };
        let (shim, events) = ShimClient::spawn(&support::shim_program(), dir.path(), &config).unwrap();
        Self {
            dir,
            layer,
            shim,
            events,
            group: Cgroup::new(Hierarchies::detect().unwrap(), path),
        }
    }

    fn request(&self, id: &str, script: &str) -> StartContainer {
        let mut process = Process {
            arguments: vec!["sh".into(), "-c".into(), script.into()],
            environment: vec!["PATH=/bin".into(), "GREETING=hello".into()],
            working_directory: "/".into(),
            ..Process::default()
        };
        process.rights = Rights::default();
        self.request_for(id, &process)
    }

    fn request_for(&self, id: &str, process: &Process) -> StartContainer {
        let host = capabilities_of(&std::fs::read_to_string("/proc/self/status").unwrap());
        StartContainer {
            id: id.to_owned(),
            spec: specification(process, &self.dir.path().join("shm"), &host),
            layers: vec![self.layer.clone()],
            limits: Limits {
                pids: Some(64),
                ..Limits::default()
            },
            log: self.dir.path().join("logs").join(id),
            seccomp: SeccompProfile::RuntimeDefault,
            note: serde_json::json!({"name": id}),
        }
    }

    async fn run(&self, request: StartContainer) -> i32 {
        match self.shim.call(Call::Start(Box::new(request))).await.unwrap() {
            Answer::Started { pid, .. } => pid,
            other => panic!("{other:?}"),
        }
    }

    async fn exit(&mut self) -> Exit {
        match tokio::time::timeout(PATIENCE, self.events.recv())
            .await
            .unwrap()
            .unwrap()
        {
            ShimEvent::Container(Event::Exited { exit, .. }) => exit,
            ShimEvent::Gone => panic!("the shim ended: {}", self.shim_log()),
        }
    }

    /// Runs a script to its end and returns the exit record and the text of its log.
    async fn script(&mut self, id: &str, script: &str) -> (Exit, String) {
        let request = self.request(id, script);
        self.finished(request).await
    }

    async fn finished(&mut self, request: StartContainer) -> (Exit, String) {
        let id = request.id.clone();
        self.run(request).await;
        let exit = self.exit().await;
        (exit, self.log(&id))
    }

    fn log(&self, id: &str) -> String {
        let text =
            std::fs::read_to_string(self.dir.path().join("logs").join(format!("{id}.000000.log"))).unwrap();
        text.lines()
            .map(|line| line.splitn(4, ' ').nth(3).unwrap_or(""))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn shim_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("shim.log")).unwrap_or_default()
    }

    async fn exec(&self, id: &str, command: &[&str], timeout_millis: u64) -> (i32, String, bool) {
        let call = Call::Exec(ExecProcess {
            container: id.to_owned(),
            command: command.iter().map(|text| (*text).to_owned()).collect(),
            timeout_millis,
            output_limit: 10_000,
        });
        match self.shim.call(call).await.unwrap() {
            Answer::Executed {
                exit_code,
                output,
                timed_out,
            } => (exit_code, output, timed_out),
            other => panic!("{other:?}"),
        }
    }

    /// Ends the shim and proves that nothing of the pod is left.
    async fn stop(self) {
        let pid = ShimClient::recorded_pid(self.dir.path()).unwrap();
        self.shim.call(Call::Shutdown).await.unwrap();
        wait_until(|| !Path::new(&format!("/proc/{pid}")).exists()).await;
        assert!(self.group.processes().is_empty());
        self.group.remove().unwrap();
        assert!(self.group.children().is_empty());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "{mounts}");
    }
}

async fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn runs_a_container_and_keeps_its_output_and_exit_code() {
    let mut pod = Pod::start("basic").await;
    let (exit, log) = pod
        .script("a.0", "echo $GREETING from $(hostname) $$; echo oops >&2; exit 3")
        .await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (3, None, false));
    let mut lines: Vec<&str> = log.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["hello from basic 1", "oops"]);
    let record: Exit =
        serde_json::from_slice(&std::fs::read(pod.dir.path().join("containers/a.0/exit.json")).unwrap())
            .unwrap();
    assert_eq!(record, exit);
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn starts_containers_of_a_pod_in_parallel() {
    let mut pod = Pod::start("parallel").await;
    pod.shim.hello().await.unwrap();
    let started = Instant::now();
    let requests: Vec<_> = (0..4)
        .map(|n| pod.request(&format!("c{n}.0"), "sleep 1000"))
        .collect();
    futures::future::join_all(requests.into_iter().map(|request| pod.run(request))).await;
    println!("four containers took {:?}", started.elapsed());
    let state = pod.shim.hello().await.unwrap();
    assert_eq!(state.containers.len(), 4);
    assert_eq!(state.containers[1].note, serde_json::json!({"name": "c1.0"}));
    pod.shim
        .call(Call::Signal {
            container: "c1.0".into(),
            signal: 9,
        })
        .await
        .unwrap();
    assert_eq!(pod.exit().await.code, 137);
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn the_container_contract_of_files_and_devices_holds() {
    let mut pod = Pod::start("contract").await;
    let script = "for d in full null ptmx random tty urandom zero; do test -c /dev/$d || echo missing $d; done
        for l in fd stdin stdout stderr; do test -L /dev/$l || echo no link $l; done
        for f in 0 1 2; do test -e /proc/self/fd/$f || echo no fd $f; done
        test -e /dev/console && echo console
        echo x 2>/dev/null > /proc/sys/kernel/hostname && echo sysctl
        mkdir 2>/dev/null /sys/fs/cgroup/x /sys/fs/cgroup/memory/x && echo cgroup
        read -r line && echo stdin open
        test -n \"$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null)\" || echo no limit
        ls / > /dev/null; mount | busybox grep -q overlay && echo overlay";
    let (exit, log) = pod.script("a.0", script).await;
    assert_eq!((exit.code, log.as_str()), (0, "overlay"));
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn identity_and_rights_are_those_asked_for() {
    let mut pod = Pod::start("identity").await;
    // Without a shell, which has a view of its own on signals.
    let process = Process {
        arguments: ["busybox", "cat", "/proc/self/status"]
            .map(str::to_owned)
            .to_vec(),
        environment: vec!["PATH=/bin".into()],
        working_directory: "/tmp".into(),
        user: User {
            uid: 1000,
            gid: 1001,
            groups: vec![2000],
        },
        rights: Rights {
            no_new_privileges: true,
            drop: vec!["ALL".into()],
            ..Rights::default()
        },
        ..Process::default()
    };
    let (_, log) = pod.finished(pod.request_for("a.0", &process)).await;
    for line in [
        "Uid:\t1000\t1000\t1000\t1000",
        "Gid:\t1001\t1001\t1001\t1001",
        "Groups:\t2000",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "SigBlk:\t0000000000000000",
    ] {
        assert!(log.contains(line), "{line} not in {log}");
    }
    // The two signals above 31 belong to the C library and cannot be reset.
    let ignored = log
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:\t"))
        .unwrap();
    assert_eq!(
        u64::from_str_radix(ignored, 16).unwrap() & 0x7fff_ffff,
        0,
        "{log}"
    );
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn mounts_and_control_groups_are_in_place_whatever_the_image_holds() {
    let mut pod = Pod::start("mounts").await;
    std::fs::create_dir(pod.layer.join("plain")).unwrap();
    // Within the container's root this link leads to the image's own directory, not to the machine's.
    std::os::unix::fs::symlink("/var/log", pod.layer.join("link")).unwrap();
    let volume = |name: &str| {
        let source = pod.dir.path().join(name);
        std::fs::create_dir(&source).unwrap();
        std::fs::write(source.join("file"), name).unwrap();
        source
    };
    let mount = |source: PathBuf, target: &str, read_only| BindMount {
        source,
        target: target.into(),
        read_only,
        propagated: false,
    };
    let (one, two, three) = (volume("one"), volume("two"), volume("three"));
    let mounts = vec![
        mount(one.clone(), "/plain", true),
        mount(one.join("file"), "/plain/file", false),
        mount(two.clone(), "/link/deep", false),
        mount(three, "/absent/deep", true),
        mount(one, "/link/deep/again", true),
    ];
    std::fs::create_dir(two.join("again")).unwrap();
    let script = "cat /plain/file /var/log/deep/file /absent/deep/file /link/deep/again/file; echo
        echo x > /plain/new; echo x > /absent/deep/new; echo x > /link/deep/again/new
        echo -n changed > /link/deep/file; echo -n changed > /plain/file; cat /proc/self/cgroup /proc/mounts";
    let process = Process {
        arguments: vec!["sh".into(), "-c".into(), script.into()],
        environment: vec!["PATH=/bin".into()],
        working_directory: "/".into(),
        mounts,
        ..Process::default()
    };
    let request = pod.request_for("a.0", &process);
    let (_, log) = pod.finished(request).await;
    assert!(log.lines().any(|line| line == "onetwothreeone"), "{log}");
    let refused = log.lines().filter(|line| line.ends_with("Read-only file system"));
    assert_eq!(refused.count(), 3, "{log}");
    let read = |name: &str| std::fs::read_to_string(pod.dir.path().join(name).join("file")).unwrap();
    assert_eq!(
        (read("one"), read("two"), read("three")),
        ("changed".into(), "changed".into(), "three".into())
    );
    assert!(
        !Path::new("/var/log/deep").exists(),
        "nothing was made on the machine"
    );
    let group = pod.group.child("a.0").oci_path();
    for kept in ["memory", "cpu", "pids", "devices", "freezer"] {
        let of_v1 = log.lines().find(|line| {
            line.split(':')
                .nth(1)
                .is_some_and(|list| list.split(',').any(|name| name == kept))
        });
        let unified = log.lines().find(|line| line.starts_with("0::"));
        let line = of_v1.or(unified).unwrap_or_default();
        assert!(line.ends_with(group.to_str().unwrap()), "{kept}: {log}");
    }
    let shown: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(" /sys/fs/cgroup"))
        .collect();
    assert!(!shown.is_empty(), "{log}");
    for line in shown {
        let options = line.split(' ').nth(3).unwrap();
        assert!(options.starts_with("ro,nosuid,nodev,noexec"), "{line}");
    }
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn a_program_that_is_missing_is_said_in_one_sentence() {
    let pod = Pod::start("missing").await;
    let mut request = pod.request("a.0", "");
    request.spec["process"]["args"] = serde_json::json!(["nonsense"]);
    let error = pod
        .shim
        .call(Call::Start(Box::new(request)))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exec: \"nonsense\": executable file not found in $PATH"),
        "{error}"
    );
    // The name is free again.
    pod.run(pod.request("a.0", "sleep 1000")).await;
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn exec_runs_in_the_container_and_is_bounded_in_time_and_output() {
    let pod = Pod::start("exec").await;
    pod.run(pod.request("a.0", "echo secret > /tmp/file; sleep 1000"))
        .await;
    wait_for_file(&pod, "a.0", "/tmp/file").await;
    let (code, output, _) = pod
        .exec(
            "a.0",
            &["sh", "-c", "cat /tmp/file; echo $GREETING >&2; exit 7"],
            5_000,
        )
        .await;
    assert_eq!((code, output.as_str()), (7, "secret\nhello\n"));
    let (code, _, timed_out) = pod.exec("a.0", &["sleep", "1000"], 200).await;
    assert_eq!((code, timed_out), (137, true));
    let (_, output, _) = pod
        .exec("a.0", &["sh", "-c", "busybox head -c 1000000 /dev/zero"], 5_000)
        .await;
    assert_eq!(output.len(), 10_000);
    pod.stop().await;
}

async fn wait_for_file(pod: &Pod, id: &str, file: &str) {
    let deadline = Instant::now() + PATIENCE;
    while pod.exec(id, &["cat", file], 5_000).await.0 != 0 {
        assert!(Instant::now() < deadline, "{file} does not appear");
    }
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn a_flood_of_output_costs_bounded_disk() {
    let mut pod = Pod::start("flood").await;
    pod.run(pod.request(
        "a.0",
        "busybox head -c 20000000 /dev/urandom; busybox head -c 9000000 /dev/zero",
    ))
    .await;
    let exit = pod.exit().await;
    assert_eq!(exit.code, 0);
    let sizes: Vec<u64> = std::fs::read_dir(pod.dir.path().join("logs"))
        .map(|entries| {
            entries
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect()
        })
        .unwrap_or_default();
    assert_eq!(sizes.len(), 3);
    assert!(sizes.iter().all(|&size| size <= 1 << 20), "{sizes:?}");
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn a_container_that_takes_too_much_memory_is_reported_as_such() {
    let mut pod = Pod::start("oom").await;
    let mut request = pod.request("a.0", "exec busybox tail /dev/zero");
    request.limits.memory_bytes = Some(16 << 20);
    let (exit, _) = pod.finished(request).await;
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), true));
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn a_container_that_ignores_sigterm_dies_by_sigkill() {
    let mut pod = Pod::start("stubborn").await;
    pod.run(pod.request(
        "a.0",
        "trap '' TERM; touch /tmp/ready; while true; do sleep 1; done",
    ))
    .await;
    wait_for_file(&pod, "a.0", "/tmp/ready").await;
    pod.shim
        .call(Call::Signal {
            container: "a.0".into(),
            signal: 15,
        })
        .await
        .unwrap();
    assert_eq!(pod.exec("a.0", &["true"], 5_000).await.0, 0);
    pod.shim
        .call(Call::Signal {
            container: "a.0".into(),
            signal: 9,
        })
        .await
        .unwrap();
    assert_eq!(pod.exit().await.signal, Some(9));
    pod.shim
        .call(Call::Remove {
            container: "a.0".into(),
        })
        .await
        .unwrap();
    assert!(pod.shim.hello().await.unwrap().containers.is_empty());
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn containers_outlive_their_agent_and_are_found_again() {
    let pod = Pod::start("adopt").await;
    let pid = pod
        .run(pod.request("a.0", "while true; do echo tick; busybox usleep 10000; done"))
        .await;
    let Pod {
        dir,
        layer,
        shim,
        events,
        group,
    } = pod;
    drop((shim, events));
    let (shim, events) = ShimClient::connect(dir.path()).unwrap();
    let mut pod = Pod {
        dir,
        layer,
        shim,
        events,
        group,
    };
    let state = pod.shim.hello().await.unwrap();
    assert_eq!(
        (state.containers[0].id.as_str(), state.containers[0].pid),
        ("a.0", pid)
    );
    let before = pod.log("a.0").len();
    wait_until(|| pod.log("a.0").len() > before).await;
    pod.shim
        .call(Call::Signal {
            container: "a.0".into(),
            signal: 9,
        })
        .await
        .unwrap();
    assert_eq!(pod.exit().await.code, 137);
    pod.stop().await;
}

#[tokio::test]
#[ignore = "needs root: namespaces, mounts and control groups"]
async fn a_killed_shim_leaves_nothing_that_its_group_cannot_clear() {
    let mut pod = Pod::start("murdered").await;
    let container = pod.run(pod.request("a.0", "sleep 1000")).await;
    let shim = ShimClient::recorded_pid(pod.dir.path()).unwrap();
    assert!(
        std::process::Command::new("kill")
            .args(["-9", &shim.to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert!(matches!(
        tokio::time::timeout(PATIENCE, pod.events.recv()).await.unwrap(),
        Some(ShimEvent::Gone)
    ));
    assert!(pod.shim.hello().await.is_err());
    pod.group.kill();
    let group = pod.group.clone();
    tokio::task::spawn_blocking(move || group.remove().unwrap())
        .await
        .unwrap();
    wait_until(|| !Path::new(&format!("/proc/{container}/exe")).exists()).await;
    assert!(pod.group.children().is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(!mounts.contains(pod.dir.path().to_str().unwrap()));
}
