//! TCP: accept, connect to an endpoint, copy both ways.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::{Shutdown, setsockopt, shutdown, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::Shared;
use super::balance::Backend;

/// Connections the kernel queues for a listener (the limit of `somaxconn` on current kernels).
const BACKLOG: u32 = 4_096;

/// Longest wait for an endpoint to accept.
const CONNECT: Duration = Duration::from_secs(5);

/// Wait after a failed accept (out of descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Silence after which the kernel asks a peer whether it is still there (seconds): gone peers must not hold
/// connections for ever.
const KEEPALIVE: u32 = 120;

/// Bytes moved at once; one buffer per thread.
const BUFFER: usize = 64 << 10;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

pub(super) fn start(
    address: SocketAddrV4,
    backend: Arc<Backend>,
    shared: &Arc<Shared>,
    stop: CancellationToken,
) -> io::Result<JoinHandle<()>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::V4(address))?;
    let listener = socket.listen(BACKLOG)?;
    let accepting = accept(listener, backend, Arc::clone(shared));
    Ok(shared.tasks.spawn(async move {
        stop.run_until_cancelled(accepting).await;
    }))
}

async fn accept(listener: TcpListener, backend: Arc<Backend>, shared: Arc<Shared>) {
    loop {
        let (client, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "Service listener cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&shared.connections).try_acquire_owned() else {
            debug!(client.addr = %peer, "Connection closed: too many are open");
            continue;
        };
        let (backend, stop) = (Arc::clone(&backend), shared.stop.clone());
        // Open connections outlive their listener: an endpoint that goes ends them itself.
        shared.tasks.spawn(async move {
            let _permit = permit;
            let forwarded = stop.run_until_cancelled(forward(client, peer, &backend)).await;
            if let Some(Err(error)) = forwarded {
                debug!(client.addr = %peer, %error, "Forwarded connection ended early");
            }
        });
    }
}

async fn forward(client: TcpStream, peer: SocketAddr, backend: &Backend) -> io::Result<()> {
    let ip = match peer.ip() {
        std::net::IpAddr::V4(ip) => ip,
        std::net::IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let upstream = connect(backend.choose(ip)).await?;
    for stream in [&client, &upstream] {
        stream.set_nodelay(true)?;
        setsockopt(stream, sockopt::KeepAlive, &true)?;
        setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE)?;
    }
    tokio::try_join!(copy(&client, &upstream), copy(&upstream, &client))?;
    Ok(())
}

/// The first endpoint that accepts.
async fn connect(targets: Vec<SocketAddrV4>) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::ConnectionRefused, "no endpoint");
    for target in targets {
        match tokio::time::timeout(CONNECT, TcpStream::connect(target)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{target} did not accept")),
        }
    }
    Err(last)
}

/// What one read and write left to do.
enum Step {
    Again,
    Rest(Vec<u8>),
    End,
}

/// Copies until the end of `from`, then ends the other direction's stream of `to`. The other way stays open: a client
/// may send all of its request, close its side and still read the answer.
async fn copy(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    loop {
        from.readable().await?;
        let step = SCRATCH.with_borrow_mut(|buffer| move_some(from, to, buffer))?;
        match step {
            Step::Again => tokio::task::consume_budget().await,
            Step::Rest(rest) => write_all(to, &rest).await?,
            Step::End => {
                // A peer that closed already needs no end.
                return match shutdown(to.as_raw_fd(), Shutdown::Write) {
                    Ok(()) | Err(nix::errno::Errno::ENOTCONN) => Ok(()),
                    Err(error) => Err(error.into()),
                };
            }
        }
    }
}

fn move_some(from: &TcpStream, to: &TcpStream, buffer: &mut [u8]) -> io::Result<Step> {
    let count = match from.try_read(buffer) {
        Ok(0) => return Ok(Step::End),
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Again),
        Err(error) => return Err(error),
    };
    let data = buffer.get(..count).unwrap_or_default();
    let written = match to.try_write(data) {
        Ok(written) => written,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    match data.get(written..) {
        Some([]) | None => Ok(Step::Again),
        // Only a slow reader costs memory, and never more than one buffer.
        Some(rest) => Ok(Step::Rest(rest.to_vec())),
    }
}

async fn write_all(to: &TcpStream, data: &[u8]) -> io::Result<()> {
    let mut left = data;
    while !left.is_empty() {
        to.writable().await?;
        match to.try_write(left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
