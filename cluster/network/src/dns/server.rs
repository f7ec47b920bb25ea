//! Sockets: UDP datagrams and TCP streams of queries.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::forward::{Forwarder, Transport};
use super::reply::{self, Reply};
use super::zone::Zone;
use crate::catalog::Catalog;
use crate::error::NetworkError;

/// Largest query; a question is at most 255 bytes, the rest is room for options.
const MAX_QUERY: usize = 2_048;

/// TCP connections per address.
const MAX_STREAMS: usize = 64;

/// A TCP client that asks nothing for this long is disconnected.
const IDLE: Duration = Duration::from_secs(10);

/// Wait after a failed accept or receive.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) catalog: Catalog,
    pub(super) zone: Zone,
    pub(super) forwarder: Forwarder,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// Opens UDP and TCP on one address; a port of 0 is the same for both.
pub(super) async fn listen(shared: &Arc<Shared>, address: SocketAddr) -> Result<SocketAddr, NetworkError> {
    let failed = |source| NetworkError::Listen {
        address: match address.ip() {
            IpAddr::V4(ip) => ip,
            IpAddr::V6(_) => std::net::Ipv4Addr::UNSPECIFIED,
        },
        port: address.port(),
        source,
    };
    let tcp = TcpListener::bind(address).await.map_err(failed)?;
    let address = tcp.local_addr().map_err(failed)?;
    let udp = UdpSocket::bind(address).await.map_err(failed)?;
    let (datagrams, streams) = (
        serve_udp(Arc::clone(shared), udp),
        serve_tcp(Arc::clone(shared), tcp),
    );
    let stop = shared.stop.clone();
    shared
        .tasks
        .spawn(async move { stop.run_until_cancelled(datagrams).await });
    let stop = shared.stop.clone();
    shared
        .tasks
        .spawn(async move { stop.run_until_cancelled(streams).await });
    Ok(address)
}

async fn serve_udp(shared: Arc<Shared>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; MAX_QUERY];
    loop {
        let (count, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // ICMP errors of earlier answers arrive here as well.
                debug!(%error, "DNS socket told an error");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let packet = buffer.get(..count).unwrap_or_default();
        let limit = reply::udp_limit(packet);
        match shared.decide(packet) {
            Reply::Ready(reply) => send_udp(&socket, &reply, limit, client),
            Reply::Nothing => {}
            waiting => {
                // Bounded by the forwarder's permits: without one the task ends at once.
                let (shared, socket) = (Arc::clone(&shared), Arc::clone(&socket));
                let tasks = shared.tasks.clone();
                tasks.spawn(async move {
                    let stop = shared.stop.clone();
                    let finished = stop
                        .run_until_cancelled(shared.finish(waiting, Transport::Udp))
                        .await;
                    if let Some(Some(reply)) = finished {
                        send_udp(&socket, &reply, limit, client);
                    }
                });
            }
        }
    }
}

fn send_udp(socket: &UdpSocket, reply: &Message, limit: u16, client: SocketAddr) {
    let Some(bytes) = reply::encode_udp(reply, limit) else {
        return;
    };
    // A full socket buffer drops the answer, as a network would; the client asks again.
    if let Err(error) = socket.try_send_to(&bytes, client) {
        debug!(client.addr = %client, %error, "DNS answer dropped");
    }
}

async fn serve_tcp(shared: Arc<Shared>, listener: TcpListener) {
    let permits = Arc::new(Semaphore::new(MAX_STREAMS));
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "DNS cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            debug!(client.addr = %client, "DNS connection closed: too many are open");
            continue;
        };
        let own = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            let _permit = permit;
            let stop = own.stop.clone();
            stop.run_until_cancelled(serve_stream(own, stream)).await;
        });
    }
}

/// Answers one query after the other until the client ends, idles or sends nonsense.
async fn serve_stream(shared: Arc<Shared>, mut stream: TcpStream) {
    while let Ok(Some(packet)) = tokio::time::timeout(IDLE, read_query(&mut stream)).await {
        let reply = match shared.decide(&packet) {
            Reply::Ready(reply) => Some(reply),
            Reply::Nothing => None,
            waiting => shared.finish(waiting, Transport::Tcp).await,
        };
        let Some(bytes) = reply.and_then(|reply| reply.to_vec().ok()) else {
            return;
        };
        let Ok(length) = u16::try_from(bytes.len()) else {
            return;
        };
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(bytes);
        if !matches!(
            tokio::time::timeout(IDLE, stream.write_all(&framed)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}

async fn read_query(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = usize::from(stream.read_u16().await.ok()?);
    if length > MAX_QUERY {
        return None;
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await.ok()?;
    Some(packet)
}

impl Shared {
    fn decide(&self, packet: &[u8]) -> Reply {
        let synced = self.catalog.is_synced();
        let state = self.catalog.read();
        reply::reply(packet, &self.zone, synced.then_some(&*state))
    }

    /// Asks elsewhere.
    async fn finish(&self, reply: Reply, transport: Transport) -> Option<Message> {
        match reply {
            Reply::Forward(query) => {
                let answer = self.forwarder.ask(&query, transport).await;
                Some(answer.unwrap_or_else(|| reply::server_failure(&query)))
            }
            Reply::Complete {
                mut reply,
                target,
                kind,
            } => {
                match self.forwarder.resolve(&target, kind).await {
                    Some(answer) => {
                        reply.metadata.response_code = answer.metadata.response_code;
                        reply.answers.extend(answer.answers);
                    }
                    None => reply.metadata.response_code = ResponseCode::ServFail,
                }
                Some(reply)
            }
            Reply::Ready(reply) => Some(reply),
            Reply::Nothing => None,
        }
    }
}
