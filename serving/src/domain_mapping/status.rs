//! The status of a DomainMapping.

use crds::Addressable;
use crds::conditions::{ConditionedStatus, READY};
use crds::networking::Ingress;
use crds::serving::{DomainMapping, DomainMappingStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use crate::shared::name_of;

const DOMAIN_CLAIMED: &str = "DomainClaimed";
const REFERENCE_RESOLVED: &str = "ReferenceResolved";
const INGRESS_READY: &str = "IngressReady";
const CERTIFICATE_PROVISIONED: &str = "CertificateProvisioned";
pub(super) const CONDITIONS: ConditionSet = ConditionSet::new(&[
    DOMAIN_CLAIMED,
    REFERENCE_RESOLVED,
    INGRESS_READY,
    CERTIFICATE_PROVISIONED,
]);

pub(super) fn mark_url(status: &mut DomainMappingStatus, mapping: &DomainMapping, scheme: &str) {
    let scheme = if mapping.spec.tls.is_some() {
        "https"
    } else {
        scheme
    };
    let url = format!("{scheme}://{}", name_of(&mapping.metadata));
    status.url = Some(url.clone());
    status.address = Some(Addressable {
        url: Some(url),
        ..Addressable::default()
    });
}

pub(super) fn mark_claimed(status: &mut DomainMappingStatus, now: Timestamp) {
    CONDITIONS.manage(status, now).mark_true(DOMAIN_CLAIMED);
}

pub(super) fn mark_claimed_by_another(status: &mut DomainMappingStatus, now: Timestamp) {
    CONDITIONS.manage(status, now).mark_false(
        DOMAIN_CLAIMED,
        "DomainAlreadyClaimed",
        "The domain name is already in use by another DomainMapping",
    );
}

pub(super) fn mark_claim_missing(status: &mut DomainMappingStatus, mapping: &DomainMapping, now: Timestamp) {
    let message = format!(
        "There is no ClusterDomainClaim {:?}: an administrator has to create it for this namespace, or set \
         autocreate-cluster-domain-claims in ConfigMap config-network to \"true\"",
        name_of(&mapping.metadata)
    );
    mark_claim_failed(status, &message, now);
}

pub(super) fn mark_claim_failed(status: &mut DomainMappingStatus, message: &str, now: Timestamp) {
    CONDITIONS
        .manage(status, now)
        .mark_false(DOMAIN_CLAIMED, "DomainClaimFailed", message);
}

pub(super) fn mark_resolved(status: &mut DomainMappingStatus, now: Timestamp) {
    CONDITIONS.manage(status, now).mark_true(REFERENCE_RESOLVED);
}

pub(super) fn mark_unresolved(status: &mut DomainMappingStatus, why: &str, now: Timestamp) {
    CONDITIONS
        .manage(status, now)
        .mark_false(REFERENCE_RESOLVED, "ResolveFailed", why);
}

pub(super) fn mark_certificate(status: &mut DomainMappingStatus, mapping: &DomainMapping, now: Timestamp) {
    let (reason, message) = match mapping.spec.tls {
        Some(_) => (
            "CertificateExternallyProvided",
            "TLS certificate was provided externally",
        ),
        None => ("TLSNotEnabled", "external-domain-tls is not enabled"),
    };
    CONDITIONS
        .manage(status, now)
        .mark_true_with(CERTIFICATE_PROVISIONED, reason, message);
}

pub(super) fn mark_not_owned(status: &mut DomainMappingStatus, kind: &str, name: &str, now: Timestamp) {
    let message = format!("There is an existing {kind} {name:?} that we do not own.");
    CONDITIONS
        .manage(status, now)
        .mark_false(INGRESS_READY, "NotOwned", &message);
}

/// What the ingress reports about itself, once it has looked at what was asked of it.
pub(super) fn take_ingress(status: &mut DomainMappingStatus, ingress: &Ingress, now: Timestamp) {
    let generation = ingress.metadata.generation.unwrap_or_default();
    let ready = ingress
        .status
        .as_ref()
        .filter(|found| found.observed_generation() == generation)
        .and_then(|found| found.condition(READY));
    let mut conditions = CONDITIONS.manage(status, now);
    match ready {
        Some(ready) => conditions.copy(INGRESS_READY, ready),
        None => conditions.mark_unknown(
            INGRESS_READY,
            "IngressNotConfigured",
            "Ingress has not yet been reconciled.",
        ),
    }
}
