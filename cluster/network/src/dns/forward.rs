//! Other people's names: the query goes on to the host's resolvers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longest wait for one resolver; clients give up after five seconds (`resolv.conf` default).
const PATIENCE: Duration = Duration::from_secs(2);

/// Queries waiting for resolvers at a time; further ones fail at once.
const MAX_IN_FLIGHT: usize = 256;

/// Largest answer taken over UDP.
const BUFFER: usize = 4_096;

/// How the client came, and so how its query goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

#[derive(Debug)]
pub(super) struct Forwarder {
    upstreams: Vec<SocketAddr>,
    permits: Semaphore,
}

impl Forwarder {
    pub(super) fn new(upstreams: Vec<SocketAddr>) -> Self {
        Self {
            upstreams,
            permits: Semaphore::new(MAX_IN_FLIGHT),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        MAX_IN_FLIGHT - self.permits.available_permits()
    }

    /// Asks the resolvers one after the other; `None` when none of them answered.
    pub(super) async fn ask(&self, query: &Message, transport: Transport) -> Option<Message> {
        let _permit = self.permits.try_acquire().ok()?;
        let mut own = query.clone();
        // A number of our own: what a client chose may be known to others.
        own.metadata.id = rand::random();
        let packet = own.to_vec().ok()?;
        for upstream in &self.upstreams {
            let answer = timeout(PATIENCE, exchange(*upstream, &packet, &own, transport)).await;
            if let Ok(Some(mut answer)) = answer {
                answer.metadata.id = query.metadata.id;
                return Some(answer);
            }
        }
        None
    }

    /// Asks for the end of an alias chain.
    pub(super) async fn resolve(&self, name: &Name, kind: RecordType) -> Option<Message> {
        let mut query = Message::query();
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name.clone(), kind));
        let answer = self.ask(&query, Transport::Udp).await?;
        match answer.metadata.truncation {
            true => self.ask(&query, Transport::Tcp).await,
            false => Some(answer),
        }
    }
}

async fn exchange(
    upstream: SocketAddr,
    packet: &[u8],
    query: &Message,
    transport: Transport,
) -> Option<Message> {
    match transport {
        Transport::Udp => exchange_udp(upstream, packet, query).await,
        Transport::Tcp => exchange_tcp(upstream, packet, query).await,
    }
}

async fn exchange_udp(upstream: SocketAddr, packet: &[u8], query: &Message) -> Option<Message> {
    let any: IpAddr = match upstream {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A port of its own per query: together with the number it is what a forger would have to guess.
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(upstream).await.ok()?;
    socket.send(packet).await.ok()?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = socket.recv(&mut buffer).await.ok()?;
        let answer = Message::from_vec(buffer.get(..count)?).ok();
        if let Some(answer) = answer.filter(|answer| answers(answer, query)) {
            return Some(answer);
        }
    }
}

async fn exchange_tcp(upstream: SocketAddr, packet: &[u8], query: &Message) -> Option<Message> {
    let mut stream = TcpStream::connect(upstream).await.ok()?;
    stream
        .write_all(&u16::try_from(packet.len()).ok()?.to_be_bytes())
        .await
        .ok()?;
    stream.write_all(packet).await.ok()?;
    let length = stream.read_u16().await.ok()?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.ok()?;
    Message::from_vec(&answer)
        .ok()
        .filter(|answer| answers(answer, query))
}

fn answers(answer: &Message, query: &Message) -> bool {
    answer.metadata.id == query.metadata.id && answer.queries == query.queries
}
