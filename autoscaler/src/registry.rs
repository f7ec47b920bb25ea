//! What the autoscaler holds in memory for each revision: its load, its settings, its scaler and what that last said.
//!
//! The reconcilers register revisions here, the stats server and the scraper fill in the load, and the ticker decides.
//! Nothing of it is stored: after a restart the scalers hold what runs until a window is full.

use std::collections::HashMap;
use std::time::Instant;

use crds::stat::Stat;
use parking_lot::Mutex;
use reconciler::Key;

use crate::metrics::collection::{Collection, Load, LoadMetric};
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
    /// What the last decision was made of.
    load: Option<Load>,
    ready_pods: i32,
    /// At zero and calm: until a report, another plan or a pod comes along, every decision would be the same.
    asleep: bool,
}

/// What is known of one revision at one moment.
#[derive(Clone, Debug)]
pub struct Reading {
    pub key: Key,
    /// Pods that the load asks for; −1 while nothing is known.
    pub desired: i32,
    pub excess_burst_capacity: i32,
    pub panicking: bool,
    pub metric: LoadMetric,
    /// The windows at the last decision.
    pub load: Option<Load>,
    /// Load per pod that is aimed at.
    pub target: f64,
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
            None => Load {
                stable: 0.0,
                panic: 0.0,
            },
        };
        let decision = scaled.scaler.decide(&plan.settings, load, ready_pods, now);
        let before = std::mem::replace(&mut scaled.decision, decision);
        scaled.load = Some(load);
        scaled.ready_pods = ready_pods;
        let calm = load.stable == 0.0 && load.panic == 0.0 && !scaled.scaler.panicking();
        scaled.asleep = decision.desired == 0 && ready_pods == 0 && calm;
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
                if scaled.plan != plan || scaled.ready_pods != ready_pods {
                    scaled.asleep = false;
                }
                scaled.plan = plan;
                scaled.decision
            }
            None => {
                let decision = Scaler::initial(&plan.settings);
                revision.scaled = Some(Scaled {
                    scaler: Scaler::new(ready_pods, now),
                    plan,
                    decision,
                    load: None,
                    ready_pods,
                    asleep: false,
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
        let Some(scaled) = &mut revision.scaled else {
            return false;
        };
        if stat.average_concurrent_requests > 0.0 || stat.request_count > 0.0 {
            scaled.asleep = false;
        }
        stat.average_concurrent_requests > 0.0 && scaled.decision.desired <= 0
    }

    /// Decides for one revision; returns whether its PodAutoscaler has to know.
    pub fn decide(&self, key: &Key, ready_pods: i32, second: u64, now: Instant) -> bool {
        self.revisions
            .lock()
            .get_mut(key)
            .is_some_and(|revision| revision.decide(ready_pods, second, now))
    }

    /// The revisions for which time alone can change the decision: all but those that rest at zero.
    pub fn awake(&self) -> Vec<Key> {
        let revisions = self.revisions.lock();
        let awake = |revision: &Revision| revision.scaled.as_ref().is_none_or(|scaled| !scaled.asleep);
        let awake = revisions.iter().filter(|(_, revision)| awake(revision));
        awake.map(|(key, _)| key.clone()).collect()
    }

    /// What is known of every revision that is scaled here.
    pub fn readings(&self) -> Vec<Reading> {
        let revisions = self.revisions.lock();
        let reading = |(key, revision): (&Key, &Revision)| {
            let scaled = revision.scaled.as_ref()?;
            Some(Reading {
                key: key.clone(),
                desired: scaled.decision.desired,
                excess_burst_capacity: scaled.decision.excess_burst_capacity,
                panicking: scaled.scaler.panicking(),
                metric: scaled.plan.metric,
                load: scaled.load,
                target: scaled.plan.settings.target(),
            })
        };
        revisions.iter().filter_map(reading).collect()
    }

    /// The revisions whose pods are scraped, with the length of their stable window in seconds.
    pub fn scraped(&self) -> Vec<(Key, u64)> {
        let revisions = self.revisions.lock();
        let scraped = |revision: &Revision| {
            let scaled = revision.scaled.as_ref();
            scaled.is_some_and(|scaled| scaled.plan.scraped && !scaled.asleep)
        };
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
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scaling::decide::{BurstCapacity, UNKNOWN};

    pub(crate) fn plan(scraped: bool) -> Plan {
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

    pub(crate) fn stat(concurrency: f64) -> Stat {
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
    fn a_revision_at_rest_is_left_alone_until_something_comes_along() {
        let (registry, key, now) = (Registry::default(), Key::new("ns", "rev"), Instant::now());
        let others = Plan {
            aggregation: Aggregation::WeightedExponential,
            ..plan(true)
        };
        registry.measure(&key, 60, 6);
        registry.plan(&key, plan(true), 1, now);
        registry.record(&key, 1, &stat(0.0));
        let rest = |ready| {
            // The scaler of a revision that had a pod holds it for a stable window.
            registry.decide(&key, ready, 2, now + Duration::from_secs(61));
            (registry.awake().is_empty(), registry.scraped().is_empty())
        };
        assert_eq!(rest(1), (false, false), "a pod is still there");
        assert_eq!(rest(0), (true, true));
        registry.plan(&key, plan(true), 0, now);
        registry.record(&key, 2, &stat(0.0));
        assert!(registry.awake().is_empty(), "nothing new");
        registry.plan(&key, plan(true), 1, now);
        assert_eq!(registry.awake().len(), 1, "a pod came up");
        rest(0);
        registry.plan(&key, others, 0, now);
        assert_eq!(registry.awake().len(), 1, "its settings changed");
        rest(0);
        registry.record(&key, 2, &stat(1.0));
        assert_eq!(registry.awake().len(), 1, "a request came");
    }

    #[test]
    fn a_revision_is_gone_when_both_sides_forgot_it() {
        let (registry, key) = (Registry::default(), Key::new("ns", "rev"));
        registry.measure(&key, 60, 6);
        registry.plan(&key, plan(true), 0, Instant::now());
        assert_eq!(registry.scraped(), [(key.clone(), 60)]);
        registry.forget_plan(&key);
        assert_eq!(registry.awake().len(), 1);
        registry.forget_measure(&key);
        assert!(registry.awake().is_empty());
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
