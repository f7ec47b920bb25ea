//! DomainMapping: gives a Service, or what else has an address in the cluster, a host of the user's own.
//!
//! The object's name is the host. A claim keeps other namespaces from mapping it, and a KIngress sends its requests
//! to what is referred to, under the name that this has in the cluster.

mod claim;
mod ingress;
mod reference;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crds::config::Network;
use crds::names::{self, DOMAIN_MAPPING_FINALIZER};
use crds::networking::{ClusterDomainClaim, Ingress};
use crds::serving::{DomainMapping, DomainMappingStatus, Route, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Reconcile, finalizer, report};

use crate::shared::{Shared, name_of, namespace_of};
use claim::Claim;
use reference::{Referent, Target};
use status::CONDITIONS;

const NAME: &str = "domainmapping";
/// Mappings by what they refer to, if that is watched.
const BY_REFERENT: &str = "referent";
/// Mappings by their host: there can be one in each namespace.
const BY_HOST: &str = "host";
/// When to look again at what is referred to and not watched: once it has an address, and until then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN_UNRESOLVED: Duration = Duration::from_secs(5);

pub(crate) struct DomainMappings {
    shared: Shared,
    applier: Applier,
    mappings: Cache<DomainMapping>,
    claims: Cache<ClusterDomainClaim>,
}

pub(crate) fn controller(
    shared: &Shared,
    mappings: &Cache<DomainMapping>,
    claims: Cache<ClusterDomainClaim>,
) -> Controller<DomainMappings> {
    mappings.add_index(BY_REFERENT, |mapping| {
        reference::watched(mapping).into_iter().collect()
    });
    mappings.add_index(BY_HOST, |mapping| vec![name_of(&mapping.metadata).to_owned()]);
    let referring = |kind: &'static str| {
        let mappings = mappings.clone();
        move |meta: &ObjectMeta| {
            let referent = reference::entry(kind, namespace_of(meta), name_of(meta));
            keys(&mappings, BY_REFERENT, &referent)
        }
    };
    let (by_service, by_route) = (referring("Service"), referring("Route"));
    let by_host = mappings.clone();
    let reconciler = DomainMappings {
        shared: shared.clone(),
        applier: shared.applier("spindrift-domainmapping"),
        mappings: mappings.clone(),
        claims: claims.clone(),
    };
    Controller::new(NAME, reconciler)
        .watches(mappings)
        .owns::<DomainMapping, _>(&shared.ingresses)
        .wakes(&claims, move |claim: &ClusterDomainClaim| {
            keys(&by_host, BY_HOST, name_of(&claim.metadata))
        })
        .wakes(&shared.services, move |service: &Service| {
            by_service(&service.metadata)
        })
        .wakes(&shared.routes, move |route: &Route| by_route(&route.metadata))
}

fn keys(mappings: &Cache<DomainMapping>, index: &str, value: &str) -> Vec<Key> {
    let found = mappings.indexed(index, value);
    found.iter().map(|mapping| Key::of(mapping.as_ref())).collect()
}

impl Reconcile for DomainMappings {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(mapping) = self.mappings.get(key) else {
            return Ok(Next::OnChange);
        };
        if mapping.metadata.deletion_timestamp.is_some() {
            return self.finalize(&mapping).await;
        }
        let mapping =
            finalizer::set(&self.applier, &self.mappings, mapping, DOMAIN_MAPPING_FINALIZER).await?;
        let now = self.shared.now();
        let mut updated = (*mapping).clone();
        let mut status = mapping.status.clone().unwrap_or_default();
        let before = status.conditions.clone();
        CONDITIONS.begin(&mut status, mapping.metadata.generation, now);
        let applied = self.apply(&mapping, &mut status).await;
        CONDITIONS.finish(&mut status, &before, mapping.metadata.generation, now);
        updated.status = Some(status);
        report(
            &self.shared.events,
            &self.applier,
            &self.mappings,
            &mapping,
            updated,
            applied,
        )
        .await
    }
}

