//! Subscribers that remember what they took.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::ledger::Ledger;

/// The status for the request of this number.
type Mood = fn(u64) -> StatusCode;

/// Takes everything.
pub fn steady(_: u64) -> StatusCode {
    StatusCode::ACCEPTED
}

/// Takes nine of ten requests.
pub fn flaky(number: u64) -> StatusCode {
    match number % 10 {
        3 => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    }
}

pub struct Subscriber {
    pub url: String,
    task: JoinHandle<()>,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// That of the trigger with this number.
    pub async fn start(ledger: Arc<Ledger>, trigger: usize, mood: Mood) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, ledger.clone(), trigger, mood));
            }
        });
        Ok(Self { url, task })
    }
}

async fn serve(stream: TcpStream, ledger: Arc<Ledger>, trigger: usize, mood: Mood) {
    let service = service_fn(move |request: Request<Incoming>| {
        let ledger = ledger.clone();
        async move {
            let (head, body) = request.into_parts();
            let whole = body.collect().await.is_ok();
            let id = head
                .headers
                .get("ce-id")
                .and_then(|id| id.to_str().ok()?.parse().ok());
            let status = match (id, whole) {
                (Some(id), true) => {
                    let status = mood(ledger.requests());
                    if status.is_success() {
                        ledger.took(trigger, id);
                    }
                    status
                }
                _ => StatusCode::BAD_REQUEST,
            };
            let mut response = Response::new(Full::<Bytes>::default());
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    let _ = stream.set_nodelay(true);
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
