//! What the log on disk says of itself, when metrics are asked for.

use std::sync::{Arc, Weak};

use event_store::{Log, Stats};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// A name without `event_log_`, what it means, and whether it only grows.
type Family = (&'static str, &'static str, bool);

const FAMILIES: [Family; 15] = [
    ("records_total", "Records made durable.", true),
    ("record_bytes_total", "Payload bytes made durable.", true),
    ("syncs_total", "Writes, each of them synced.", true),
    ("sync_seconds_total", "Time in which those syncs ran.", true),
    (
        "failed_appends_total",
        "Appends that failed, most likely since the disk is full.",
        true,
    ),
    (
        "damaged_records_total",
        "Records found damaged, which nobody gets.",
        true,
    ),
    (
        "dropped_records_total",
        "Records removed before a consumer had them, once for each such consumer.",
        true,
    ),
    ("segments", "Files of records.", false),
    ("disk_bytes", "Bytes of those files.", false),
    ("free_bytes", "Bytes free on the disk.", false),
    (
        "least_free_bytes",
        "Free bytes under which new events are refused.",
        false,
    ),
    ("pending_bytes", "Payload bytes that wait for the disk.", false),
    (
        "pending_limit_bytes",
        "Bytes beyond which appends wait for room.",
        false,
    ),
    (
        "memory_bytes",
        "Bytes of records that are held in memory for consumers.",
        false,
    ),
    (
        "memory_limit_bytes",
        "Most bytes of records that are held in memory.",
        false,
    ),
];

/// Metrics of a log, under names that begin with `event_log_`.
pub struct LogMetrics {
    log: Weak<Log>,
    descriptions: Vec<Desc>,
}

impl LogMetrics {
    /// They do not keep the log open.
    ///
    /// # Errors
    /// Never in practice: the names are good ones.
    pub fn new(log: &Arc<Log>) -> prometheus::Result<Self> {
        let mut descriptions = Vec::new();
        for (name, help, _) in FAMILIES {
            descriptions.push(Desc::new(
                full(name),
                help.to_owned(),
                Vec::new(),
                Default::default(),
            )?);
        }
        Ok(Self {
            log: Arc::downgrade(log),
            descriptions,
        })
    }
}

fn full(name: &str) -> String {
    format!("event_log_{name}")
}

/// In the order of [`FAMILIES`].
fn values(stats: &Stats) -> [f64; FAMILIES.len()] {
    let (tail, chunks) = (stats.tail, stats.chunks);
    [
        stats.records as f64,
        stats.bytes as f64,
        stats.syncs as f64,
        stats.sync_nanos as f64 / 1e9,
        stats.failed as f64,
        stats.damaged as f64,
        stats.dropped as f64,
        stats.files.0 as f64,
        stats.files.1 as f64,
        stats.free.0.map_or(f64::NAN, |free| free as f64),
        stats.free.1 as f64,
        stats.pending.0 as f64,
        stats.pending.1 as f64,
        (tail.0 + chunks.0) as f64,
        (tail.1 + chunks.1) as f64,
    ]
}

impl Collector for LogMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(log) = self.log.upgrade() else {
            return Vec::new();
        };
        let rows = FAMILIES.iter().zip(values(&log.stats()));
        rows.flat_map(|((name, help, grows), value)| family(name, help, *grows, value))
            .collect()
    }
}

fn family(name: &str, help: &str, grows: bool, value: f64) -> Vec<MetricFamily> {
    let options = Opts::new(full(name), help);
    let collected = match grows {
        true => Counter::with_opts(options).map(|counter| {
            counter.inc_by(value);
            counter.collect()
        }),
        false => Gauge::with_opts(options).map(|gauge| {
            gauge.set(value);
            gauge.collect()
        }),
    };
    collected.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use event_store::{Options, Store as _, Topic};
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_log_says_how_near_its_limits_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::open(folder.path(), Options::default()).unwrap());
        let registry = Registry::new();
        registry
            .register(Box::new(LogMetrics::new(&log).unwrap()))
            .unwrap();
        let payload = vec![Bytes::from_static(b"four")];
        log.append(&Topic::new("t").unwrap(), payload).await.unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("event_log_{name} ")));
            line.unwrap_or_else(|| panic!("{name} in {text}"))
                .parse()
                .unwrap()
        };
        assert_eq!((value("records_total"), value("record_bytes_total")), (1.0, 4.0));
        assert_eq!((value("segments"), value("damaged_records_total")), (1.0, 0.0));
        assert!(value("disk_bytes") > 4.0 && value("free_bytes") > 0.0 && value("pending_limit_bytes") > 0.0);
        log.close().await;
        drop(log);
        assert!(registry.gather().is_empty(), "metrics do not keep it open");
    }
}
