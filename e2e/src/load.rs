//! A steady load of requests, each answer of which is kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::Client;
use crate::client::{Body, empty, whole};

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Requests on one connection before the next is opened: both kept and fresh connections are tried.
const PER_CONNECTION: usize = 20;

/// Workers that ask the same again and again, one request at a time each.
pub struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    workers: JoinSet<()>,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Bodies of the answers with status 200, and how often each came.
    pub answers: BTreeMap<String, usize>,
    /// Everything else; the first hundred.
    pub failures: Vec<String>,
}

impl Tally {
    /// Answers with status 200.
    pub fn total(&self) -> usize {
        self.answers.values().sum()
    }

    /// # Errors
    /// With the first failures, if there are any.
    pub fn faultless(&self) -> anyhow::Result<()> {
        ensure!(
            self.failures.is_empty(),
            "{} failed beside {} good ones: {:#?}",
            self.failures.len(),
            self.total(),
            self.failures.iter().take(5).collect::<Vec<_>>()
        );
        Ok(())
    }
}

impl Load {
    /// Starts `workers` that ask `host` for `path`, each with `pause` between an answer and the next request.
    pub fn start(client: Client, host: &str, path: &str, workers: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut running = JoinSet::new();
        for _ in 0..workers {
            let (stop, tally) = (stop.clone(), tally.clone());
            let (host, path) = (host.to_owned(), path.to_owned());
            running.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let Err(error) = ask(client, &host, &path, pause, &stop, &tally).await else {
                        continue;
                    };
                    let mut tally = tally.lock().await;
                    if tally.failures.len() < 100 {
                        tally.failures.push(format!("{error:#}"));
                    }
                }
            });
        }
        Self {
            stop,
            tally,
            workers: running,
        }
    }

    /// What came back since the start or the last call.
    pub async fn take(&self) -> Tally {
        std::mem::take(&mut *self.tally.lock().await)
    }

    /// Waits until at least `count` answers have come back since the start or the last call, and takes them.
    ///
    /// # Errors
    /// If one of them failed.
    pub async fn next(&self, count: usize) -> anyhow::Result<Tally> {
        loop {
            {
                let mut tally = self.tally.lock().await;
                tally.faultless()?;
                if tally.total() >= count {
                    return Ok(std::mem::take(&mut *tally));
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets the last requests come back, and takes what came since the last call.
    pub async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        while self.workers.join_next().await.is_some() {}
        self.take().await
    }
}

/// Asks on one connection.
async fn ask(
    client: Client,
    host: &str,
    path: &str,
    pause: Duration,
    stop: &AtomicBool,
    tally: &Mutex<Tally>,
) -> anyhow::Result<()> {
    let mut connection = client.http1().await.context("cannot connect")?;
    for _ in 0..PER_CONNECTION {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let body = tokio::time::timeout(PATIENCE, once(&mut connection, host, path))
            .await
            .with_context(|| format!("no answer within {PATIENCE:?}"))??;
        *tally.lock().await.answers.entry(body).or_default() += 1;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}

async fn once(connection: &mut SendRequest<Body>, host: &str, path: &str) -> anyhow::Result<String> {
    connection.ready().await.context("connection closed")?;
    let request = Request::get(path).header(HOST, host).body(empty())?;
    let answer = whole(connection.send_request(request).await?).await?;
    let body = answer.text();
    ensure!(
        answer.status == StatusCode::OK,
        "{}: {}",
        answer.status,
        body.trim()
    );
    Ok(body.trim().to_owned())
}
