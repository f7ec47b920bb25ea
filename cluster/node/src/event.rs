//! Events about pods, in kubelet's words.

use cluster_events::Reporter;
pub(crate) use cluster_events::Severity;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::task::JoinHandle;

/// Takes events; clones share one queue.
#[derive(Clone)]
pub(crate) struct Recorder(cluster_events::Recorder);

impl Recorder {
    /// Starts the task that writes events; it ends with the last recorder.
    pub(crate) fn start(client: Client, node_name: String) -> (Self, JoinHandle<()>) {
        let reporter = Reporter {
            component: "kubelet",
            host: Some(node_name),
        };
        let (recorder, work) = cluster_events::Recorder::new(client, reporter);
        (Self(recorder), tokio::spawn(work))
    }

    /// Records an event about a pod or one of its containers (and whether that is an init container).
    pub(crate) fn record(
        &self,
        pod: &Pod,
        container: Option<(&str, bool)>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let mut about = cluster_events::reference(pod);
        about.field_path = container.map(|(name, init)| match init {
            true => format!("spec.initContainers{{{name}}}"),
            false => format!("spec.containers{{{name}}}"),
        });
        self.0.record(about, severity, reason, message);
    }

    /// Events that were not written: the queue was full, or their object had too many.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}
