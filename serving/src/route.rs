//! Route: sends requests to revisions through a KIngress and the placeholder Services of its hosts.

mod hosts;
mod ingress;
mod placeholder;
mod rollout;
mod status;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::conditions::ConditionedStatus;
use crds::config::{Domain, Features, Network};
use crds::networking::Ingress;
use crds::serving::{Configuration, Revision, Route, RouteStatus};
use crds::{annotations, labels, names};
use k8s_openapi::api::core::v1::Service as KubeService;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Reconcile, report};

use crate::shared::{Shared, annotation, first_annotation, label, name_of, namespace_of, uid_of};
use hosts::{Host, hosts, local_hosts};
use ingress::{Inputs, Target};
use rollout::Rollout;
use status::CONDITIONS;
use traffic::{Lookup, Share, Shares, Traffic, merged, protocols};

const NAME: &str = "route";
/// Routes by the Configurations and revisions that they name.
const BY_TARGET: &str = "target";

pub(crate) struct Routes {
    shared: Shared,
    applier: Applier,
    slices: Cache<EndpointSlice>,
}

pub(crate) fn controller(shared: &Shared, slices: Cache<EndpointSlice>) -> Controller<Routes> {
    shared.routes.add_index(BY_TARGET, targets);
    let reconciler = Routes {
        shared: shared.clone(),
        applier: shared.applier("spindrift-route"),
        slices,
    };
    let (by_configuration, by_revision) = (shared.routes.clone(), shared.routes.clone());
    Controller::new(NAME, reconciler)
        .watches(&shared.routes)
        .owns::<Route, _>(&shared.ingresses)
        .owns::<Route, _>(&shared.placeholders)
        .wakes(&shared.configurations, move |configuration: &Configuration| {
            let index = target(
                "configuration",
                namespace_of(&configuration.metadata),
                name_of(&configuration.metadata),
            );
            keys(&by_configuration, &index)
        })
        .wakes(&shared.revisions, move |revision: &Revision| {
            keys(
                &by_revision,
                &target(
                    "revision",
                    namespace_of(&revision.metadata),
                    name_of(&revision.metadata),
                ),
            )
        })
}

fn keys(routes: &Cache<Route>, index: &str) -> Vec<Key> {
    routes
        .indexed(BY_TARGET, index)
        .iter()
        .map(|route| Key::of(route.as_ref()))
        .collect()
}

fn target(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

/// What a Route depends on: the targets of its spec, and the revisions that it sends requests to now.
fn targets(route: &Route) -> Vec<String> {
    let namespace = namespace_of(&route.metadata);
    let flowing = route.status.iter().flat_map(|status| &status.traffic);
    let mut found: Vec<String> = route
        .spec
        .traffic
        .iter()
        .chain(flowing)
        .flat_map(|entry| {
            let configuration = entry
                .configuration_name
                .as_deref()
                .map(|c| target("configuration", namespace, c));
            let revision = entry
                .revision_name
                .as_deref()
                .map(|r| target("revision", namespace, r));
            configuration.into_iter().chain(revision)
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Looks up targets in a namespace through the caches.
struct InNamespace<'a> {
    shared: &'a Shared,
    namespace: &'a str,
}

impl Lookup for InNamespace<'_> {
    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.shared.configurations.named(self.namespace, name)
    }

    fn revision(&self, name: &str) -> Option<Arc<Revision>> {
        self.shared.revisions.named(self.namespace, name)
    }
}

impl Reconcile for Routes {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(route) = self.shared.routes.get(key) else {
            return Ok(Next::OnChange);
        };
        if route.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let now = self.shared.now();
        let mut updated = (*route).clone();
        let mut status = route.status.clone().unwrap_or_default();
        let before = status.conditions.clone();
        CONDITIONS.begin(&mut status, route.metadata.generation, now);
        let applied = self.apply(&route, &mut status).await;
        CONDITIONS.finish(&mut status, &before, route.metadata.generation, now);
        updated.status = Some(status);
        report(
            &self.shared.events,
            &self.applier,
            &self.shared.routes,
            &route,
            updated,
            applied,
        )
        .await
    }
}

