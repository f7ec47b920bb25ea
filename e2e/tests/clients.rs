//! Clients that are broken or hostile: each gets what it deserves, and nobody else notices.

use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::tools::Need;
use e2e::{Client, Load, Platform, block_on, cases, shared, stop_shared, suite, turn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[path = "clients/http2.rs"]
mod http2;

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
const HOST: &str = "good.default.localhost";
const SLOW: &str = "slow.default.localhost";
/// The gateway's limit for a head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// More than this is not explained by what the others do meanwhile.
const MEMORY: u64 = 48 << 20;

/// A platform with a good service and a slow one, and its client.
fn deployed() -> anyhow::Result<(&'static Platform, Client)> {
    static DEPLOYED: OnceLock<Result<(), String>> = OnceLock::new();
    DEPLOYED
        .get_or_init(|| deploy().map_err(|error| format!("{error:?}")))
        .as_ref()
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    let platform = shared()?;
    Ok((platform, Client::of(platform)))
}

fn deploy() -> anyhow::Result<()> {
    let platform = shared()?;
    for (name, image) in [("good", "hello"), ("slow", "autoscale")] {
        let image = format!("{}/{image}", platform.registry());
        platform
            .kn(&["service", "create", name, "--image", &image, "--scale-min", "1"])?
            .ok()?;
    }
    Ok(())
}

/// Other people's requests, which have to go on.
fn others(client: Client) -> Load {
    Load::start(client, HOST, "/", 2, Duration::from_millis(20))
}

fn closed(platform: &Platform, reason: &str) -> anyhow::Result<f64> {
    platform.metric(&format!(
        "spindrift_gateway_connections_closed_total{{reason=\"{reason}\"}}"
    ))
}

/// Everything that comes back until the gateway closes; a reset counts as its end.
async fn raw(client: Client, request: &str) -> anyhow::Result<String> {
    let mut stream = client.connect().await?;
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer))
        .await
        .with_context(|| format!("not closed after {request:.80}"))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn bad_requests_are_refused_and_counted() -> anyhow::Result<()> {
    let (platform, client) = deployed()?;
    let before = (closed(platform, "malformed")?, closed(platform, "large_head")?);
    block_on(async {
        let close = "Connection: close\r\n\r\n";
        let many: String = (0..200).map(|number| format!("X-{number}: 1\r\n")).collect();
        for (request, status) in [
            (
                format!("GET / HTTP/1.1\r\nHost: nobody.example\r\n{close}"),
                "404",
            ),
            (
                format!("GET / HTTP/1.1\r\nHost: good.default.svc.cluster.local\r\n{close}"),
                "404",
            ),
            (
                format!(
                    "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"
                ),
                "400",
            ),
            (
                format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nTransfer-Encoding: gzip\r\n\r\nabcde"),
                "400",
            ),
            (
                format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nHost: other\r\n\r\n"),
                "400",
            ),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
            (
                format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX : space\r\n\r\n"),
                "400",
            ),
            (format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{close}"), "405"),
            (format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n{many}\r\n"), "431"),
        ] {
            let answer = raw(client, &request).await?;
            ensure!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{request:.80} gave {answer:.200}"
            );
        }
        // The refusal may be overtaken by the reset that the unread rest of the head causes.
        let answer = raw(
            client,
            &format!(
                "GET / HTTP/1.1\r\nHost: {HOST}\r\nX: {}\r\n\r\n",
                "a".repeat(200 << 10)
            ),
        )
        .await?;
        ensure!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer:.200}"
        );
        // Both framings: chunked counts (RFC 9112 §6.1), and what follows is never read as a request.
        let smuggled = format!(
            "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
             GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
        );
        let answer = raw(client, &smuggled).await?;
        ensure!(answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
        Ok(())
    })?;
    let after = (closed(platform, "malformed")?, closed(platform, "large_head")?);
    ensure!(
        after.0 >= before.0 + 3.0 && after.1 >= before.1 + 2.0,
        "{before:?} {after:?}"
    );
    Ok(())
}

fn slow_and_silent_clients_are_cut() -> anyhow::Result<()> {
    let (platform, client) = deployed()?;
    let before = (closed(platform, "silent")?, closed(platform, "slow_head")?);
    block_on(async {
        let load = others(client);
        let silent = (0..40).map(|_| until_closed(client, ""));
        let half_preface = (0..10).map(|_| until_closed(client, "PRI * HTTP/2.0\r\n"));
        let slow =
            (0..50).map(|_| until_closed(client, "GET / HTTP/1.1\r\nHost: good.default.localhost\r\nX: "));
        let (silent, half_preface, slow) = tokio::join!(
            futures::future::try_join_all(silent),
            futures::future::try_join_all(half_preface),
            futures::future::try_join_all(slow),
        );
        for took in silent?.into_iter().chain(half_preface?).chain(slow?) {
            ensure!(
                took > HEAD_TIMEOUT / 2 && took < HEAD_TIMEOUT * 2,
                "closed after {took:?}"
            );
        }
        load.stop().await.faultless()
    })?;
    let after = (closed(platform, "silent")?, closed(platform, "slow_head")?);
    ensure!(
        after.0 == before.0 + 50.0 && after.1 == before.1 + 50.0,
        "{before:?} {after:?}"
    );
    Ok(())
}

