use super::*;

const HYBRID: &str = "\
25 1 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
29 25 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

#[test]
fn reads_a_hybrid_mount_table() {
    let found = Hierarchies::parse(HYBRID);
    assert_eq!(found.mode(), Mode::Hybrid);
    assert_eq!(found.v1("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu")));
    assert_eq!(found.unified(), Some(Path::new("/sys/fs/cgroup/unified")));
    let trackers: Vec<_> = found.trackers().collect();
    assert_eq!(
        trackers,
        [
            Path::new("/sys/fs/cgroup/unified"),
            Path::new("/sys/fs/cgroup/systemd")
        ]
    );
    assert_eq!(found.roots().count(), 4);
}

#[test]
fn tells_the_other_set_ups_apart() {
    let table = [
        ("", Mode::None),
        (
            "27 25 0:24 / /c/memory rw - cgroup cgroup rw,memory\n",
            Mode::Legacy,
        ),
        ("27 25 0:24 / /c rw - cgroup2 cgroup2 rw\n", Mode::Unified),
        (
            "28 25 0:25 / /s rw - cgroup cgroup rw,name=systemd\n29 25 0:26 / /u rw - cgroup2 cgroup2 rw\n",
            Mode::Unified,
        ),
    ];
    for (text, mode) in table {
        assert_eq!(Hierarchies::parse(text).mode(), mode, "{text}");
    }
}

fn fake(kind: &str, root: &Path) -> Hierarchies {
    let root = root.display();
    match kind {
        "v2" => Hierarchies::parse(&format!("1 1 0:1 / {root} rw - cgroup2 cgroup2 rw\n")),
        _ => Hierarchies::parse(&format!(
            "1 1 0:1 / {root}/memory rw - cgroup cgroup rw,memory\n1 1 0:1 / {root}/cpu rw - cgroup cgroup rw,cpu\n\
             1 1 0:1 / {root}/devices rw - cgroup cgroup rw,devices\n"
        )),
    }
}

#[test]
fn writes_the_limits_of_version_two() {
    let dir = tempfile::tempdir().unwrap();
    let group = Cgroup::new(fake("v2", dir.path()), "/s/p/c");
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        cpu_limit_milli: Some(500),
        cpu_request_milli: Some(1000),
        pids: Some(100),
        all_devices: false,
    };
    group.create(&limits).unwrap();
    let read = |file: &str| std::fs::read_to_string(dir.path().join("s/p/c").join(file)).unwrap();
    assert_eq!(read("memory.max"), "67108864");
    assert_eq!(read("memory.oom.group"), "1");
    assert_eq!(read("cpu.max"), "50000 100000");
    assert_eq!(read("cpu.weight"), "39");
    assert_eq!(read("pids.max"), "100");
    // Without the first level the kernel would not offer the limits to the second.
    assert!(dir.path().join("cgroup.subtree_control").exists());
    assert!(dir.path().join("s/p/cgroup.subtree_control").exists());
    assert!(!dir.path().join("s/p/c/cgroup.subtree_control").exists());
}

#[test]
fn writes_the_limits_of_version_one() {
    let dir = tempfile::tempdir().unwrap();
    let group = Cgroup::new(fake("v1", dir.path()), "s/p/c");
    group
        .create(&Limits {
            memory_bytes: Some(1),
            cpu_limit_milli: Some(2000),
            ..Limits::default()
        })
        .unwrap();
    let read = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
    assert_eq!(read("memory/s/p/c/memory.limit_in_bytes"), "1");
    assert_eq!(read("cpu/s/p/c/cpu.cfs_quota_us"), "200000");
    assert_eq!(read("devices/s/p/c/devices.deny"), "a");
}

#[test]
fn limits_without_their_controller_are_left_out_and_named() {
    let limits = Limits {
        memory_bytes: Some(64 << 20),
        cpu_limit_milli: Some(500),
        pids: Some(100),
        ..Limits::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let group = Cgroup::new(fake("v2", dir.path()), "s/p");
    std::fs::create_dir_all(dir.path().join("s/p")).unwrap();
    std::fs::write(dir.path().join("s/p/cgroup.controllers"), "cpuset cpu pids\n").unwrap();
    // The kernel would refuse the file, and with it the container.
    group.create(&limits).unwrap();
    let written = |file: &str| dir.path().join("s/p").join(file).exists();
    assert!(written("cpu.max") && written("pids.max") && !written("memory.max"));
    assert_eq!(limits.beyond(|name| group.controls(name)), ["memory"]);
    assert_eq!(
        Limits::default().beyond(|name| group.controls(name)),
        Vec::<&str>::new(),
        "nothing was asked for"
    );

    let hierarchies = Hierarchies::parse("1 1 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n");
    let v1 = Cgroup::new(hierarchies, "g");
    assert_eq!(limits.beyond(|name| v1.controls(name)), ["memory"]);
}

#[test]
fn reads_usage_and_oom_kills_of_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let v1 = Cgroup::new(fake("v1", dir.path()), "g");
    std::fs::create_dir_all(dir.path().join("memory/g")).unwrap();
    std::fs::write(dir.path().join("memory/g/memory.usage_in_bytes"), "500\n").unwrap();
    std::fs::write(
        dir.path().join("memory/g/memory.stat"),
        "cache 1\ntotal_inactive_file 200\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("memory/g/memory.oom_control"),
        "oom_kill_disable 0\noom_kill 2\n",
    )
    .unwrap();
    assert_eq!(
        (
            v1.stats().memory_bytes,
            v1.stats().working_set_bytes,
            v1.oom_kills()
        ),
        (500, 300, 2)
    );

    let dir = tempfile::tempdir().unwrap();
    let v2 = Cgroup::new(fake("v2", dir.path()), "g");
    std::fs::create_dir_all(dir.path().join("g")).unwrap();
    std::fs::write(dir.path().join("g/memory.events"), "low 0\noom 3\noom_kill 1\n").unwrap();
    std::fs::write(dir.path().join("g/cpu.stat"), "usage_usec 7\n").unwrap();
    assert_eq!((v2.oom_kills(), v2.stats().cpu_nanos), (1, 7000));
}

#[test]
#[ignore = "needs root: creates and kills a real control group"]
fn kills_and_removes_a_real_group() {
    let hierarchies = Hierarchies::detect().unwrap();
    let group = Cgroup::new(hierarchies, format!("spindrift-test-{}", std::process::id()));
    let leaf = group.child("c");
    leaf.create(&Limits {
        pids: Some(10),
        ..Limits::default()
    })
    .unwrap();
    let mut child = std::process::Command::new("/bin/sleep")
        .arg("1000")
        .spawn()
        .unwrap();
    leaf.join_trackers(child.id()).unwrap();
    assert!(group.processes().contains(&(child.id() as i32)));
    group.kill();
    assert!(!child.wait().unwrap().success());
    group.remove().unwrap();
    assert!(group.children().is_empty());
}
