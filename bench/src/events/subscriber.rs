//! Subscribers: they count what comes, note when, and answer with no more than a status.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::producer::{Arrivals, ID};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// 202, at once.
    Answers,
    /// 500, at once.
    Fails,
    /// Takes the request and says nothing.
    Hangs,
}

pub struct Subscriber {
    pub url: String,
    /// Requests it has got; of those that answer with success, these are the events that were delivered.
    pub taken: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    pub async fn start(behaviour: Behaviour, arrivals: Arc<Arrivals>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let taken = Arc::new(AtomicU64::new(0));
        let counted = taken.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, behaviour, arrivals.clone(), counted.clone()));
            }
        });
        Ok(Self { url, taken, task })
    }
}

async fn serve(mut stream: TcpStream, behaviour: Behaviour, arrivals: Arc<Arrivals>, taken: Arc<AtomicU64>) {
    let answer: &[u8] = match behaviour {
        Behaviour::Answers => b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
        Behaviour::Fails => b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        Behaviour::Hangs => b"",
    };
    let _ = stream.set_nodelay(true);
    let mut read = Vec::with_capacity(8192);
    loop {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some((id, length)) = request(&read) {
            read.drain(..length);
            taken.fetch_add(1, Ordering::Relaxed);
            if behaviour == Behaviour::Answers {
                arrivals.arrives(id);
            }
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }
}

/// The id and the length of a request that is there in full.
fn request(read: &[u8]) -> Option<(u64, usize)> {
    let head = read.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(read.get(..head)?).ok()?;
    let value = |name: &str| {
        let mut lines = text.split("\r\n");
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let length: usize = value("content-length")?.parse().ok()?;
    let id = value("ce-id").filter(|id| id.len() == ID)?.parse().ok()?;
    (read.len() >= head + length).then_some((id, head + length))
}
