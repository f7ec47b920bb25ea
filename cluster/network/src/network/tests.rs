use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};

use super::*;

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn config(name: &str, dir: &Path) -> Config {
    Config {
        name: name.into(),
        data_dir: dir.into(),
        pod_cidr: None,
        service_cidr: None,
    }
}

#[test]
fn saved_ranges_win_and_collisions_are_told() {
    let base = Config {
        name: "x".into(),
        data_dir: "/".into(),
        pod_cidr: None,
        service_cidr: None,
    };
    let saved = Ipam::new(cidr("10.90.0.0/16"), cidr("10.91.0.0/16"));
    assert_eq!(
        settle(&base, Some(saved.clone()), &[cidr("10.92.0.0/16")]).unwrap(),
        saved
    );
    let clash = settle(&base, Some(saved.clone()), &[cidr("10.90.4.0/24")]).unwrap_err();
    assert!(clash.to_string().contains("10.90.4.0/24"), "{clash}");
    let configured = Config {
        pod_cidr: Some(cidr("10.3.0.0/16")),
        ..base.clone()
    };
    assert_eq!(
        settle(&configured, Some(saved), &[]).unwrap().pod_cidr,
        cidr("10.3.0.0/16")
    );
    let same = Config {
        pod_cidr: Some(cidr("10.3.0.0/16")),
        service_cidr: Some(cidr("10.3.0.0/24")),
        ..base
    };
    assert!(settle(&same, None, &[]).is_err());
}

#[test]
fn own_routes_are_not_taken() {
    let saved = Ipam::new(cidr("10.90.0.0/16"), cidr("10.91.0.0/16"));
    let routes = [
        Route {
            destination: cidr("0.0.0.0/0"),
            device: Some(2),
        },
        Route {
            destination: cidr("10.90.0.0/16"),
            device: Some(7),
        },
        Route {
            destination: cidr("10.91.0.0/16"),
            device: Some(1),
        },
        Route {
            destination: cidr("192.168.1.0/24"),
            device: Some(2),
        },
    ];
    let found = taken(&routes, Some(7), Some(&saved));
    assert!(found.contains(&cidr("192.168.1.0/24")));
    assert!(
        !found.iter().any(|c| c.overlaps(&cidr("10.90.0.0/15"))),
        "{found:?}"
    );
    assert!(taken(&routes, None, None).contains(&cidr("10.90.0.0/16")));
}

#[test]
fn device_names_fit_the_kernel() {
    assert!(bridge_name("a-very-long-instance-name-that-someone-chose").len() <= 15);
    assert!(host_device(Ipv4Addr::BROADCAST).len() <= 15);
    assert_ne!(bridge_name("a"), bridge_name("b"));
}

/// A network namespace kept by a thread that also runs closures in it, as a pod's process would.
struct TestPod {
    path: PathBuf,
    work: mpsc::Sender<Box<dyn FnOnce() + Send>>,
}

impl TestPod {
    fn new() -> Self {
        let (ready, path) = mpsc::channel();
        let (work, jobs) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let tid = nix::unistd::gettid();
            ready
                .send(PathBuf::from(format!(
                    "/proc/{}/task/{tid}/ns/net",
                    std::process::id()
                )))
                .unwrap();
            jobs.iter().for_each(|job| job());
        });
        Self {
            path: path.recv().unwrap(),
            work,
        }
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.work
            .send(Box::new(move || done.send(job()).unwrap()))
            .unwrap();
        result.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

fn devices() -> String {
    std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect::<Vec<_>>()
        .join(" ")
}