impl Routes {
    async fn apply(&self, route: &Arc<Route>, status: &mut RouteStatus) -> Result<Next, Error> {
        let shared = &self.shared;
        let now = shared.now();
        let (network, domains) = (shared.config.get::<Network>(), shared.config.get::<Domain>());
        let lookup = InNamespace {
            shared,
            namespace: namespace_of(&route.metadata),
        };

        let tags: Vec<&str> = route
            .spec
            .traffic
            .iter()
            .filter_map(|t| t.tag.as_deref())
            .filter(|t| !t.is_empty())
            .collect();
        let tags: Vec<&str> = tags.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let local = self.local_names(route);
        let hosts = match hosts(route, &tags, &network, &domains, &shared.cluster_domain, &local) {
            Ok(hosts) => hosts,
            Err(message) => {
                status::mark_error_config(status, &message, now);
                return Ok(Next::OnChange);
            }
        };
        let scheme = network.default_external_scheme.as_str();
        if let Some(own) = hosts.first() {
            status::mark_url(status, own, scheme);
            status::mark_tls_not_enabled(status, own.cluster_local, now);
        }

        let traffic = match traffic::resolve(route, &lookup) {
            Ok(traffic) => traffic,
            Err(why) => {
                // The previous traffic goes on: nothing below is touched.
                status::mark_unassigned(status, &why, now);
                return Ok(Next::OnChange);
            }
        };
        status::mark_assigned(status, now);
        let local_host = local_hosts(name_of(&route.metadata), lookup.namespace, &shared.cluster_domain);
        if let Some(host) = local_host.last() {
            status::mark_address(status, host);
        }

        let live = shared
            .ingresses
            .named(lookup.namespace, &names::ingress(name_of(&route.metadata)));
        if !self
            .apply_placeholders(route, &hosts, live.as_deref(), status)
            .await?
        {
            return Ok(Next::OnChange);
        }
        let rollout = self.next_rollout(route, &traffic, live.as_deref(), &network, &lookup);
        let shares = rollout.shares(&traffic);
        let ingress = self
            .apply_ingress(route, &traffic, &hosts, &rollout, &shares, &network, &lookup)
            .await;
        let ingress = match ingress {
            Ok(ingress) => ingress,
            Err(Error::NotOwned { kind, name }) => {
                status::mark_not_owned(status, &kind, &name, now);
                return Ok(Next::OnChange);
            }
            Err(error) => return Err(error),
        };
        status.traffic = status::flowing(&traffic, &shares, &hosts, scheme);
        status::take_ingress(status, &ingress, rollout.is_done(), now);
        Ok(self.wait_for_step(&rollout))
    }

    /// Names of tags whose placeholder a user has made cluster-local, and of the Route itself likewise.
    fn local_names(&self, route: &Route) -> BTreeSet<String> {
        self.own_placeholders(route)
            .iter()
            .filter(|service| {
                label(&service.metadata, labels::VISIBILITY) == Some(labels::VISIBILITY_CLUSTER_LOCAL)
            })
            .map(|service| name_of(&service.metadata).to_owned())
            .collect()
    }

    fn own_placeholders(&self, route: &Route) -> Vec<Arc<KubeService>> {
        self.shared.placeholders.controlled_by(uid_of(&route.metadata))
    }

    /// Returns whether the Route may go on: a name that belongs to somebody else stops it.
    async fn apply_placeholders(
        &self,
        route: &Arc<Route>,
        hosts: &[Host],
        ingress: Option<&Ingress>,
        status: &mut RouteStatus,
    ) -> Result<bool, Error> {
        let address = placeholder::address(ingress).map_err(Error::Terminal)?;
        for host in hosts {
            let wanted = placeholder::service(route, host, &address);
            match self
                .applier
                .apply(route.as_ref(), &self.shared.placeholders, wanted)
                .await
            {
                Ok(_) => {}
                Err(Error::NotOwned { kind, name }) => {
                    status::mark_not_owned(status, &kind, &name, self.shared.now());
                    return Ok(false);
                }
                Err(error) => return Err(self.make_room(route, host, error).await),
            }
            if let Some(slice) = placeholder::endpoints(route, host, &address) {
                self.applier.apply(route.as_ref(), &self.slices, slice).await?;
            }
        }
        for service in self.own_placeholders(route) {
            if !hosts.iter().any(|host| host.name == name_of(&service.metadata)) {
                self.applier.delete(service.as_ref()).await?;
            }
        }
        Ok(true)
    }

