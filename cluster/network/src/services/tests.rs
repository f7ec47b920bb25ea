use std::net::{SocketAddr, SocketAddrV4};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::catalog::State;
use crate::catalog::test_support::{service, slice};

/// All of 127.0.0.0/8 is local, so its addresses serve as VIPs without root.
const VIP: &str = "127.77.0.1";

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn config() -> ProxyConfig {
    ProxyConfig {
        node_ports: Some(Ipv4Addr::LOCALHOST),
        ..ProxyConfig::default()
    }
}

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

/// Reads to the end of the request, then answers with its name and what it read.
async fn echo(ip: &str, name: &'static str) -> u16 {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                stream.read_to_end(&mut request).await.unwrap();
                stream.write_all(name.as_bytes()).await.unwrap();
                stream.write_all(&request).await.unwrap();
            });
        }
    });
    port
}

async fn ask(target: SocketAddr, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(request).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn connections_reach_ready_endpoints_and_keep_their_half_close() {
    let catalog = Catalog::fixed(State::default());
    let proxy = ServiceProxy::start(catalog.clone(), config());
    let port = echo("127.77.1.1", "one ").await;
    let web = service("web", json!({"clusterIP": VIP, "ports": [{"port": 8080}]}));
    catalog.apply(&[web], &[]);
    catalog.apply(
        &[],
        &[slice(
            "web",
            json!([{"port": port}]),
            &[("127.77.1.1", true), ("127.77.1.9", false)],
        )],
    );
    until("a listener", || proxy.listeners() == 1).await;
    assert_eq!(ask(address(VIP, 8080), b"hello").await.unwrap(), b"one hello");
    // Larger than any buffer on the way.
    let large = vec![b'x'; 3 << 20];
    assert_eq!(
        ask(address(VIP, 8080), &large).await.unwrap().len(),
        large.len() + 4
    );
    until("connections to end", || proxy.connections() == 0).await;

    // No endpoint: refused at once.
    catalog.apply(
        &[],
        &[slice("web", json!([{"port": port}]), &[("127.77.1.1", false)])],
    );
    until("no listener", || proxy.listeners() == 0).await;
    let refused = async { ask(address(VIP, 8080), b"").await.map_err(|error| error.kind()) };
    assert_eq!(refused.await.unwrap_err(), std::io::ErrorKind::ConnectionRefused);
    catalog.apply(
        &[],
        &[slice("web", json!([{"port": port}]), &[("127.77.1.1", true)])],
    );
    until("the listener again", || proxy.listeners() == 1).await;
    assert_eq!(ask(address(VIP, 8080), b"again").await.unwrap(), b"one again");
    proxy.stop().await;
    assert!(ask(address(VIP, 8080), b"").await.is_err());
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over_and_the_cap_holds() {
    let catalog = Catalog::fixed(State::default());
    let proxy = ServiceProxy::start(
        catalog.clone(),
        ProxyConfig {
            max_connections: 1,
            ..config()
        },
    );
    let port = echo("127.77.2.1", "alive ").await;
    let web = service(
        "dead",
        json!({"clusterIP": "127.77.2.100", "ports": [{"port": 8080}]}),
    );
    let endpoints = [("127.77.2.1", true), ("127.77.2.2", true)];
    catalog.apply(&[web], &[slice("dead", json!([{"port": port}]), &endpoints)]);
    until("a listener", || proxy.listeners() == 1).await;
    for _ in 0..4 {
        assert_eq!(
            ask(address("127.77.2.100", 8080), b"?").await.unwrap(),
            b"alive ?"
        );
        until("the connection to end", || proxy.connections() == 0).await;
    }
    let mut held = TcpStream::connect(address("127.77.2.100", 8080)).await.unwrap();
    held.write_all(b"x").await.unwrap();
    until("it to be forwarded", || proxy.connections() == 1).await;
    assert!(!matches!(ask(address("127.77.2.100", 8080), b"?").await, Ok(answer) if !answer.is_empty()));
    // An open connection does not keep the proxy from stopping.
    proxy.stop().await;
    assert_eq!(held.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn datagrams_keep_their_flow() {
    let catalog = Catalog::fixed(State::default());
    let proxy = ServiceProxy::start(catalog.clone(), config());
    let server = UdpSocket::bind("127.77.3.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((count, from)) = server.recv_from(&mut buffer).await {
            let text = format!(
                "{} from {}",
                String::from_utf8_lossy(&buffer[..count]),
                from.port()
            );
            server.send_to(text.as_bytes(), from).await.unwrap();
        }
    });
    let dns = service(
        "dns",
        json!({"clusterIP": "127.77.3.100", "ports": [{"port": 5353, "protocol": "UDP"}]}),
    );
    catalog.apply(
        &[dns],
        &[slice(
            "dns",
            json!([{"port": port, "protocol": "UDP"}]),
            &[("127.77.3.1", true)],
        )],
    );
    until("a listener", || proxy.listeners() == 1).await;
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect("127.77.3.100:5353").await.unwrap();
    let mut answers = Vec::new();
    for _ in 0..2 {
        client.send(b"ping").await.unwrap();
        let mut buffer = [0; 64];
        let received = tokio::time::timeout(Duration::from_secs(10), client.recv(&mut buffer));
        let count = received.await.unwrap().unwrap();
        answers.push(String::from_utf8_lossy(&buffer[..count]).into_owned());
    }
    assert!(
        answers[0].starts_with("ping from ") && answers[0] == answers[1],
        "{answers:?}"
    );
    assert_eq!(proxy.connections(), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn listeners_follow_ports_kinds_and_deletions() {
    let catalog = Catalog::fixed(State::default());
    let proxy = ServiceProxy::start(catalog.clone(), config());
    let spec = |ip: &str, kind: &str| {
        let ports = json!([{"name": "a", "port": 8081, "nodePort": 32_767}, {"name": "none", "port": 8082}]);
        json!({"clusterIP": ip, "type": kind, "ports": ports})
    };
    let endpoints = slice("many", json!([{"name": "a", "port": 1}]), &[("127.77.4.1", true)]);
    catalog.apply(&[service("many", spec("127.77.4.100", "NodePort"))], &[endpoints]);
    until("cluster and node port", || proxy.listeners() == 2).await;
    // Nobody is at the endpoint: accepted here, ended there.
    assert!(TcpStream::connect(address("127.0.0.1", 32_767)).await.is_ok());
    catalog.apply(&[service("many", spec("127.77.4.101", "ClusterIP"))], &[]);
    until("the new address", || {
        std::net::TcpStream::connect(address("127.77.4.101", 8081)).is_ok()
    })
    .await;
    assert!(TcpStream::connect(address("127.77.4.100", 8081)).await.is_err());
    catalog.apply(&[service("many", spec("None", "ClusterIP"))], &[]);
    until("headless", || proxy.listeners() == 0).await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_tried_again() {
    let squatter = std::net::TcpListener::bind("127.77.5.100:8081").unwrap();
    let catalog = Catalog::fixed(State::default());
    let proxy = ServiceProxy::start(catalog.clone(), config());
    let web = service(
        "late",
        json!({"clusterIP": "127.77.5.100", "ports": [{"port": 8081}, {"port": 8082, "name": "b"}]}),
    );
    let endpoints = slice(
        "late",
        json!([{"port": 1}, {"port": 1, "name": "b"}]),
        &[("127.77.5.1", true)],
    );
    catalog.apply(&[web], &[endpoints]);
    until("the other port", || proxy.listeners() == 1).await;
    drop(squatter);
    until("the freed port", || proxy.listeners() == 2).await;
    proxy.stop().await;
}

/// On one thread nothing runs between the two steps unless the first one waits for it.
#[tokio::test]
async fn endpoints_that_come_back_at_once_find_the_address_free() {
    let proxy = ServiceProxy::start(Catalog::fixed(State::default()), config());
    let mut driver = Driver::new(Catalog::fixed(State::default()), Arc::clone(&proxy.shared));
    let key = ServiceKey {
        namespace: "default".into(),
        name: "flapping".into(),
    };
    let wanted = |protocol| Plan {
        binding: Binding {
            address: "127.77.7.1:8080".parse().unwrap(),
            protocol,
        },
        targets: vec!["127.77.7.2:80".parse().unwrap()],
        client_affinity: false,
    };
    let plans = || vec![wanted(Protocol::Tcp), wanted(Protocol::Udp)];
    for _ in 0..10 {
        driver.reconcile(key.clone(), plans()).await;
        assert_eq!(driver.open.len(), 2);
        driver.reconcile(key.clone(), Vec::new()).await;
        assert!(driver.open.is_empty());
    }
    proxy.stop().await;
}

#[test]
fn plans_are_pure() {
    let key = ServiceKey {
        namespace: "default".into(),
        name: "x".into(),
    };
    assert_eq!(plan::plan(&State::default(), &key, &config()), vec![]);
}

#[tokio::test]
async fn hundreds_of_idle_listeners_stay_small() {
    let catalog = Catalog::fixed(State::default());
    let proxy = ServiceProxy::start(
        catalog.clone(),
        ProxyConfig {
            node_ports: None,
            ..config()
        },
    );
    let resident = || -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    };
    let before = resident();
    let ports = json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}, {"name": "c", "port": 3}]);
    for number in 0..300u32 {
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 78, 0, 0)) + number).to_string();
        let name = format!("s{number}");
        let web = service(
            &name,
            json!({"clusterIP": ip, "ports": [
            {"name": "a", "port": 8001}, {"name": "b", "port": 8002}, {"name": "c", "port": 8003}]}),
        );
        catalog.apply(&[web], &[slice(&name, ports.clone(), &[("127.77.6.1", true)])]);
    }
    until("all listeners", || proxy.listeners() == 900).await;
    let grown = resident().saturating_sub(before);
    eprintln!("900 listeners: {} KiB", grown / 1024);
    // Debug builds have larger futures; the bound catches a buffer per listener, not a few bytes.
    assert!(grown < 16 << 20, "{grown}");
    let _target: SocketAddrV4 = "127.78.0.5:8002".parse().unwrap();
    assert!(TcpStream::connect(address("127.78.0.5", 8002)).await.is_ok());
    proxy.stop().await;
}
