//! Questions to one DNS server: UDP, asked again when nothing comes, TCP when the answer was cut.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// Waits for an answer over UDP, one per packet sent.
const UDP_PATIENCE: [Duration; 3] = [
    Duration::from_millis(500),
    Duration::from_millis(1000),
    Duration::from_millis(1500),
];
const TCP_PATIENCE: Duration = Duration::from_secs(2);

/// Largest answer taken over UDP.
const BUFFER: usize = 4_096;

/// Aliases followed within one answer.
const MAX_ALIASES: usize = 8;

/// What a server says about a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Addresses {
        addresses: Vec<IpAddr>,
        ttl: Duration,
    },
    /// The name is another one, about which nothing was said.
    Alias {
        name: String,
        ttl: Duration,
    },
    Nothing,
}

/// Asks `server` for the addresses of `host`: IPv4, and IPv6 if there are none.
///
/// # Errors
/// When the server does not answer or reports a fault.
pub(super) async fn lookup(server: SocketAddr, host: &str) -> io::Result<Found> {
    let mut name = Name::from_utf8(host).map_err(io::Error::other)?;
    name.set_fqdn(true);
    match ask(server, &name, RecordType::A).await? {
        Found::Nothing => ask(server, &name, RecordType::AAAA).await,
        found => Ok(found),
    }
}

async fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> io::Result<Found> {
    let mut query = Message::query();
    query.metadata.id = rand::random();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(name.clone(), kind));
    let packet = query.to_vec().map_err(io::Error::other)?;
    let mut answer = over_udp(server, &packet, &query).await?;
    if answer.metadata.truncation {
        answer = timeout(TCP_PATIENCE, over_tcp(server, &packet, &query))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
    match answer.metadata.response_code {
        ResponseCode::NoError => Ok(read(&answer, name)),
        ResponseCode::NXDomain => Ok(Found::Nothing),
        code => Err(io::Error::other(format!("the DNS server answered {code}"))),
    }
}

async fn over_udp(server: SocketAddr, packet: &[u8], query: &Message) -> io::Result<Message> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A port of its own per question: together with the number it is what a forger would have to guess.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    for patience in UDP_PATIENCE {
        socket.send(packet).await?;
        if let Ok(answer) = timeout(patience, receive(&socket, query)).await {
            return answer;
        }
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "the DNS server does not answer",
    ))
}

async fn receive(socket: &UdpSocket, query: &Message) -> io::Result<Message> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = socket.recv(&mut buffer).await?;
        let answer = buffer
            .get(..count)
            .and_then(|packet| Message::from_vec(packet).ok());
        if let Some(answer) = answer.filter(|answer| answers(answer, query)) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, packet: &[u8], query: &Message) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(packet).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Message::from_vec(&answer)
        .ok()
        .filter(|answer| answers(answer, query))
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the DNS server answered something else",
            )
        })
}

fn answers(answer: &Message, query: &Message) -> bool {
    answer.metadata.id == query.metadata.id && answer.queries == query.queries
}

/// Follows the aliases of an answer to the addresses at their end.
fn read(answer: &Message, name: &Name) -> Found {
    let mut name = name.clone();
    let mut ttl = u32::MAX;
    let mut aliased = false;
    for _ in 0..MAX_ALIASES {
        let mut addresses = Vec::new();
        let mut alias = None;
        for record in answer.answers.iter().filter(|record| record.name == name) {
            match &record.data {
                RData::A(address) => addresses.push(IpAddr::V4(address.0)),
                RData::AAAA(address) => addresses.push(IpAddr::V6(address.0)),
                RData::CNAME(target) => alias = Some(target.0.clone()),
                _ => continue,
            }
            ttl = ttl.min(record.ttl);
        }
        let lasting = Duration::from_secs(ttl.into());
        match alias {
            _ if !addresses.is_empty() => {
                return Found::Addresses {
                    addresses,
                    ttl: lasting,
                };
            }
            Some(target) => (name, aliased) = (target, true),
            None if aliased => {
                return Found::Alias {
                    name: name.to_utf8().trim_end_matches('.').to_owned(),
                    ttl: lasting,
                };
            }
            None => return Found::Nothing,
        }
    }
    Found::Nothing
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};
    use tokio::net::TcpListener;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_utf8(text).unwrap()
    }

    fn a(host: &str, ttl: u32, last: u8) -> Record {
        Record::from_rdata(name(host), ttl, RData::A(A(Ipv4Addr::new(10, 0, 0, last))))
    }

    fn cname(host: &str, target: &str) -> Record {
        Record::from_rdata(name(host), 5, RData::CNAME(CNAME(name(target))))
    }

    fn answered(records: Vec<Record>) -> Message {
        let mut message = Message::query();
        message.answers = records;
        message
    }

    fn found(last: u8, ttl: u64) -> Found {
        Found::Addresses {
            addresses: vec![IpAddr::from([10, 0, 0, last])],
            ttl: Duration::from_secs(ttl),
        }
    }

    #[test]
    fn aliases_are_followed_within_an_answer() {
        let chain = answered(vec![
            a("c.", 30, 7),
            cname("b.", "c."),
            cname("a.", "b."),
            a("x.", 1, 9),
        ]);
        assert_eq!(read(&chain, &name("a.")), found(7, 5));
        assert_eq!(read(&chain, &name("C.")), found(7, 30));
        assert_eq!(read(&chain, &name("d.")), Found::Nothing);
    }

    #[test]
    fn an_alias_without_an_address_is_the_answer() {
        let chain = answered(vec![cname("a.", "example.com.")]);
        let alias = Found::Alias {
            name: "example.com".to_owned(),
            ttl: Duration::from_secs(5),
        };
        assert_eq!(read(&chain, &name("a.")), alias);
    }

    #[test]
    fn a_ring_of_aliases_ends() {
        let ring = answered(vec![cname("a.", "b."), cname("b.", "a.")]);
        assert_eq!(read(&ring, &name("a.")), Found::Nothing);
    }

    /// Answers over both transports; the first packet is lost, and over UDP the answer is cut.
    async fn server() -> SocketAddr {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let udp = UdpSocket::bind(address).await.unwrap();
        let reply = |packet: &[u8], cut: bool| {
            let mut message = Message::from_vec(packet).unwrap();
            message.metadata.message_type = hickory_proto::op::MessageType::Response;
            message.metadata.truncation = cut;
            if !cut {
                message.answers = vec![a("web.default.svc.cluster.local.", 5, 1)];
            }
            message.to_vec().unwrap()
        };
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            udp.recv_from(&mut buffer).await.unwrap();
            loop {
                let (count, peer) = udp.recv_from(&mut buffer).await.unwrap();
                udp.send_to(b"noise", peer).await.unwrap();
                udp.send_to(&reply(&buffer[..count], true), peer).await.unwrap();
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let mut packet = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut packet).await.unwrap();
                let answer = reply(&packet, false);
                stream
                    .write_all(&(answer.len() as u16).to_be_bytes())
                    .await
                    .unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn asks_again_and_over_tcp() {
        let server = server().await;
        let answer = lookup(server, "web.default.svc.cluster.local").await.unwrap();
        assert_eq!(answer, found(1, 5));
    }
}