    /// Some changes of a Service's type are refused: then it is deleted, and the next round makes it anew.
    async fn make_room(&self, route: &Route, host: &Host, error: Error) -> Error {
        let refused =
            matches!(&error, Error::Api { source: kube::Error::Api(status), .. } if status.code == 422);
        let live = self
            .shared
            .placeholders
            .named(namespace_of(&route.metadata), &host.name);
        if let Some(live) = live.filter(|_| refused)
            && let Err(error) = self.applier.delete(live.as_ref()).await
        {
            return error;
        }
        error
    }

    /// The state of gradual rollouts after what is due now.
    fn next_rollout(
        &self,
        route: &Route,
        traffic: &Traffic,
        live: Option<&Ingress>,
        network: &Network,
        lookup: &impl Lookup,
    ) -> Rollout {
        let goal = rollout::goal(traffic);
        let duration = rollout_duration(route, network);
        if duration.is_zero() {
            return goal;
        }
        let stored = Rollout::parse(live.and_then(|live| annotation(&live.metadata, annotations::ROLLOUT)));
        // A revision that is gone cannot be given requests any more.
        let stored = if stored.revisions().all(|name| lookup.revision(name).is_some()) {
            stored
        } else {
            Rollout::default()
        };
        let now = i64::try_from(self.shared.now().as_nanosecond()).unwrap_or(i64::MAX);
        let mut next = goal.step(&stored, now);
        let is_served = live.is_some_and(|live| {
            live.status
                .as_ref()
                .is_some_and(|status| status.is_ready(live.metadata.generation))
        });
        if is_served && next == stored {
            next.observe_ready(now, duration);
        }
        next
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the last step needs the result of all before"
    )]
    async fn apply_ingress(
        &self,
        route: &Arc<Route>,
        traffic: &Traffic,
        hosts: &[Host],
        rollout: &Rollout,
        shares: &Shares,
        network: &Network,
        lookup: &impl Lookup,
    ) -> Result<Arc<Ingress>, Error> {
        let targets: Vec<Target> = hosts
            .iter()
            .map(|host| Target {
                host: host.clone(),
                shares: shares_of(host, traffic, rollout, shares),
            })
            .collect();
        let revisions = targets
            .iter()
            .flat_map(|target| &target.shares)
            .map(|share| share.revision.as_str());
        let wanted = ingress::ingress(&Inputs {
            route,
            targets: &targets,
            rollout,
            protocols: &protocols(revisions, lookup),
            network,
            cluster_domain: &self.shared.cluster_domain,
            tag_headers: self
                .shared
                .config
                .get::<Features>()
                .tag_header_based_routing
                .is_enabled(),
        });
        let applied = self
            .applier
            .apply(route.as_ref(), &self.shared.ingresses, wanted)
            .await?;
        if applied.is_created() {
            let message = format!("Created Ingress {:?}", name_of(&applied.object().metadata));
            self.shared.events.normal(route.as_ref(), "Created", message);
        }
        Ok(applied.into_object())
    }

    fn wait_for_step(&self, rollout: &Rollout) -> Next {
        let Some(next) = rollout.next_step() else {
            return Next::OnChange;
        };
        let now = i64::try_from(self.shared.now().as_nanosecond()).unwrap_or(i64::MAX);
        let left = u64::try_from(next.saturating_sub(now)).unwrap_or(0);
        Next::After(Duration::from_nanos(left).max(Duration::from_millis(10)))
    }
}

fn shares_of(host: &Host, traffic: &Traffic, rollout: &Rollout, shares: &Shares) -> Vec<Share> {
    let Some(tag) = &host.tag else {
        return merged(shares);
    };
    rollout.tag_shares(tag).unwrap_or_else(|| {
        let entry = traffic
            .entries
            .iter()
            .find(|entry| entry.tag.as_ref() == Some(tag));
        entry
            .map(|entry| Share {
                revision: entry.revision.clone(),
                percent: 100,
            })
            .into_iter()
            .collect()
    })
}

fn rollout_duration(route: &Route, network: &Network) -> Duration {
    first_annotation(&route.metadata, annotations::ROLLOUT_DURATION_KEYS)
        .and_then(|text| formats::duration::parse(text).ok())
        .and_then(|duration| Duration::try_from(duration).ok())
        .unwrap_or(network.rollout_duration)
}
