//! UDP: a flow per client, so that answers find back and stay with one endpoint.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, send};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Shared;
use super::balance::Backend;

/// A flow without a datagram for this long ends (the kernel's `nf_conntrack_udp_timeout_stream` is 120 s, for one-way
/// traffic 30 s).
const IDLE: Duration = Duration::from_secs(60);

/// Flows per listener.
const MAX_FLOWS: usize = 1_024;

/// Largest datagram.
const DATAGRAM: usize = 65_535;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; DATAGRAM]);
}

type Flows = Arc<Mutex<HashMap<SocketAddr, Arc<Flow>>>>;

struct Flow {
    upstream: UdpSocket,
    target: SocketAddrV4,
    stop: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

pub(super) fn start(
    address: SocketAddrV4,
    backend: Arc<Backend>,
    shared: &Arc<Shared>,
    stop: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let socket = std::net::UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    let listener = Listener {
        socket: Arc::new(UdpSocket::from_std(socket)?),
        backend,
        shared: Arc::clone(shared),
        flows: Flows::default(),
        stop: stop.clone(),
    };
    Ok(shared.tasks.spawn(async move {
        stop.run_until_cancelled(listener.run()).await;
    }))
}

struct Listener {
    socket: Arc<UdpSocket>,
    backend: Arc<Backend>,
    shared: Arc<Shared>,
    flows: Flows,
    stop: CancellationToken,
}

impl Listener {
    async fn run(self) {
        loop {
            if let Err(error) = self.socket.readable().await {
                debug!(%error, "Service socket failed");
                return;
            }
            let received = SCRATCH.with_borrow_mut(|buffer| {
                let (count, client) = self.socket.try_recv_from(buffer)?;
                Ok::<_, io::Error>((
                    self.deliver(buffer.get(..count).unwrap_or_default(), client),
                    client,
                ))
            });
            match received {
                Ok((Ok(()), _)) => {}
                Ok((Err(error), client)) => debug!(client.addr = %client, %error, "Datagram dropped"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An ICMP error of an earlier answer; says nothing about the next datagram.
                Err(error) => debug!(%error, "Service socket told an error"),
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Sends without waiting: a full socket buffer drops the datagram, as a network would.
    fn deliver(&self, data: &[u8], client: SocketAddr) -> io::Result<()> {
        let known = self.flows.lock().get(&client).cloned();
        let flow = match known.filter(|flow| self.backend.contains(flow.target)) {
            Some(flow) => flow,
            None => self.open(client)?,
        };
        // Past tokio's readiness, which a socket made just now has not learnt yet.
        send(flow.upstream.as_raw_fd(), data, MsgFlags::MSG_DONTWAIT)?;
        Ok(())
    }

    fn open(&self, client: SocketAddr) -> io::Result<Arc<Flow>> {
        let SocketAddr::V4(from) = client else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let full = || io::Error::other("too many flows are open");
        let permit = Arc::clone(&self.shared.connections)
            .try_acquire_owned()
            .map_err(|_| full())?;
        let target = self
            .backend
            .choose(*from.ip())
            .first()
            .copied()
            .ok_or(io::ErrorKind::ConnectionRefused)?;
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(target)?;
        socket.set_nonblocking(true)?;
        let stop = self.stop.child_token();
        let flow = Arc::new(Flow {
            upstream: UdpSocket::from_std(socket)?,
            target,
            stop,
            _permit: permit,
        });
        {
            let mut flows = self.flows.lock();
            if flows.len() >= MAX_FLOWS && !flows.contains_key(&client) {
                return Err(full());
            }
            // The old one's endpoint is gone.
            if let Some(old) = flows.insert(client, Arc::clone(&flow)) {
                old.stop.cancel();
            }
        }
        let answers = answers(
            Arc::clone(&flow),
            Arc::clone(&self.socket),
            client,
            Arc::clone(&self.flows),
        );
        let stop = flow.stop.clone();
        self.shared.tasks.spawn(async move {
            stop.run_until_cancelled(answers).await;
        });
        Ok(flow)
    }
}

/// Brings an endpoint's answers back until the flow was silent for [`IDLE`]. A client that only sends keeps its
/// flow only as long as that; the next datagram opens a new one.
async fn answers(flow: Arc<Flow>, listener: Arc<UdpSocket>, client: SocketAddr, flows: Flows) {
    while let Ok(Ok(())) = tokio::time::timeout(IDLE, flow.upstream.readable()).await {
        let moved = SCRATCH.with_borrow_mut(|buffer| {
            let count = flow.upstream.try_recv(buffer)?;
            listener.try_send_to(buffer.get(..count).unwrap_or_default(), client)
        });
        match moved {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // Nobody listens at the endpoint (ICMP); a new flow may choose another.
                debug!(client.addr = %client, %error, "Flow ended");
                break;
            }
            _ => tokio::task::consume_budget().await,
        }
    }
    let mut flows = flows.lock();
    if flows
        .get(&client)
        .is_some_and(|current| Arc::ptr_eq(current, &flow))
    {
        flows.remove(&client);
    }
}
