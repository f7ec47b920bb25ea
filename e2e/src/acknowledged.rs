//! Creates objects as fast as it goes until the server stops, and remembers which creations were acknowledged.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::Platform;
use crate::raw::ApiProxy;
use crate::workload::Workload;

/// Acknowledged creations before the server may be stopped.
const ENOUGH: usize = 100;
const CLIENTS: usize = 4;

/// Names as `kubectl get -o name` tells them.
pub struct Acknowledged(BTreeSet<String>);

impl Acknowledged {
    /// Creates ConfigMaps, and a Service for each ten, called `<prefix>-<number>`; once there are a hundred, lets `stop`
    /// end the server while it goes on.
    ///
    /// # Errors
    /// What `stop` gives, or that the creations were too few.
    pub fn until(
        platform: &mut Platform,
        prefix: &str,
        stop: impl FnOnce(&mut Platform) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let proxy = ApiProxy::start(platform)?;
        let image = format!("{}/hello", platform.registry());
        let (done, next) = (AtomicBool::new(false), AtomicUsize::new(0));
        let all = Mutex::new(BTreeSet::new());
        let stopped: anyhow::Result<()> = std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if let Some(name) = create(&proxy, prefix, number, &image) {
                            all.lock().map(|mut all| all.insert(name)).ok();
                        }
                    }
                });
            }
            let start = Instant::now();
            while all.lock().map_or(0, |all| all.len()) < ENOUGH && start.elapsed() < Duration::from_secs(60)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            let stopped = stop(platform);
            done.store(true, Ordering::Relaxed);
            stopped
        });
        stopped?;
        let all = all.into_inner().unwrap_or_default();
        ensure!(
            all.len() >= ENOUGH,
            "only {} creates were acknowledged",
            all.len()
        );
        Ok(Self(all))
    }

    /// # Errors
    /// With the names of those that are not there.
    pub fn are_there(&self, platform: &Platform) -> anyhow::Result<()> {
        let there = platform
            .kubectl(&["get", "configmaps,ksvc", "-o", "name"])?
            .ok()?;
        let there: BTreeSet<&str> = there.lines().collect();
        let lost: Vec<&String> = self
            .0
            .iter()
            .filter(|name| !there.contains(name.as_str()))
            .collect();
        ensure!(
            lost.is_empty(),
            "of {} acknowledged objects are gone: {lost:?}",
            self.0.len()
        );
        Ok(())
    }

    /// Deletes the Services among them, whose reconciliation would go on beside what comes next.
    ///
    /// # Errors
    /// If one is not there.
    pub fn delete_services(&self, platform: &Platform) -> anyhow::Result<()> {
        let services = self.0.iter().filter(|name| name.starts_with("service."));
        let mut delete = vec!["delete", "--wait=false"];
        delete.extend(services.map(String::as_str));
        platform.kubectl(&delete)?.ok()?;
        Ok(())
    }
}

/// The object's name, if its creation was acknowledged.
fn create(proxy: &ApiProxy, prefix: &str, number: usize, image: &str) -> Option<String> {
    let name = format!("{prefix}-{number}");
    let (path, kind, object) = match number % 10 {
        0 => (
            "/apis/serving.knative.dev/v1/namespaces/default/services",
            "service.serving.knative.dev",
            // No pods: this is about what is stored.
            Workload::new(&name, image)
                .annotation("initial-scale", "0")
                .object(),
        ),
        _ => (
            "/api/v1/namespaces/default/configmaps",
            "configmap",
            json!({"metadata": {"name": name}, "data": {"text": "x".repeat(500)}}),
        ),
    };
    proxy.created(path, &object).then(|| format!("{kind}/{name}"))
}
