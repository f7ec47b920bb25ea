//! What the autoscaler holds in memory for each revision: its load, its settings, its scaler and what that last said.
//!
//! The reconcilers register revisions here, the stats server and the scraper fill in the load, and the ticker decides.
//! Nothing of it is stored: after a restart the scalers hold what runs until a window is full.

use std::collections::HashMap;
use std::time::Instant;

use crds::stat::Stat;
use parking_lot::Mutex;
use reconciler::Key;

use crate::metrics::collection::{Collection, LoadMetric};
use crate::metrics::window::Aggregation;
use crate::scaling::decide::{Decision, Scaler, Settings};

/// How one revision is measured and scaled.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub settings: Settings,
    pub metric: LoadMetric,
    pub aggregation: Aggregation,
    /// Whether pods are scraped. If not, only activators report, and no report means no load.
    pub scraped: bool,
}

/// Why scraping a revision's pods fails, as its Metric says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeFailure {
    /// No pod is ready.
    NoEndpoints,
    /// The pods answered too rarely; the text says how.
    DidNotReceiveStat(String),
}

struct Revision {
    /// From the Metric; `None` until that is registered.
    collection: Option<Collection>,
    /// From the PodAutoscaler; `None` until that is registered.
    scaled: Option<Scaled>,
    scrape: Option<ScrapeFailure>,
}

struct Scaled {
    plan: Plan,
    scaler: Scaler,
    decision: Decision,
}

/// All revisions. Times are whole Unix seconds for reports and [`Instant`]s for decisions.
#[derive(Default)]
pub struct Registry {
    revisions: Mutex<HashMap<Key, Revision>>,
}

impl Revision {
    fn empty() -> Self {
        Self {
            collection: None,
            scaled: None,
            scrape: None,
        }
    }

    /// Decides anew; returns whether the PodAutoscaler has to know.
    fn decide(&mut self, ready_pods: i32, second: u64, now: Instant) -> bool {
        let (Some(collection), Some(scaled)) = (&self.collection, &mut self.scaled) else {
            return false;
        };
        let plan = &scaled.plan;
        let load = match collection.load(second, plan.metric, plan.aggregation) {
            Some(load) => load,
            // Nobody reported: the pods may be starting or unreachable, which is not the same as idle.
            None if plan.scraped => return false,
            None => crate::metrics::collection::Load {
                stable: 0.0,
                panic: 0.0,
            },
        };
        let decision = scaled.scaler.decide(&plan.settings, load, ready_pods, now);
        let before = std::mem::replace(&mut scaled.decision, decision);
        decision.desired != before.desired
            || (decision.excess_burst_capacity < 0) != (before.excess_burst_capacity < 0)
    }
}

impl Registry {
    /// Registers or updates how `key` is scaled; returns what is wanted of it at present.
    pub fn plan(&self, key: &Key, plan: Plan, ready_pods: i32, now: Instant) -> Decision {
        let mut revisions = self.revisions.lock();
        let revision = revisions.entry(key.clone()).or_insert_with(Revision::empty);
        match &mut revision.scaled {
            Some(scaled) => {
                scaled.plan = plan;
                scaled.decision
            }
            None => {
                let decision = Scaler::initial(&plan.settings);
                revision.scaled = Some(Scaled {
                    scaler: Scaler::new(ready_pods, now),
                    plan,
                    decision,
                });
                decision
            }
        }
    }

    /// Forgets how `key` is scaled.
    pub fn forget_plan(&self, key: &Key) {
        self.forget(key, |revision| revision.scaled = None);
    }

    /// Registers or resizes the windows of `key`, in seconds.
    pub fn measure(&self, key: &Key, stable: u64, panic: u64) {
        let mut revisions = self.revisions.lock();
        let revision = revisions.entry(key.clone()).or_insert_with(Revision::empty);
        match &mut revision.collection {
            Some(collection) => collection.resize(stable, panic),
            None => revision.collection = Some(Collection::new(stable, panic)),
        }
    }

    /// Forgets the windows of `key`.
    pub fn forget_measure(&self, key: &Key) {
        self.forget(key, |revision| revision.collection = None);
    }

    fn forget(&self, key: &Key, change: impl Fn(&mut Revision)) {
        let mut revisions = self.revisions.lock();
        if let Some(revision) = revisions.get_mut(key) {
            change(revision);
            if revision.collection.is_none() && revision.scaled.is_none() {
                revisions.remove(key);
            }
        }
    }

    /// Takes in a report. Returns whether it is load for a revision that nothing is wanted of, which is worth an
    /// immediate [`Registry::decide`]. Reports for unknown revisions are dropped.
    pub fn record(&self, key: &Key, second: u64, stat: &Stat) -> bool {
        let mut revisions = self.revisions.lock();
        let Some(revision) = revisions.get_mut(key) else {
            return false;
        };
        let Some(collection) = &mut revision.collection else {
            return false;
        };
        collection.record(second, stat);
        stat.average_concurrent_requests > 0.0
            && revision
                .scaled
                .as_ref()
                .is_some_and(|scaled| scaled.decision.desired <= 0)
    }

