use std::net::Ipv4Addr;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use proptest::prelude::*;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::*;
use crate::catalog::State;
use crate::catalog::test_support::{service, slice};
use crate::dns::reply::Reply;

fn catalog() -> Catalog {
    let catalog = Catalog::fixed(State::default());
    let http = json!([{"name": "http", "port": 8080}]);
    let mut peers = slice(
        "db",
        http.clone(),
        &[("10.64.0.7", true), ("10.64.0.8", true), ("10.64.0.9", false)],
    );
    peers["endpoints"][0]["hostname"] = json!("DB-0");
    catalog.apply(
        &[
            service(
                "web",
                json!({"clusterIP": "10.65.0.10", "ports": [
                {"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]}),
            ),
            service(
                "db",
                json!({"clusterIP": "None", "ports": [{"name": "http", "port": 80}]}),
            ),
            service(
                "early",
                json!({"clusterIP": "None", "publishNotReadyAddresses": true}),
            ),
            service("empty", json!({"clusterIP": "None"})),
            service(
                "alias",
                json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local."}),
            ),
            service(
                "away",
                json!({"type": "ExternalName", "externalName": "example.com"}),
            ),
            service(
                "loop",
                json!({"type": "ExternalName", "externalName": "loop.default.svc.cluster.local"}),
            ),
        ],
        &[peers, slice("early", http, &[("10.64.0.20", false)])],
    );
    catalog
}

fn zone() -> Zone {
    Zone::new(
        "cluster.local",
        "10.64.0.0/16".parse().unwrap(),
        "10.65.0.0/16".parse().unwrap(),
    )
    .unwrap()
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn query(text: &str, kind: RecordType) -> Message {
    let mut query = Message::new(7, MessageType::Query, OpCode::Query);
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name(text), kind));
    query
}

/// `code: answers | additionals`, sorted.
fn told(reply: &Message) -> String {
    let texts = |records: &[Record]| {
        let mut texts: Vec<String> = records.iter().map(|record| record.data.to_string()).collect();
        texts.sort();
        texts.join(" ")
    };
    let code = match reply.metadata.response_code {
        ResponseCode::NoError => "ok",
        ResponseCode::NXDomain => "none",
        ResponseCode::ServFail => "failed",
        _ => "refused",
    };
    let mut text = format!("{code}: {}", texts(&reply.answers));
    if !reply.additionals.is_empty() {
        text += &format!(" | {}", texts(&reply.additionals));
    }
    text.trim_end().to_owned()
}

fn ask(catalog: &Catalog, text: &str, kind: RecordType) -> String {
    let packet = query(text, kind).to_vec().unwrap();
    match reply::reply(&packet, &zone(), Some(&catalog.read())) {
        Reply::Ready(reply) => {
            let negative = reply.answers.is_empty() && reply.metadata.response_code != ResponseCode::FormErr;
            assert_eq!(
                reply.authorities.len(),
                usize::from(negative),
                "negative answers carry the SOA: {text}"
            );
            assert!(reply.answers.iter().all(|record| record.ttl == zone::TTL));
            told(&reply)
        }
        Reply::Forward(_) => "outside".into(),
        Reply::Complete { reply, target, .. } => format!("{} then {target}", told(&reply)),
        Reply::Nothing => "nothing".into(),
    }
}

#[test]
fn the_zone_follows_the_specification() {
    use RecordType::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
    let catalog = catalog();
    let cases = [
        ("web.default.svc.cluster.local", A, "ok: 10.65.0.10"),
        ("WEB.Default.svc.CLUSTER.local", A, "ok: 10.65.0.10"),
        ("web.default.svc.cluster.local", AAAA, "ok:"),
        ("web.default.svc.cluster.local", TXT, "ok:"),
        ("db.default.svc.cluster.local", A, "ok: 10.64.0.7 10.64.0.8"),
        ("db-0.db.default.svc.cluster.local", A, "ok: 10.64.0.7"),
        ("10-64-0-8.db.default.svc.cluster.local", A, "ok: 10.64.0.8"),
        ("10-64-0-9.db.default.svc.cluster.local", A, "none:"),
        ("10-64-0-7.web.default.svc.cluster.local", A, "none:"),
        ("early.default.svc.cluster.local", A, "ok: 10.64.0.20"),
        ("empty.default.svc.cluster.local", A, "none:"),
        (
            "_http._tcp.web.default.svc.cluster.local",
            SRV,
            "ok: 0 100 80 web.default.svc.cluster.local. | 10.65.0.10",
        ),
        (
            "_dns._udp.web.default.svc.cluster.local",
            SRV,
            "ok: 0 100 53 web.default.svc.cluster.local. | 10.65.0.10",
        ),
        ("_dns._tcp.web.default.svc.cluster.local", SRV, "none:"),
        ("_tcp.web.default.svc.cluster.local", SRV, "ok:"),
        (
            "_http._tcp.db.default.svc.cluster.local",
            SRV,
            "ok: 0 100 8080 10-64-0-8.db.default.svc.cluster.local. 0 100 8080 db-0.db.default.svc.cluster.local. | 10.64.0.7 10.64.0.8",
        ),
        (
            "alias.default.svc.cluster.local",
            A,
            "ok: 10.65.0.10 web.default.svc.cluster.local.",
        ),
        (
            "alias.default.svc.cluster.local",
            CNAME,
            "ok: web.default.svc.cluster.local.",
        ),
        (
            "away.default.svc.cluster.local",
            A,
            "ok: example.com. then example.com.",
        ),
        ("10-64-1-2.default.pod.cluster.local", A, "ok: 10.64.1.2"),
        ("10-1-1-2.default.pod.cluster.local", A, "none:"),
        (
            "10.0.65.10.in-addr.arpa",
            PTR,
            "ok: web.default.svc.cluster.local.",
        ),
        ("10.0.65.10.in-addr.arpa", A, "ok:"),
        ("1.9.65.10.in-addr.arpa", PTR, "none:"),
        (
            "7.0.64.10.in-addr.arpa",
            PTR,
            "ok: db-0.db.default.svc.cluster.local.",
        ),
        ("99.0.64.10.in-addr.arpa", PTR, "none:"),
        ("1.1.168.192.in-addr.arpa", PTR, "outside"),
        ("cluster.local", NS, "ok: ns.dns.cluster.local."),
        ("cluster.local", A, "ok:"),
        ("svc.cluster.local", A, "ok:"),
        ("default.svc.cluster.local", A, "ok:"),
        ("none.svc.cluster.local", A, "none:"),
        ("none.default.svc.cluster.local", A, "none:"),
        // What resolvers try along the search list stays here, also without the domain.
        ("example.com.default.svc.cluster.local", A, "none:"),
        ("web.default.svc", A, "none:"),
        ("web", A, "none:"),
        ("printer.local", A, "none:"),
        ("localhost", A, "ok: 127.0.0.1"),
        ("example.com", A, "outside"),
    ];
    for (text, kind, expected) in cases {
        assert_eq!(ask(&catalog, text, kind), expected, "{text} {kind}");
    }
    assert!(ask(&catalog, "cluster.local", SOA).starts_with("ok: ns.dns.cluster.local."));
    let endless = ask(&catalog, "loop.default.svc.cluster.local", A);
    assert!(endless.starts_with("ok: loop.default"), "{endless}");
}

fn refused(query: &Message, state: Option<&State>) -> ResponseCode {
    match reply::reply(&query.to_vec().unwrap(), &zone(), state) {
        Reply::Ready(reply) => {
            assert_eq!(
                (reply.metadata.id, reply.metadata.message_type),
                (7, MessageType::Response)
            );
            reply.metadata.response_code
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn strange_queries_get_the_code_for_it() {
    let catalog = catalog();
    let state = catalog.read();
    let plain = || query("web.default.svc.cluster.local", RecordType::A);
    assert_eq!(
        refused(&plain(), None),
        ResponseCode::ServFail,
        "before the first listing"
    );
    let mut chaos = plain();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(refused(&chaos, Some(&state)), ResponseCode::Refused);
    let mut two = plain();
    two.add_query(Query::query(name("x"), RecordType::A));
    assert_eq!(refused(&two, Some(&state)), ResponseCode::FormErr);
    let mut update = plain();
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(refused(&update, Some(&state)), ResponseCode::NotImp);
    let mut answer = plain();
    answer.metadata.message_type = MessageType::Response;
    let packet = answer.to_vec().unwrap();
    assert!(
        matches!(reply::reply(&packet, &zone(), Some(&state)), Reply::Nothing),
        "answers are not answered"
    );
    let short = &plain().to_vec().unwrap()[..20];
    assert!(matches!(
        reply::reply(short, &zone(), Some(&state)),
        Reply::Ready(_)
    ));
}

proptest! {
    #[test]
    fn any_packet_is_an_answer_not_a_panic(packet in proptest::collection::vec(any::<u8>(), 0..80)) {
        let state = State::default();
        let _ = reply::reply(&packet, &zone(), Some(&state));
        let mut query = query("web.default.svc.cluster.local", RecordType::A).to_vec().unwrap();
        for (at, byte) in packet.iter().enumerate().take(query.len() - 12) {
            query[12 + at] ^= byte;
        }
        let _ = reply::reply(&query, &zone(), Some(&state));
    }
}

async fn start(catalog: Catalog, upstreams: Vec<SocketAddr>) -> (Dns, SocketAddr) {
    let dns = Dns::start(
        catalog,
        DnsConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            domain: "cluster.local".into(),
            pod_cidr: "10.64.0.0/16".parse().unwrap(),
            service_cidr: "10.65.0.0/16".parse().unwrap(),
            upstreams: Some(upstreams),
        },
    )
    .await
    .unwrap();
    let address = dns.listening()[0];
    (dns, address)
}

async fn over_udp(server: SocketAddr, query: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query.to_vec().unwrap(), server).await.unwrap();
    let mut buffer = vec![0; 4096];
    let received = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut buffer));
    let count = received.await.unwrap().unwrap();
    Message::from_vec(&buffer[..count]).unwrap()
}

async fn over_tcp(stream: &mut TcpStream, query: &Message) -> Message {
    let packet = query.to_vec().unwrap();
    stream.write_u16(packet.len() as u16).await.unwrap();
    stream.write_all(&packet).await.unwrap();
    let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

/// A resolver that knows one address for every name, and tells what it was asked.
async fn upstream() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = udp.local_addr().unwrap();
    let tcp = TcpListener::bind(address).await.unwrap();
    let (asked, questions) = tokio::sync::mpsc::unbounded_channel();
    let answer = move |packet: &[u8]| {
        let query = Message::from_vec(packet).unwrap();
        asked.send(query.queries[0].name().to_string()).unwrap();
        let mut reply = Message::response(query.metadata.id, OpCode::Query);
        reply.queries.clone_from(&query.queries);
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 7)));
        reply.add_answer(Record::from_rdata(query.queries[0].name().clone(), 60, data));
        reply.to_vec().unwrap()
    };
    let over_tcp = answer.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok((count, from)) = udp.recv_from(&mut buffer).await {
            // A forged answer first: wrong number, must not be believed.
            let mut forged = Message::from_vec(&answer(&buffer[..count])).unwrap();
            forged.metadata.id ^= 1;
            forged.answers.clear();
            udp.send_to(&forged.to_vec().unwrap(), from).await.unwrap();
            udp.send_to(&answer(&buffer[..count]), from).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let mut packet = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut packet).await.unwrap();
            let bytes = over_tcp(&packet);
            stream.write_u16(bytes.len() as u16).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
        }
    });
    (address, questions)
}