/// Sends `start`, then goes on with a letter each second if it is the beginning of a header; how long it may do so.
async fn until_closed(client: Client, start: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let (mut read, mut write) = client.connect().await?.into_split();
    write.write_all(start.as_bytes()).await?;
    let trickle = async {
        while start.ends_with(": ") && write.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut rest = Vec::new();
    tokio::select! {
        _ = read.read_to_end(&mut rest) => {}
        () = trickle => {}
    }
    Ok(begun.elapsed())
}

fn thousands_of_idle_connections_cost_little() -> anyhow::Result<()> {
    const COUNT: u32 = 3_000;
    /// Bytes of memory for one of them.
    const EACH: u64 = 40 << 10;
    let ((platform, client), _turn) = (deployed()?, turn());
    block_on(async {
        let load = others(client);
        let before = platform.memory()?;
        let mut idle: Vec<TcpStream> = Vec::new();
        for number in 0..COUNT {
            let mut stream = client
                .connect()
                .await
                .with_context(|| format!("connection {number}"))?;
            // Half of them have asked once and keep the connection.
            if number % 2 == 0 {
                stream
                    .write_all(format!("HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())
                    .await?;
                let mut answer = [0; 12];
                stream.read_exact(&mut answer).await?;
                ensure!(&answer == b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&answer));
            }
            idle.push(stream);
        }
        let open = platform.metric("spindrift_gateway_connections")?;
        let limit = platform.metric("spindrift_gateway_connections_limit")?;
        let grown = platform.memory()?.saturating_sub(before);
        ensure!(
            limit > open && open >= f64::from(COUNT) / 2.0,
            "{open} of {limit} are open"
        );
        ensure!(
            grown < u64::from(COUNT) * EACH + MEMORY,
            "{COUNT} idle connections took {grown} bytes"
        );
        load.next(20).await?;
        drop(idle);
        load.stop().await.faultless()
    })
}

fn floods_of_http2_end_their_own_connection() -> anyhow::Result<()> {
    let ((platform, client), _turn) = (deployed()?, turn());
    let before = (
        closed(platform, "http2")?,
        closed(platform, "gave_up")?,
        platform.memory()?,
    );
    block_on(async {
        let load = others(client);
        // Streams that are reset before anybody looked at them (CVE-2023-44487).
        let mut wire = Vec::new();
        for number in 0..20_000 {
            http2::get(&mut wire, 2 * number + 1, SLOW, "/?sleep=60000");
            http2::reset(&mut wire, 2 * number + 1);
        }
        let flooded = http2::flood(client.connect().await?, http2::preface(), wire, 1).await;
        ended(flooded, "resets at once").await?;

        // The same at leisure: each request has reached the application when it is taken back.
        let given_up = async {
            let mut stream = client.connect().await?;
            stream.write_all(&http2::preface()).await?;
            let (mut read, mut write) = stream.into_split();
            let reading = tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                while matches!(read.read(&mut buffer).await, Ok(count) if count > 0) {}
            });
            let mut next = 1;
            while !reading.is_finished() {
                let (mut asks, mut resets) = (Vec::new(), Vec::new());
                for _ in 0..50 {
                    http2::get(&mut asks, next, SLOW, "/?sleep=60000");
                    http2::reset(&mut resets, next);
                    next += 2;
                }
                if write.write_all(&asks).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                if write.write_all(&resets).await.is_err() {
                    break;
                }
                ensure!(next < 10_000, "{next} streams were given up and it goes on");
            }
            Ok(())
        };
        given_up.await?;

        // A header block without an end (CVE-2024-27316).
        let (first, next) = http2::endless_headers();
        let flooded = http2::flood(client.connect().await?, first, next, 50_000).await;
        ensure!(
            flooded.taken < 32 << 20,
            "{} bytes of headers were taken",
            flooded.taken
        );
        ended(flooded, "headers").await?;

        // Pings have to be answered, but not kept: here nobody reads the answers for a while.
        let mut pings = Vec::new();
        (0..1_000).for_each(|_| http2::ping(&mut pings));
        let flooded = http2::flood(client.connect().await?, http2::preface(), pings, 200).await;
        drop(flooded);
        load.stop().await.faultless()
    })?;
    let after = (
        closed(platform, "http2")?,
        closed(platform, "gave_up")?,
        platform.memory()?,
    );
    ensure!(
        after.0 >= before.0 + 2.0 && after.1 >= before.1 + 1.0,
        "{before:?} {after:?}"
    );
    ensure!(
        after.2 < before.2 + MEMORY,
        "memory went from {} to {}",
        before.2,
        after.2
    );
    Ok(())
}

/// Waits until the gateway has closed a connection.
async fn ended(flooded: http2::Flooded, with: &str) -> anyhow::Result<()> {
    let _ = tokio::time::timeout(Duration::from_secs(20), flooded.reading)
        .await
        .with_context(|| format!("still open after a flood of {with}"))?;
    Ok(())
}

fn main() -> ExitCode {
    // Both ends of some thousand connections are ours and our child's.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    suite(
        cases![NEEDS => [
            slow_and_silent_clients_are_cut,
            bad_requests_are_refused_and_counted,
            floods_of_http2_end_their_own_connection,
            thousands_of_idle_connections_cost_little,
        ]],
        stop_shared,
    )
}
