//! An application that does what its path says.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What tests see of the application.
pub struct Application {
    pub addr: SocketAddr,
    pub seen: Arc<Seen>,
}

pub struct Seen {
    pub running: AtomicUsize,
    pub most: AtomicUsize,
    pub served: AtomicUsize,
    pub connections: AtomicUsize,
    /// `/hold` answers when it gets one of these.
    pub release: Semaphore,
}

struct Running(Arc<Seen>);

impl Running {
    fn new(seen: &Arc<Seen>) -> Self {
        let now = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
        seen.most.fetch_max(now, Ordering::SeqCst);
        Self(seen.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Application {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            release: Semaphore::new(0),
        });
        let shared = seen.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let seen = shared.clone();
                tokio::spawn(async move {
                    let service = hyper::service::service_fn(move |request| {
                        let seen = seen.clone();
                        async move { Ok::<_, Infallible>(answer(request, seen).await) }
                    });
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { addr, seen }
    }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

fn paced(pauses: &'static [(u64, &'static str)]) -> Body {
    let frames = futures::stream::iter(pauses).then(|(pause, text)| async move {
        tokio::time::sleep(Duration::from_millis(*pause)).await;
        Ok(Frame::data(Bytes::from_static(text.as_bytes())))
    });
    StreamBody::new(frames).boxed_unsync()
}

async fn answer(request: Request<Incoming>, seen: Arc<Seen>) -> Response<Body> {
    let running = Running::new(&seen);
    seen.served.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/headers" => {
            let host = request.uri().authority().map(ToString::to_string);
            let mut text = format!("{:?} host={}\n", request.version(), host.unwrap_or_default());
            for (name, value) in request.headers() {
                text += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
            }
            Response::new(full(text))
        }
        "/echo" => {
            let version = format!("{:?}", request.version());
            let body = request
                .into_body()
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            Response::builder()
                .header("x-version", version)
                .body(full(body))
                .unwrap()
        }
        // Answers before it reads, and goes on as it reads.
        "/duplex" => {
            let frames = request
                .into_body()
                .into_data_stream()
                .map(|chunk| Ok(Frame::data(chunk.unwrap_or_default())));
            let first = futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"first;"))) });
            Response::new(StreamBody::new(first.chain(frames)).boxed_unsync())
        }
        "/grpc" => {
            let frames = request
                .into_body()
                .into_data_stream()
                .map(|chunk| Ok(Frame::data(chunk.unwrap_or_default())));
            let trailers = futures::stream::once(async {
                Ok(Frame::trailers(HeaderMap::from_iter([(
                    "grpc-status".parse().unwrap(),
                    HeaderValue::from_static("0"),
                )])))
            });
            Response::builder()
                .header("content-type", "application/grpc")
                .body(StreamBody::new(frames.chain(trailers)).boxed_unsync())
                .unwrap()
        }
        "/sse" => Response::builder()
            .header("content-type", "text/event-stream")
            .body(paced(&[
                (0, "data: 1\n\n"),
                (200, "data: 2\n\n"),
                (600_000, "data: never\n\n"),
            ]))
            .unwrap(),
        "/trickle" => Response::new(paced(&[
            (0, "a"),
            (400, "b"),
            (400, "c"),
            (400, "d"),
            (400, "e"),
            (400, "f"),
        ])),
        "/hold" => {
            seen.release.acquire().await.unwrap().forget();
            drop(running);
            Response::new(full("held"))
        }
        "/refuse" => Response::builder()
            .status(StatusCode::EXPECTATION_FAILED)
            .body(full("no"))
            .unwrap(),
        "/204" => Response::builder()
            .status(204)
            .body(Empty::new().boxed_unsync())
            .unwrap(),
        "/304" => Response::builder()
            .status(304)
            .header("etag", "\"x\"")
            .body(Empty::new().boxed_unsync())
            .unwrap(),
        "/head" => Response::builder()
            .header("content-length", "42")
            .body(if request.method() == "HEAD" {
                Empty::new().boxed_unsync()
            } else {
                full("x".repeat(42))
            })
            .unwrap(),
        "/upgrade" => {
            let protocol = request.headers().get("upgrade").cloned().unwrap();
            tokio::spawn(async move {
                let _running = running;
                let mut stream = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                let mut buffer = [0; 1024];
                while let Ok(n) = stream.read(&mut buffer).await {
                    if n == 0 || stream.write_all(&buffer[..n]).await.is_err() {
                        break;
                    }
                }
            });
            Response::builder()
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("connection", "upgrade")
                .header("upgrade", protocol)
                .body(Empty::new().boxed_unsync())
                .unwrap()
        }
        _ => Response::new(full("hello")),
    }
}