#[tokio::test]
async fn other_names_are_forwarded_and_cluster_names_never() {
    let (resolver, mut questions) = upstream().await;
    let (dns, server) = start(catalog(), vec![resolver]).await;
    let answer = over_udp(server, &query("example.com", RecordType::A)).await;
    assert_eq!((answer.metadata.id, told(&answer)), (7, "ok: 192.0.2.7".into()));
    let aliased = over_udp(server, &query("away.default.svc.cluster.local", RecordType::A)).await;
    assert_eq!(told(&aliased), "ok: 192.0.2.7 example.com.");
    let mut stream = TcpStream::connect(server).await.unwrap();
    let answer = over_tcp(&mut stream, &query("example.org", RecordType::A)).await;
    assert_eq!(told(&answer), "ok: 192.0.2.7");
    for inside in [
        "web.default.svc.cluster.local",
        "example.com.svc.cluster.local",
        "web.default.svc",
        "web",
    ] {
        over_tcp(&mut stream, &query(inside, RecordType::A)).await;
    }
    dns.stop().await;
    let mut asked = Vec::new();
    while let Ok(name) = questions.try_recv() {
        asked.push(name);
    }
    asked.dedup();
    assert_eq!(asked, ["example.com.", "example.org."]);
}

#[tokio::test]
async fn large_answers_are_cut_over_udp_and_whole_over_tcp() {
    let catalog = catalog();
    let addresses: Vec<String> = (0..100).map(|n| format!("10.64.9.{n}")).collect();
    let endpoints: Vec<(&str, bool)> = addresses.iter().map(|address| (address.as_str(), true)).collect();
    catalog.apply(
        &[service("many", json!({"clusterIP": "None"}))],
        &[slice("many", json!([]), &endpoints)],
    );
    let (dns, server) = start(catalog, vec![]).await;
    let mut question = query("many.default.svc.cluster.local", RecordType::A);
    let cut = over_udp(server, &question).await;
    assert!(cut.metadata.truncation && cut.answers.is_empty());
    let mut stream = TcpStream::connect(server).await.unwrap();
    assert_eq!(over_tcp(&mut stream, &question).await.answers.len(), 100);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    question.edns = Some(edns);
    let cut = over_udp(server, &question).await;
    assert!(
        cut.metadata.truncation,
        "no more than passes unfragmented, whatever the client offers"
    );
    assert_eq!(cut.max_payload(), reply::MAX_PAYLOAD);
    // Without a resolver the client hears so at once.
    assert_eq!(
        told(&over_udp(server, &query("example.com", RecordType::A)).await),
        "failed:"
    );
    dns.stop().await;
    assert!(TcpStream::connect(server).await.is_err());
}
