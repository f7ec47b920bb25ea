//! Every protocol through gateway, sidecar and container, and through the activator to a service that sleeps.
//!
//! Each test talks to a revision whose pod is up and gets its requests without an activator between, then to one of its
//! own that has no pod yet: its first request is the one that wakes it.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use e2e::client::{Answer, Body, empty, full, http2_request, streamed, whole};
use e2e::tools::Need;
use e2e::{Client, block_on, cases, shared, stop_shared, suite};
use futures::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, TE, UPGRADE};
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl];
const HELLO: &str = "send something, and it comes back\n";
/// Two hosts each: up without an activator between, and asleep.
const SERVICES: [(&str, Port); 9] = [
    ("http1", Port::Http1),
    ("h2c", Port::H2c),
    ("websocket", Port::Http1),
    ("grpc", Port::H2c),
    ("events", Port::Http1),
    ("continue", Port::Http1),
    ("duplex", Port::Http1),
    ("large", Port::Http1),
    ("refused", Port::Http1),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Port {
    Http1,
    H2c,
}

/// The client, the host that is up and the host that is not.
fn hosts(name: &str) -> anyhow::Result<(Client, [String; 2])> {
    static DEPLOYED: OnceLock<Result<(), String>> = OnceLock::new();
    DEPLOYED
        .get_or_init(|| deploy().map_err(|error| format!("{error:?}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let port = SERVICES.iter().find(|(service, _)| *service == name);
    let up = match port.context("no such service")?.1 {
        Port::Http1 => "up-http1",
        Port::H2c => "up-h2c",
    };
    let host = |service: &str| format!("{service}.default.localhost");
    Ok((Client::of(shared()?), [host(up), host(&format!("asleep-{name}"))]))
}

fn deploy() -> anyhow::Result<()> {
    let platform = shared()?;
    let image = format!("{}/echo", platform.registry());
    let mut manifests = vec![
        manifest("up-http1", Port::Http1, true, &image),
        manifest("up-h2c", Port::H2c, true, &image),
    ];
    manifests.extend(SERVICES.map(|(name, port)| manifest(&format!("asleep-{name}"), port, false, &image)));
    platform.apply(&manifests.join("---\n"), &[])?.ok()?;
    platform
        .kubectl(&["wait", "ksvc", "--all", "--for=condition=Ready", "--timeout=100s"])?
        .ok()?;
    for revision in ["sks/up-http1-00001", "sks/up-h2c-00001"] {
        let serving = [
            "wait",
            revision,
            "--for=jsonpath={.spec.mode}=Serve",
            "--timeout=60s",
        ];
        platform.kubectl(&serving)?.ok()?;
    }
    Ok(())
}

fn manifest(name: &str, port: Port, up: bool, image: &str) -> String {
    let scale = match up {
        // No burst capacity is kept, so the activator leaves the path once the pod is up.
        true => {
            "autoscaling.knative.dev/min-scale: \"1\"\n        autoscaling.knative.dev/target-burst-capacity: \"0\""
        }
        false => "autoscaling.knative.dev/initial-scale: \"0\"",
    };
    let port = match port {
        Port::Http1 => "http1",
        Port::H2c => "h2c",
    };
    format!(
        "apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: {name}
spec:
  template:
    metadata:
      annotations:
        features.knative.dev/http-full-duplex: Enabled
        {scale}
    spec:
      containers:
        - image: {image}
          ports: [{{name: {port}, containerPort: 8080}}]
"
    )
}

fn check(answer: &Answer, body: &[u8]) -> anyhow::Result<()> {
    ensure!(
        answer.status == StatusCode::OK && answer.body == body,
        "{} {:?}: {} bytes: {:.100}",
        answer.status,
        answer.headers,
        answer.body.len(),
        answer.text()
    );
    Ok(())
}

fn http1_requests_with_and_without_bodies() -> anyhow::Result<()> {
    let (client, hosts) = hosts("http1")?;
    block_on(async {
        for host in &hosts {
            check(&client.get(host, "/").await?, HELLO.as_bytes())?;
            // All on one connection: the end of each response is where it says.
            let mut connection = client.http1().await?;
            let request = |method: Method| Request::builder().method(method).uri("/x").header(HOST, host);

            let head = send(&mut connection, request(Method::HEAD).body(empty())?).await?;
            let head = whole(head).await?;
            ensure!(
                head.headers
                    .get(CONTENT_LENGTH)
                    .is_some_and(|length| *length == *HELLO.len().to_string())
            );
            check(&head, b"")?;

            let sized = send(&mut connection, request(Method::POST).body(full("sized"))?).await?;
            ensure!(sized.version() == Version::HTTP_11);
            check(&whole(sized).await?, b"sized")?;

            let (mut sender, body) = streamed();
            let sending = tokio::spawn(async move {
                for part in ["a", "b", "c"] {
                    if sender
                        .send_data(Bytes::from_static(part.as_bytes()))
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            });
            let chunked = send(&mut connection, request(Method::PUT).body(body)?).await?;
            ensure!(
                chunked.headers().get(CONTENT_LENGTH).is_none(),
                "it was not chunked"
            );
            check(&whole(chunked).await?, b"abc")?;
            sending.await?;
        }
        Ok(())
    })
}

async fn send(
    connection: &mut SendRequest<Body>,
    request: Request<Body>,
) -> anyhow::Result<Response<Incoming>> {
    connection.ready().await?;
    Ok(connection.send_request(request).await?)
}

fn clear_http2_to_either_kind_of_port() -> anyhow::Result<()> {
    let (client, hosts) = hosts("h2c")?;
    block_on(async {
        for host in hosts
            .iter()
            .map(String::as_str)
            .chain(["up-http1.default.localhost"])
        {
            let mut connection = client.http2().await?;
            let got = connection
                .send_request(http2_request(Method::GET, host, "/", empty())?)
                .await?;
            ensure!(got.version() == Version::HTTP_2);
            check(&whole(got).await?, HELLO.as_bytes())?;
            // Many streams at once on one connection, each with its own body.
            let calls = (0..20).map(|number| {
                let mut connection = connection.clone();
                async move {
                    let body = format!("stream {number}");
                    let request = http2_request(Method::POST, host, "/", full(body.clone()))?;
                    check(
                        &whole(connection.send_request(request).await?).await?,
                        body.as_bytes(),
                    )
                }
            });
            futures::future::try_join_all(calls).await?;
        }
        Ok(())
    })
}

fn websocket_messages_of_every_kind() -> anyhow::Result<()> {
    let (client, hosts) = hosts("websocket")?;
    block_on(async {
        for host in &hosts {
            let stream = client.connect().await?;
            let (mut socket, response) =
                tokio_tungstenite::client_async(format!("ws://{host}/chat"), stream).await?;
            ensure!(response.status() == StatusCode::SWITCHING_PROTOCOLS);
            let large = Bytes::from(vec![7u8; 900 << 10]);
            for message in [Message::text("over the wall"), Message::binary(large)] {
                socket.send(message.clone()).await?;
                let back = socket.next().await.context("closed early")??;
                ensure!(back == message, "another message came back");
            }
            socket.send(Message::Ping(Bytes::from_static(b"there?"))).await?;
            let pong = socket.next().await.context("closed early")??;
            ensure!(pong == Message::Pong(Bytes::from_static(b"there?")), "{pong:?}");
            socket.close(None).await?;
            while let Some(message) = socket.next().await {
                ensure!(message?.is_close());
            }
        }
        Ok(())
    })
}

fn grpc_unary_and_streaming_with_trailers() -> anyhow::Result<()> {
    let (client, hosts) = hosts("grpc")?;
    block_on(async {
        for host in &hosts {
            let mut connection = client.http2().await?;
            let call = |method: &str, body| -> anyhow::Result<_> {
                let mut request = http2_request(Method::POST, host, method, body)?;
                let headers = request.headers_mut();
                headers.insert(CONTENT_TYPE, "application/grpc".parse()?);
                headers.insert(TE, "trailers".parse()?);
                Ok(request)
            };
            let said = connection
                .send_request(call("/echo.Echo/Say", full(message("hi")))?)
                .await?;
            let said = whole(said).await?;
            check(&said, &message("hi"))?;
            ensure!(status(said.trailers.as_ref()) == Some("0"), "{:?}", said.trailers);

            let (mut sender, body) = streamed();
            // The head comes only after the first message where the body wakes the service.
            let (response, _) = futures::future::try_join(
                async {
                    Ok::<_, anyhow::Error>(connection.send_request(call("/echo.Echo/Chat", body)?).await?)
                },
                async { Ok(sender.send_data(message("one")).await?) },
            )
            .await?;
            let mut body = response.into_body();
            ensure!(data(&mut body).await? == message("one"));
            for text in ["two", "three"] {
                sender.send_data(message(text)).await?;
                ensure!(
                    data(&mut body).await? == message(text),
                    "not the message just sent"
                );
            }
            drop(sender);
            let last = body.frame().await.context("no trailers")??;
            ensure!(status(last.trailers_ref()) == Some("0"), "{last:?}");

            let unknown = connection.send_request(call("/echo.Echo/None", empty())?).await?;
            ensure!(status(Some(unknown.headers())) == Some("12"), "{unknown:?}");
        }
        Ok(())
    })
}

/// A gRPC message: not compressed, its length, and `Message { text }`.
fn message(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    bytes.extend_from_slice(text.as_bytes());
    bytes.into()
}

fn status(headers: Option<&HeaderMap>) -> Option<&str> {
    headers?.get("grpc-status")?.to_str().ok()
}

async fn data(body: &mut Incoming) -> anyhow::Result<Bytes> {
    let frame = body.frame().await.context("the response ended")??;
    frame
        .into_data()
        .map_err(|frame| anyhow::anyhow!("not data: {frame:?}"))
}

fn server_sent_events_arrive_before_the_next_is_sent() -> anyhow::Result<()> {
    let (client, hosts) = hosts("events")?;
    block_on(async {
        for host in &hosts {
            let request = Request::get("/events").header(HOST, host).body(empty())?;
            let mut connection = client.http1().await?;
            let mut body = connection.send_request(request).await?.into_body();
            let mut sent_and_arrived = Vec::new();
            for number in 1..=3 {
                let event = String::from_utf8_lossy(&data(&mut body).await?).into_owned();
                let arrived = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
                let (id, sent) = event
                    .trim_end()
                    .strip_prefix("id: ")
                    .and_then(|rest| rest.split_once("\ndata: "))
                    .with_context(|| event.clone())?;
                ensure!(id == number.to_string(), "{event}");
                sent_and_arrived.push((sent.parse::<u128>()?, arrived));
            }
            ensure!(
                sent_and_arrived.windows(2).all(|pair| pair[0].1 < pair[1].0),
                "an event was held back: {sent_and_arrived:?}"
            );
        }
        Ok(())
    })
}

fn the_application_asks_for_the_body_by_100_continue() -> anyhow::Result<()> {
    let (client, hosts) = hosts("continue")?;
    block_on(async {
        for host in &hosts {
            let mut stream = client.connect().await?;
            let head = format!(
                "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            let asked = read_until(&mut stream, b"\r\n\r\n").await?;
            ensure!(asked.starts_with("HTTP/1.1 100"), "{asked}");
            stream.write_all(b"body").await?;
            let answer = read_until(&mut stream, b"body").await?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
        Ok(())
    })
}

async fn read_until(stream: &mut tokio::net::TcpStream, end: &[u8]) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(end.len()).any(|window| window == end) {
        if stream.read_buf(&mut bytes).await? == 0 {
            bail!("closed after {:?}", String::from_utf8_lossy(&bytes));
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn the_response_begins_before_the_request_ends() -> anyhow::Result<()> {
    let (client, hosts) = hosts("duplex")?;
    block_on(async {
        for host in &hosts {
            let (mut sender, body) = streamed();
            let request = Request::post("/").header(HOST, host).body(body)?;
            let mut connection = client.http1().await?;
            let response = connection.send_request(request);
            ping_pong(&mut sender, async { Ok(response.await?) })
                .await
                .context("HTTP/1.1")?;
        }
        let (mut sender, body) = streamed();
        let request = http2_request(Method::POST, "up-h2c.default.localhost", "/", body)?;
        let mut connection = client.http2().await?;
        let response = connection.send_request(request);
        ping_pong(&mut sender, async { Ok(response.await?) })
            .await
            .context("HTTP/2")
    })
}

async fn ping_pong(
    sender: &mut http_body_util::channel::Sender<Bytes, std::convert::Infallible>,
    response: impl Future<Output = anyhow::Result<Response<Incoming>>>,
) -> anyhow::Result<()> {
    let first = async { Ok(sender.send_data(Bytes::from_static(b"ping 0")).await?) };
    let (response, ()) = futures::future::try_join(response, first).await?;
    let mut body = response.into_body();
    ensure!(data(&mut body).await? == "ping 0");
    for number in 1..5 {
        let ping = Bytes::from(format!("ping {number}"));
        sender.send_data(ping.clone()).await?;
        ensure!(data(&mut body).await? == ping);
    }
    Ok(())
}

fn large_bodies_go_both_ways_unchanged() -> anyhow::Result<()> {
    const PART: usize = 64 << 10;
    const PARTS: usize = 512;
    let (client, hosts) = hosts("large")?;
    block_on(async {
        for host in &hosts {
            let (mut sender, body) = streamed();
            let request = Request::post("/").header(HOST, host).body(body)?;
            let sending = tokio::spawn(async move {
                for number in 0..PARTS {
                    sender.send_data(part(number, PART)).await?;
                }
                anyhow::Ok(())
            });
            let mut connection = client.http1().await?;
            let mut body = connection.send_request(request).await?.into_body();
            let mut received = 0;
            while let Some(frame) = body.frame().await {
                for &byte in frame?.data_ref().context("trailers")? {
                    let number = u8::try_from(received / PART % 251)?;
                    ensure!(byte == number, "byte {received} is {byte}");
                    received += 1;
                }
            }
            sending.await??;
            ensure!(received == PART * PARTS, "{received} bytes came back");
        }
        Ok(())
    })
}

fn part(number: usize, size: usize) -> Bytes {
    vec![u8::try_from(number % 251).unwrap_or_default(); size].into()
}

fn an_upgrade_that_the_application_ignores_is_an_ordinary_request() -> anyhow::Result<()> {
    let (client, hosts) = hosts("refused")?;
    block_on(async {
        for host in &hosts {
            let mut connection = client.http1().await?;
            for _ in 0..2 {
                let request = Request::get("/")
                    .header(HOST, host)
                    .header(CONNECTION, "upgrade")
                    .header(UPGRADE, "carrier-pigeon")
                    .body(empty())?;
                check(
                    &whole(send(&mut connection, request).await?).await?,
                    HELLO.as_bytes(),
                )?;
            }
        }
        Ok(())
    })
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            http1_requests_with_and_without_bodies,
            clear_http2_to_either_kind_of_port,
            websocket_messages_of_every_kind,
            grpc_unary_and_streaming_with_trailers,
            server_sent_events_arrive_before_the_next_is_sent,
            the_application_asks_for_the_body_by_100_continue,
            the_response_begins_before_the_request_ends,
            large_bodies_go_both_ways_unchanged,
            an_upgrade_that_the_application_ignores_is_an_ordinary_request,
        ]],
        stop_shared,
    )
}
