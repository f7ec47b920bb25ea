//! From objects in an API server to packets in a pod: bridge, ClusterIP and DNS together.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use cluster_apiserver::ApiServer;
use cluster_network::dns::{self, Dns, DnsConfig};
use cluster_network::services::{ProxyConfig, ServiceProxy};
use cluster_network::{Catalog, Config, Network};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::PostParams;
use nix::sched::{CloneFlags, unshare};
use serde_json::json;

type Job = Box<dyn FnOnce() + Send>;

/// A thread in a network namespace of its own, as a pod's process is.
struct Pod {
    netns: PathBuf,
    work: mpsc::Sender<Job>,
}

impl Pod {
    fn new() -> Self {
        let (ready, netns) = mpsc::channel();
        let (work, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let thread = nix::unistd::gettid();
            ready
                .send(PathBuf::from(format!(
                    "/proc/{}/task/{thread}/ns/net",
                    std::process::id()
                )))
                .unwrap();
            jobs.iter().for_each(|job| job());
        });
        Self {
            netns: netns.recv().unwrap(),
            work,
        }
    }

    async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = tokio::sync::oneshot::channel();
        self.work.send(Box::new(move || drop(done.send(job())))).unwrap();
        tokio::time::timeout(Duration::from_secs(20), result)
            .await
            .unwrap()
            .unwrap()
    }
}

/// Serves its name to whoever connects.
fn serve(address: Ipv4Addr, name: &'static str) -> u16 {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(name.as_bytes());
        }
    });
    port
}

fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn resolve(server: Ipv4Addr, name: &str) -> Vec<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut query = Message::query();
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    socket
        .send_to(&query.to_vec().unwrap(), (server, dns::PORT))
        .unwrap();
    let mut buffer = [0; 1500];
    let count = socket.recv(&mut buffer).unwrap();
    let reply = Message::from_vec(&buffer[..count]).unwrap();
    reply
        .answers
        .iter()
        .filter_map(|record| record.data.ip_addr())
        .filter_map(|ip| match ip {
            std::net::IpAddr::V4(ip) => Some(ip),
            std::net::IpAddr::V6(_) => None,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes bridges and network namespaces"]
async fn a_pod_finds_another_by_its_service_name() {
    let dir = tempfile::tempdir().unwrap();
    let network = Network::start(Config {
        name: "test-services".into(),
        data_dir: dir.path().join("network"),
        pod_cidr: None,
        service_cidr: None,
    })
    .await
    .unwrap();
    let services = network.service_cidr();
    let mut config = cluster_apiserver::Config::ephemeral(dir.path().join("api"));
    config.service_cidr = cluster_apiserver::Cidr {
        base: services.network(),
        prefix: services.prefix(),
    };
    let api = ApiServer::open(config).await.unwrap();
    let catalog = Catalog::start(api.client());
    let proxy = ServiceProxy::start(
        catalog.clone(),
        ProxyConfig {
            node_ports: None,
            ..ProxyConfig::default()
        },
    );
    let gateway = network.gateway_ip();
    let dns = Dns::start(
        catalog.clone(),
        DnsConfig {
            listen: vec![SocketAddr::new(gateway.into(), dns::PORT)],
            domain: "cluster.local".into(),
            pod_cidr: network.pod_cidr(),
            service_cidr: services,
            upstreams: None,
        },
    )
    .await
    .unwrap();
    tokio::time::timeout(Duration::from_secs(20), catalog.synced())
        .await
        .unwrap();

    let (client, server) = (Pod::new(), Pod::new());
    network.attach("client", &client.netns).await.unwrap();
    let address = network.attach("server", &server.netns).await.unwrap();
    let port = server.run(move || serve(address, "from the pod")).await;

    let spec = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    let api_services = Api::<Service>::namespaced(api.client(), "default");
    let created = api_services
        .create(&PostParams::default(), &serde_json::from_value(spec).unwrap())
        .await
        .unwrap();
    let vip: Ipv4Addr = created.spec.unwrap().cluster_ip.unwrap().parse().unwrap();
    assert!(services.contains(vip));
    let slice = json!({
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address.to_string()], "conditions": {"ready": true}}],
    });
    let slices = Api::<EndpointSlice>::namespaced(api.client(), "default");
    slices
        .create(&PostParams::default(), &serde_json::from_value(slice).unwrap())
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while proxy.listeners() == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();

    // As the resolver of a pod does: the search list's first try is the name.
    let found = client
        .run(move || resolve(gateway, "web.default.svc.cluster.local."))
        .await;
    assert_eq!(found, [vip]);
    let answer = client.run(move || get((vip, 80).into())).await;
    assert_eq!(answer.unwrap(), "from the pod");
    // The host itself, and a pod that reaches itself.
    assert_eq!(
        tokio::task::spawn_blocking(move || get((vip, 80).into()))
            .await
            .unwrap()
            .unwrap(),
        "from the pod"
    );
    assert_eq!(
        server.run(move || get((vip, 80).into())).await.unwrap(),
        "from the pod"
    );

    api_services
        .delete("web", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(20), async {
        while proxy.listeners() > 0 || catalog.services() > 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(
        client
            .run(move || resolve(gateway, "web.default.svc.cluster.local."))
            .await,
        Vec::<Ipv4Addr>::new()
    );
    dns.stop().await;
    proxy.stop().await;
    network.stop().await.unwrap();
    api.shutdown().await;
}
