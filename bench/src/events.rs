//! The data plane of events, with everything it needs in this process: ingress, log on disk, deliveries, and the
//! producers and subscribers that load it over HTTP.

pub(crate) mod api;
pub(crate) mod producer;
mod subscriber;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use event_store::{Log, Options, Store};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::process::cpu_seconds;
use crate::{percentile, say};
use producer::{Arrivals, Load, produce};
use subscriber::{Behaviour, Subscriber};

/// Producers that wait for each answer before they send again.
const PRODUCERS: usize = 64;
/// The rate at which latency is measured: half of what must be reached.
const HALF_LOAD: u64 = 10_000;
/// Longest wait for what was accepted to be delivered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures in a folder that is made, and removed after, below `beside`.
pub fn measure(beside: &Path, seconds: u32, only: Option<&str>) -> anyhow::Result<()> {
    let folder = beside.join(format!("bench-events-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let runtime = Runtime::new()?;
    let measured = runtime.block_on(scenarios(&folder, Duration::from_secs(seconds.into()), only));
    runtime.shutdown_timeout(Duration::from_secs(1));
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn scenarios(folder: &Path, time: Duration, only: Option<&str>) -> anyhow::Result<()> {
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    if wanted("one") {
        let one = [Trigger::matching("one", Behaviour::Answers)];
        run(folder, "1 trigger", &one, Load::Closed(PRODUCERS), time).await?;
    }
    if wanted("half") {
        let one = [Trigger::matching("one", Behaviour::Answers)];
        run(folder, "1 trigger, paced", &one, Load::Paced(HALF_LOAD), time).await?;
    }
    if wanted("fifty") {
        let mut fifty = vec![Trigger::matching("one", Behaviour::Answers)];
        fifty.extend((1..50).map(|number| Trigger::of_type(format!("other-{number}"), Behaviour::Answers)));
        run(
            folder,
            "50 triggers, 1 matches",
            &fifty,
            Load::Closed(PRODUCERS),
            time,
        )
        .await?;
    }
    if wanted("bad") {
        let healthy =
            || (0..8).map(|number| Trigger::matching(format!("healthy-{number}"), Behaviour::Answers));
        let alone: Vec<Trigger> = healthy().collect();
        run(
            folder,
            "8 healthy triggers",
            &alone,
            Load::Closed(PRODUCERS),
            time,
        )
        .await?;
        let bad = [
            Trigger::matching("hanging", Behaviour::Hangs),
            Trigger::matching("failing", Behaviour::Fails),
        ];
        let mixed: Vec<Trigger> = bad.into_iter().chain(healthy()).collect();
        run(
            folder,
            "the same, 1 hangs, 1 fails",
            &mixed,
            Load::Closed(PRODUCERS),
            time,
        )
        .await?;
    }
    Ok(())
}

/// A Trigger and what its subscriber does.
struct Trigger {
    name: String,
    event_type: String,
    behaviour: Behaviour,
}

impl Trigger {
    /// One that takes the type of event that is sent.
    fn matching(name: impl Into<String>, behaviour: Behaviour) -> Self {
        Self {
            event_type: producer::TYPE.to_owned(),
            ..Self::of_type(name, behaviour)
        }
    }

    fn of_type(name: impl Into<String>, behaviour: Behaviour) -> Self {
        let name = name.into();
        Self {
            event_type: format!("dev.example.{name}"),
            name,
            behaviour,
        }
    }

    fn object(&self, url: &str) -> Value {
        let id = &self.name;
        json!({
            "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
            "metadata": {"name": id, "namespace": "default", "uid": format!("trigger-{id}"), "resourceVersion": "1",
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"broker": "default", "filter": {"attributes": {"type": self.event_type}},
                     "subscriber": {"uri": url}},
            "status": {"subscriberUri": url},
        })
    }
}

fn broker() -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
        "metadata": {"name": "default", "namespace": "default", "uid": "broker", "resourceVersion": "1",
                     "annotations": {"eventing.knative.dev/broker.class": "MTChannelBasedBroker"}},
        "spec": {"delivery": {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"}},
    })
}

/// One measurement, on a log of its own.
async fn run(
    folder: &Path,
    name: &str,
    triggers: &[Trigger],
    load: Load,
    time: Duration,
) -> anyhow::Result<()> {
    let arrivals = Arc::new(Arrivals::default());
    let mut objects = Vec::new();
    let (mut healthy, mut bad) = (Vec::new(), Vec::new());
    let mut subscribers = Vec::new();
    for trigger in triggers {
        let subscriber = Subscriber::start(trigger.behaviour, arrivals.clone()).await?;
        objects.push(trigger.object(&subscriber.url));
        let wanted = trigger.event_type == producer::TYPE && trigger.behaviour == Behaviour::Answers;
        if wanted {
            healthy.push(subscriber.taken.clone());
        } else if trigger.behaviour != Behaviour::Answers {
            bad.push((trigger.name.clone(), subscriber.taken.clone()));
        }
        subscribers.push(subscriber);
    }
    let home: PathBuf = folder.join(name.replace([' ', ','], "-"));
    let log = Arc::new(Log::open(&home, Options::default())?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shutdown = CancellationToken::new();
    let store: Arc<dyn Store> = log.clone();
    let serving = tokio::spawn(broker::run(broker::Config {
        caches: informer::Caches::new(api::client(vec![broker()], objects)),
        system_namespace: "knative-eventing".to_owned(),
        listeners: vec![listener],
        secure_listeners: Vec::new(),
        stores: HashMap::from([(broker::model::Backend::Embedded, store)]),
        dns: None,
        cluster_domain: "cluster.local".to_owned(),
        allowed: broker::Allowed::ALL,
        registry: prometheus::Registry::new(),
        shutdown: shutdown.clone(),
        grace: Duration::from_millis(100),
        limits: broker::Limits::default(),
        serving: Arc::default(),
    }));
    producer::ready(address).await?;

    let delivered = || {
        healthy
            .iter()
            .map(|taken| taken.load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let (began, cpu, before) = (Instant::now(), cpu_seconds(std::process::id())?, delivered());
    let accepted = produce(address, load, time, arrivals.clone()).await?;
    let at_end = delivered() - before;
    let sent_for = began.elapsed();
    let wanted = accepted * healthy.len() as u64;
    while delivered() - before < wanted && began.elapsed() < sent_for + PATIENCE {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (took, cpu) = (
        began.elapsed().as_secs_f64(),
        cpu_seconds(std::process::id())? - cpu,
    );
    let got = delivered() - before;
    let mut latencies = arrivals.latencies();
    latencies.sort_by(f64::total_cmp);
    say(&format!(
        "{name:<28} accepted {:>7.0}/s  delivered {:>7.0}/s  behind at the end {:>6}  sent to delivered p50 {:>6.2} ms, \
         p99 {:>6.2} ms  CPU {:.2} cores, {:.0} µs a delivery",
        accepted as f64 / sent_for.as_secs_f64(),
        got as f64 / took,
        wanted.saturating_sub(at_end),
        percentile(&latencies, 0.5),
        percentile(&latencies, 0.99),
        cpu / took,
        cpu * 1e6 / got.max(1) as f64,
    ));
    for (name, tried) in bad {
        let tried = tried.load(Ordering::Relaxed);
        say(&format!(
            "  {name}: {tried} attempts, {:.0}/s",
            tried as f64 / took
        ));
    }
    if got < wanted {
        say(&format!("  {} deliveries are missing", wanted - got));
    }
    shutdown.cancel();
    serving.await??;
    log.close().await;
    Ok(())
}
