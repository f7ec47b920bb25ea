//! A subscriber that remembers what it got.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use event::{Event, Mode};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::SOON;

/// One request.
#[derive(Debug)]
pub struct Delivery {
    pub headers: HeaderMap,
    pub event: Event,
}

/// Answers with an event, or with nothing.
type Reply = Arc<dyn Fn(&Event) -> Option<Event> + Send + Sync>;

pub struct Subscriber {
    pub url: String,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
}

impl Subscriber {
    pub async fn start() -> Self {
        Self::replying(|_| None).await
    }

    pub async fn replying(reply: impl Fn(&Event) -> Option<Event> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in", listener.local_addr().unwrap());
        let (sender, deliveries) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, sender, Arc::new(reply)));
        Self { url, deliveries }
    }

    pub async fn next(&mut self) -> Delivery {
        let next = tokio::time::timeout(SOON, self.deliveries.recv()).await;
        next.expect("a delivery comes").unwrap()
    }

    /// Nothing has come that was not taken.
    pub fn is_idle(&mut self) -> bool {
        self.deliveries.try_recv().is_err()
    }
}

async fn serve(listener: TcpListener, sender: mpsc::UnboundedSender<Delivery>, reply: Reply) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (sender, reply) = (sender.clone(), reply.clone());
        let service = service_fn(move |request| answer(request, sender.clone(), reply.clone()));
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    sender: mpsc::UnboundedSender<Delivery>,
    reply: Reply,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let event = event::http::read(&head.headers, body).unwrap();
    let mut response = Response::new(Full::default());
    if let Some(reply) = reply(&event) {
        let (headers, body) = event::http::write(&reply, Mode::Binary);
        *response.headers_mut() = headers;
        *response.body_mut() = Full::new(body);
    }
    let headers = head.headers;
    let _ = sender.send(Delivery { headers, event });
    Ok(response)
}
