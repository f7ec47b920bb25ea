//! What a ServerlessService reports.

use crds::networking::ServerlessServiceStatus;
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use super::desired::Backends;

/// Whether a pod is ready.
pub const ENDPOINTS: &str = "EndpointsPopulated";
/// Whether the activators are in the path; its transition time says since when.
pub const ACTIVATOR_ENDPOINTS: &str = "ActivatorEndpointsPopulated";

pub const SET: ConditionSet = ConditionSet::new(&[ENDPOINTS]);

/// Derives both conditions from who stands behind the public Service.
pub fn observe(status: &mut ServerlessServiceStatus, backends: &Backends, now: Timestamp) {
    let mut conditions = SET.manage(status, now);
    if backends.pods.is_empty() {
        conditions.mark_unknown(ENDPOINTS, "NoHealthyBackends", "K8s Service is not ready");
    } else {
        conditions.mark_true(ENDPOINTS);
    }
    if backends.proxied {
        conditions.mark_true(ACTIVATOR_ENDPOINTS);
    } else {
        conditions.mark_false(
            ACTIVATOR_ENDPOINTS,
            "ActivatorEndpointsRemoved",
            "The activators are not in the path.",
        );
    }
}
