//! The status of a Route.

use crds::Addressable;
use crds::conditions::{Condition, ConditionStatus, ConditionedStatus, READY};
use crds::networking::Ingress;
use crds::serving::{RouteStatus, TrafficTarget};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use super::hosts::Host;
use super::traffic::{Shares, Traffic, Unassigned};

const ALL_TRAFFIC_ASSIGNED: &str = "AllTrafficAssigned";
const INGRESS_READY: &str = "IngressReady";
const CERTIFICATE_PROVISIONED: &str = "CertificateProvisioned";
pub(super) const CONDITIONS: ConditionSet =
    ConditionSet::new(&[ALL_TRAFFIC_ASSIGNED, INGRESS_READY, CERTIFICATE_PROVISIONED]);

/// A template made an impossible host; nothing else can be done before it is corrected.
pub(super) fn mark_error_config(status: &mut RouteStatus, message: &str, now: Timestamp) {
    let mut conditions = CONDITIONS.manage(status, now);
    conditions.mark_unknown(ALL_TRAFFIC_ASSIGNED, "ErrorConfig", message);
    conditions.mark_unknown(CERTIFICATE_PROVISIONED, "ErrorConfig", message);
}

pub(super) fn mark_url(status: &mut RouteStatus, host: &Host, scheme: &str) {
    let scheme = if host.cluster_local { "http" } else { scheme };
    status.url = Some(format!("{scheme}://{}", host.domain));
}

pub(super) fn mark_address(status: &mut RouteStatus, local_host: &str) {
    status.address = Some(Addressable {
        url: Some(format!("http://{local_host}")),
        ..Addressable::default()
    });
}

pub(super) fn mark_unassigned(status: &mut RouteStatus, why: &Unassigned, now: Timestamp) {
    let mut conditions = CONDITIONS.manage(status, now);
    match why.status {
        ConditionStatus::False => conditions.mark_false(ALL_TRAFFIC_ASSIGNED, why.reason, &why.message),
        _ => conditions.mark_unknown(ALL_TRAFFIC_ASSIGNED, why.reason, &why.message),
    }
}

pub(super) fn mark_assigned(status: &mut RouteStatus, now: Timestamp) {
    CONDITIONS.manage(status, now).mark_true(ALL_TRAFFIC_ASSIGNED);
}

pub(super) fn mark_tls_not_enabled(status: &mut RouteStatus, cluster_local: bool, now: Timestamp) {
    let message = if cluster_local {
        "cluster-local-domain-tls is not enabled"
    } else {
        "external-domain-tls is not enabled"
    };
    CONDITIONS
        .manage(status, now)
        .mark_true_with(CERTIFICATE_PROVISIONED, "TLSNotEnabled", message);
}

pub(super) fn mark_not_owned(status: &mut RouteStatus, kind: &str, name: &str, now: Timestamp) {
    let message = format!("There is an existing {kind} {name:?} that we do not own.");
    CONDITIONS
        .manage(status, now)
        .mark_false(INGRESS_READY, "NotOwned", &message);
}

/// What the ingress reports about itself, once it has looked at what was asked of it.
pub(super) fn take_ingress(status: &mut RouteStatus, ingress: &Ingress, rollout_done: bool, now: Timestamp) {
    let generation = ingress.metadata.generation.unwrap_or_default();
    let found = ingress
        .status
        .as_ref()
        .filter(|found| found.observed_generation() == generation);
    let ready: Option<&Condition> = found.and_then(|found| found.condition(READY));
    let mut conditions = CONDITIONS.manage(status, now);
    match ready {
        Some(ready) if rollout_done || !ready.is_true() => conditions.copy(INGRESS_READY, ready),
        Some(_) => conditions.mark_unknown(
            INGRESS_READY,
            "RolloutInProgress",
            "A gradual rollout of the latest revision(s) is in progress.",
        ),
        None => conditions.mark_unknown(
            INGRESS_READY,
            "IngressNotConfigured",
            "Ingress has not yet been reconciled.",
        ),
    }
}

/// The traffic as it flows: an entry for each of the spec, split while its newest revision is rolled out.
pub(super) fn flowing(
    traffic: &Traffic,
    shares: &Shares,
    hosts: &[Host],
    scheme: &str,
) -> Vec<TrafficTarget> {
    let entries = traffic.entries.iter().zip(shares).flat_map(|(entry, shares)| {
        let host = hosts
            .iter()
            .find(|host| host.tag.is_some() && host.tag == entry.tag);
        let url = host.map(|host| {
            format!(
                "{}://{}",
                if host.cluster_local { "http" } else { scheme },
                host.domain
            )
        });
        let alone = shares.len() == 1;
        shares.iter().map(move |share| TrafficTarget {
            tag: entry.tag.clone(),
            revision_name: Some(share.revision.clone()),
            configuration_name: None,
            latest_revision: Some(entry.latest),
            percent: if alone { entry.percent } else { Some(share.percent) },
            url: url.clone(),
        })
    });
    entries.collect()
}