/// `/sys/class/net` shows the namespace sysfs was mounted in, which is this process's.
fn has_device(name: &str) -> bool {
    devices().split(' ').any(|device| device == name)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes bridges and network namespaces"]
async fn pods_reach_each_other_the_host_and_service_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(config("test-reach", dir.path())).await.unwrap();
    let (one, two) = (TestPod::new(), TestPod::new());
    let mut slowest = Duration::ZERO;
    let mut addresses = Vec::new();
    for (id, pod) in [("one", &one), ("two", &two)] {
        let began = Instant::now();
        addresses.push(network.attach(id, &pod.path).await.unwrap());
        slowest = slowest.max(began.elapsed());
    }
    eprintln!("slowest attach: {slowest:?}");
    let [_, second] = addresses[..] else { panic!() };

    // Pod to pod, and the loopback of a pod.
    let listening = two.run(move || {
        let listener = TcpListener::bind((second, 0)).unwrap();
        TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        SocketAddr::from((second, port))
    });
    let connect = move |to: SocketAddr| TcpStream::connect_timeout(&to, Duration::from_secs(5)).map(drop);
    one.run(move || connect(listening)).unwrap();
    // Host to pod.
    connect(listening).unwrap();
    // Pod to a service address that is on no device.
    let vip = network.service_cidr().nth(300).unwrap();
    let listener = TcpListener::bind((vip, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    one.run(move || connect(target)).unwrap();
    connect(target).unwrap();

    // Attaching again keeps the address and works.
    assert_eq!(network.attach("two", &two.path).await.unwrap(), second);
    one.run(move || connect(listening)).unwrap();

    let (bridge, device) = (network.inner.bridge_name.clone(), host_device(second));
    assert!(has_device(&device));
    network.detach("two").await.unwrap();
    network.detach("two").await.unwrap();
    assert!(!has_device(&device));
    network.stop().await.unwrap();
    assert!(!has_device(&bridge));
    let vip_is_gone = TcpListener::bind((vip, 0)).unwrap_err();
    assert_eq!(
        vip_is_gone.raw_os_error(),
        Some(nix::errno::Errno::EADDRNOTAVAIL as i32)
    );
}

/// Another machine's network, as far as pods can tell: reached by forwarding.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes bridges and network namespaces"]
async fn pods_reach_other_networks_in_the_hosts_name_and_are_not_reached() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(config("test-outbound", dir.path())).await.unwrap();
    let (pod, other) = (TestPod::new(), TestPod::new());
    let inside = network.attach("pod", &pod.path).await.unwrap();
    let uplink = Ipv4Addr::new(198, 51, 100, 1);
    let outside = Ipv4Addr::new(198, 51, 100, 2);
    let netlink = Netlink::open().unwrap();
    let bridge = netlink.ensure_bridge("sdt-uplink", uplink, 24).await.unwrap();
    let namespace = netns::open(&other.path).unwrap();
    netlink
        .add_pod_link("sdt-other", bridge, POD_DEVICE, outside, namespace.as_fd())
        .await
        .unwrap();
    let address = PodAddress {
        address: outside,
        prefix: 24,
        gateway: uplink,
    };
    let configured = netns::run_in(other.path.clone(), namespace, move || async move {
        Netlink::open()?.configure_pod(POD_DEVICE, address).await
    });
    configured.await.unwrap();

    let (seen, peers) = mpsc::channel();
    let target = other.run(move || {
        let listener = TcpListener::bind((outside, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            listener
                .incoming()
                .for_each(|peer| seen.send(peer.unwrap().peer_addr()).unwrap())
        });
        target
    });
    let connect = |to: SocketAddr| TcpStream::connect_timeout(&to, Duration::from_secs(2)).map(drop);
    pod.run(move || connect(target)).unwrap();
    assert_eq!(peers.recv().unwrap().unwrap().ip(), uplink);

    let target = pod.run(move || {
        let listener = TcpListener::bind((inside, 0)).unwrap();
        let target = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        target
    });
    connect(target).unwrap();
    let refused = other.run(move || connect(target)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::TimedOut);

    let table = network.inner.bridge_name.clone();
    netlink.delete_link(bridge).await.unwrap();
    network.stop().await.unwrap();
    assert!(outbound::close(&table).is_ok(), "an absent table is fine");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes bridges and network namespaces"]
async fn a_restart_keeps_living_pods_and_clears_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(config("test-restart", dir.path())).await.unwrap();
    let (living, dead) = (TestPod::new(), TestPod::new());
    let address = network.attach("living", &living.path).await.unwrap();
    let gone = network.attach("dead", &dead.path).await.unwrap();
    let (pods, services) = (network.pod_cidr(), network.service_cidr());
    // As a killed process leaves it: devices and file stay.
    drop(network);

    let network = Network::start(config("test-restart", dir.path())).await.unwrap();
    assert_eq!((network.pod_cidr(), network.service_cidr()), (pods, services));
    assert_eq!(network.address("living"), Some(address));
    assert_eq!(
        network
            .retain(&HashSet::from(["living".to_owned()]))
            .await
            .unwrap(),
        1
    );
    assert!(has_device(&host_device(address)) && !has_device(&host_device(gone)));
    let gateway = network.gateway_ip();
    let listener = TcpListener::bind((gateway, 0)).unwrap();
    let target = listener.local_addr().unwrap();
    living
        .run(move || TcpStream::connect_timeout(&target, Duration::from_secs(5)).map(drop))
        .unwrap();
    network.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes bridges and network namespaces"]
async fn instances_choose_different_ranges() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Names whose first choice is the same range.
    let twin = (0..)
        .map(|n| format!("twin-{n}"))
        .find(|name| range::seed(name) % 190 == range::seed("twin") % 190);
    let (first, second) = tokio::join!(
        Network::start(config("twin", a.path())),
        Network::start(config(&twin.unwrap(), b.path()))
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    let ranges = [
        first.pod_cidr(),
        first.service_cidr(),
        second.pod_cidr(),
        second.service_cidr(),
    ];
    for (index, range) in ranges.iter().enumerate() {
        assert!(
            !ranges[..index].iter().any(|other| other.overlaps(range)),
            "{ranges:?}"
        );
    }
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes bridges and network namespaces"]
async fn a_missing_namespace_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(config("test-missing", dir.path())).await.unwrap();
    assert!(matches!(
        network
            .attach("a", Path::new("/nowhere/netns"))
            .await
            .unwrap_err(),
        NetworkError::Namespace { .. }
    ));
    // A file that is no namespace gets as far as the kernel.
    assert!(network.attach("a", Path::new("/etc/hostname")).await.is_err());
    assert_eq!((network.attached(), network.address("a")), (0, None));
    network.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes network namespaces"]
async fn preflight_passes_here_and_changes_nothing() {
    let before = devices();
    preflight().await.unwrap();
    assert!(!has_device("trial"), "{before}");
    // The calling thread is still in its own namespace.
    let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
    assert!(own.as_raw_fd() > 0 && setns(&own, CloneFlags::CLONE_NEWNET).is_ok());
}