impl DomainMappings {
    /// What is not reached stays as it was before: a mapping that worked goes on.
    async fn apply(
        &self,
        mapping: &Arc<DomainMapping>,
        status: &mut DomainMappingStatus,
    ) -> Result<Next, Error> {
        let now = self.shared.now();
        let network = self.shared.config.get::<Network>();
        status::mark_url(status, mapping, &network.default_external_scheme);
        if !self.claim(mapping, &network, status).await? {
            return Ok(Next::OnChange);
        }
        status::mark_claimed(status, now);
        let (target, next) = match self.resolve(mapping).await? {
            (Ok(target), next) => (target, next),
            (Err(why), next) => {
                status::mark_unresolved(status, &why, now);
                return Ok(next);
            }
        };
        status::mark_resolved(status, now);
        status::mark_certificate(status, mapping, now);
        let wanted = ingress::ingress(mapping, &target, &network);
        match self.apply_ingress(mapping, wanted).await {
            Ok(ingress) => status::take_ingress(status, &ingress, now),
            Err(Error::NotOwned { kind, name }) => status::mark_not_owned(status, &kind, &name, now),
            Err(error) => return Err(error),
        }
        Ok(next)
    }

    /// Whether the namespace of the mapping has the host; if not, the status says why.
    async fn claim(
        &self,
        mapping: &DomainMapping,
        network: &Network,
        status: &mut DomainMappingStatus,
    ) -> Result<bool, Error> {
        let now = self.shared.now();
        let existing = self.claims.named("", name_of(&mapping.metadata));
        match claim::decide(
            mapping,
            existing.as_deref(),
            network.autocreate_cluster_domain_claims,
        ) {
            Claim::Held => return Ok(true),
            Claim::OfAnother => status::mark_claimed_by_another(status, now),
            Claim::Missing => status::mark_claim_missing(status, mapping, now),
            Claim::Create => match claim::create(self.applier.client(), mapping).await {
                Ok(created) => {
                    self.claims.record(created);
                    return Ok(true);
                }
                Err(error) => {
                    let message = format!(
                        "failed to create ClusterDomainClaim: {}",
                        reconciler::error::chain(&error)
                    );
                    status::mark_claim_failed(status, &message, now);
                    return Err(error);
                }
            },
        }
        Ok(false)
    }

    /// Where the reference leads, or why nowhere; and when to look again.
    async fn resolve(&self, mapping: &DomainMapping) -> Result<(Result<Target, String>, Next), Error> {
        let namespace = namespace_of(&mapping.metadata);
        let reference = &mapping.spec.reference;
        let cluster_domain = &self.shared.cluster_domain;
        let services = &self.shared.services;
        let (url, is_watched) = match reference::referent(reference) {
            Referent::Service => {
                let service = services.named(namespace, &reference.name);
                let address = service.map(|service| service.status.clone().and_then(|status| status.address));
                (reference::url(reference, address), true)
            }
            Referent::Route => {
                let route = self.shared.routes.named(namespace, &reference.name);
                let address = route.map(|route| route.status.clone().and_then(|status| status.address));
                (reference::url(reference, address), true)
            }
            Referent::Other => {
                let client = self.applier.client();
                let url = reference::read(client, reference, namespace, cluster_domain).await?;
                (url, false)
            }
        };
        let target = url.and_then(|url| reference::target(&url, namespace, cluster_domain));
        let next = match (is_watched, target.is_ok()) {
            (true, _) => Next::OnChange,
            (false, true) => Next::After(LOOK_AGAIN),
            (false, false) => Next::After(LOOK_AGAIN_UNRESOLVED),
        };
        Ok((target, next))
    }

    async fn apply_ingress(
        &self,
        mapping: &Arc<DomainMapping>,
        wanted: Ingress,
    ) -> Result<Arc<Ingress>, Error> {
        let applied = self
            .applier
            .apply(mapping.as_ref(), &self.shared.ingresses, wanted)
            .await?;
        if applied.is_created() {
            let message = format!("Created Ingress {:?}", names::ingress(name_of(&mapping.metadata)));
            self.shared.events.normal(mapping.as_ref(), "Created", message);
        }
        Ok(applied.into_object())
    }

    /// Gives the host free, if claims come and go with their mappings.
    async fn finalize(&self, mapping: &DomainMapping) -> Result<Next, Error> {
        if !finalizer::is_set(mapping, DOMAIN_MAPPING_FINALIZER) {
            return Ok(Next::OnChange);
        }
        let network = self.shared.config.get::<Network>();
        let existing = self.claims.named("", name_of(&mapping.metadata));
        if let Some(claim) = existing.filter(|claim| claim::is_of(claim, mapping))
            && network.autocreate_cluster_domain_claims
        {
            self.applier.delete(claim.as_ref()).await?;
        }
        finalizer::clear(&self.applier, &self.mappings, mapping, DOMAIN_MAPPING_FINALIZER).await?;
        Ok(Next::OnChange)
    }
}
