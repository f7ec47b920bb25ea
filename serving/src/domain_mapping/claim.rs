//! The claim that a namespace has on a host.

use crds::networking::{ClusterDomainClaim, ClusterDomainClaimSpec};
use crds::serving::DomainMapping;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Api;
use kube::api::PostParams;
use reconciler::Error;

use crate::shared::{name_of, namespace_of};

/// How a mapping stands to the claim on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    Held,
    /// Nobody has the host, and it may be taken.
    Create,
    /// Nobody has the host, and only an administrator may give it away.
    Missing,
    OfAnother,
}

pub(super) fn decide(
    mapping: &DomainMapping,
    existing: Option<&ClusterDomainClaim>,
    autocreate: bool,
) -> Claim {
    match existing {
        Some(claim) if is_of(claim, mapping) => Claim::Held,
        Some(_) => Claim::OfAnother,
        None if autocreate => Claim::Create,
        None => Claim::Missing,
    }
}

/// Whether the claim is that of the mapping's namespace.
pub(super) fn is_of(claim: &ClusterDomainClaim, mapping: &DomainMapping) -> bool {
    claim.spec.namespace == namespace_of(&mapping.metadata)
}

/// Takes the host for the mapping's namespace. A claim has no owner: it is of the cluster, and owners there cannot be in a
/// namespace.
pub(super) async fn create(
    client: &kube::Client,
    mapping: &DomainMapping,
) -> Result<ClusterDomainClaim, Error> {
    let name = name_of(&mapping.metadata);
    let claim = ClusterDomainClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        spec: ClusterDomainClaimSpec {
            namespace: namespace_of(&mapping.metadata).to_owned(),
        },
    };
    let created = Api::all(client.clone())
        .create(&PostParams::default(), &claim)
        .await;
    created.map_err(|error| Error::api(format!("create ClusterDomainClaim {name}"), error))
}