    /// Decides for one revision; returns whether its PodAutoscaler has to know.
    pub fn decide(&self, key: &Key, ready_pods: i32, second: u64, now: Instant) -> bool {
        self.revisions
            .lock()
            .get_mut(key)
            .is_some_and(|revision| revision.decide(ready_pods, second, now))
    }

    /// Every registered revision.
    pub fn keys(&self) -> Vec<Key> {
        self.revisions.lock().keys().cloned().collect()
    }

    /// The revisions whose pods are scraped, with the length of their stable window in seconds.
    pub fn scraped(&self) -> Vec<(Key, u64)> {
        let revisions = self.revisions.lock();
        let scraped =
            |revision: &Revision| revision.scaled.as_ref().is_some_and(|scaled| scaled.plan.scraped);
        revisions
            .iter()
            .filter(|(_, revision)| scraped(revision))
            .filter_map(|(key, revision)| Some((key.clone(), revision.collection.as_ref()?.stable_seconds())))
            .collect()
    }

    /// Notes how scraping went; returns whether that is news.
    pub fn scrape_result(&self, key: &Key, failure: Option<ScrapeFailure>) -> bool {
        self.revisions.lock().get_mut(key).is_some_and(|revision| {
            let news = revision.scrape != failure;
            revision.scrape = failure;
            news
        })
    }

    /// How scraping went the last time.
    pub fn scrape_failure(&self, key: &Key) -> Option<ScrapeFailure> {
        self.revisions
            .lock()
            .get(key)
            .and_then(|revision| revision.scrape.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scaling::decide::{BurstCapacity, UNKNOWN};

    fn plan(scraped: bool) -> Plan {
        Plan {
            settings: Settings {
                total: 10.0,
                utilization: 1.0,
                burst_capacity: BurstCapacity::None,
                panic_threshold: 2.0,
                max_scale_up_rate: 1000.0,
                max_scale_down_rate: 2.0,
                activation_scale: 1,
                stable_window: Duration::from_secs(60),
                scale_down_delay: Duration::ZERO,
                initial_scale: 1,
                reachable: true,
            },
            metric: LoadMetric::Concurrency,
            aggregation: Aggregation::Linear,
            scraped,
        }
    }

    fn stat(concurrency: f64) -> Stat {
        Stat {
            average_concurrent_requests: concurrency,
            ..Stat::default()
        }
    }

    #[test]
    fn load_for_a_revision_at_zero_is_worth_a_decision_at_once() {
        let (registry, key, now) = (Registry::default(), Key::new("ns", "rev"), Instant::now());
        assert!(
            !registry.record(&key, 1, &stat(1.0)),
            "nobody knows this revision"
        );
        registry.measure(&key, 60, 6);
        assert_eq!(registry.plan(&key, plan(true), 0, now).desired, UNKNOWN);
        assert!(!registry.decide(&key, 0, 1, now), "no report is no decision");
        assert!(!registry.record(&key, 1, &stat(0.0)));
        assert!(registry.record(&key, 2, &stat(1.0)));
        assert!(registry.decide(&key, 0, 2, now));
        assert_eq!(registry.plan(&key, plan(true), 0, now).desired, 1);
        assert!(!registry.record(&key, 2, &stat(1.0)), "one pod is wanted already");
        assert!(!registry.decide(&key, 1, 3, now), "the same wish is no news");
    }

    #[test]
    fn without_scraping_silence_means_no_load() {
        let (registry, key, now) = (Registry::default(), Key::new("ns", "rev"), Instant::now());
        registry.measure(&key, 60, 6);
        registry.plan(&key, plan(false), 0, now);
        assert!(registry.decide(&key, 0, 1, now));
        assert_eq!(registry.plan(&key, plan(false), 0, now).desired, 0);
        assert!(registry.scraped().is_empty());
    }

    #[test]
    fn a_revision_is_gone_when_both_sides_forgot_it() {
        let (registry, key) = (Registry::default(), Key::new("ns", "rev"));
        registry.measure(&key, 60, 6);
        registry.plan(&key, plan(true), 0, Instant::now());
        assert_eq!(registry.scraped(), [(key.clone(), 60)]);
        registry.forget_plan(&key);
        assert_eq!(registry.keys().len(), 1);
        registry.forget_measure(&key);
        assert!(registry.keys().is_empty());
    }

    #[test]
    fn only_changed_scrape_results_are_news() {
        let (registry, key) = (Registry::default(), Key::new("ns", "rev"));
        registry.measure(&key, 60, 6);
        assert!(!registry.scrape_result(&key, None));
        assert!(registry.scrape_result(&key, Some(ScrapeFailure::NoEndpoints)));
        assert!(!registry.scrape_result(&key, Some(ScrapeFailure::NoEndpoints)));
        assert_eq!(registry.scrape_failure(&key), Some(ScrapeFailure::NoEndpoints));
    }
}
