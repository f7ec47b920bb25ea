//! The host names of a Route and its tags.

use std::collections::BTreeSet;

use crds::config::{Domain, Network, TemplateValues};
use crds::labels;
use crds::serving::Route;

use crate::shared::{label, labels_of, name_of, namespace_of};

/// One host with everything that decides about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    /// `None` for the Route itself.
    pub tag: Option<String>,
    /// Name of the placeholder Service and first part of the local host names.
    pub name: String,
    /// The host that the status shows.
    pub domain: String,
    pub cluster_local: bool,
}

/// The host of the Route, then those of its tags.
///
/// # Errors
/// Says which template made an impossible host.
pub(super) fn hosts(
    route: &Route,
    tags: &[&str],
    network: &Network,
    domains: &Domain,
    cluster_domain: &str,
    local_names: &BTreeSet<String>,
) -> Result<Vec<Host>, String> {
    let meta = &route.metadata;
    let local_domain = format!("svc.{cluster_domain}");
    let domain = if label(meta, labels::VISIBILITY) == Some(labels::VISIBILITY_CLUSTER_LOCAL) {
        local_domain.clone()
    } else {
        domains.lookup(&labels_of(meta), cluster_domain)
    };
    let host = |tag: Option<&str>| {
        let name = match tag {
            None => name_of(meta).to_owned(),
            Some(tag) => network
                .render_tag(name_of(meta), tag)
                .map_err(|error| format!("the tag template of config-network failed: {error}"))?,
        };
        let cluster_local = domain == local_domain || local_names.contains(&name);
        let host = if cluster_local {
            format!("{name}.{}.{local_domain}", namespace_of(meta))
        } else {
            let values = TemplateValues {
                name: &name,
                namespace: namespace_of(meta),
                domain: &domain,
                annotations: meta.annotations.as_ref(),
                labels: meta.labels.as_ref(),
            };
            network
                .render_domain(&values)
                .map_err(|error| format!("the domain template of config-network failed: {error}"))?
        };
        let problems = crds::dns::fully_qualified_domain(&host);
        if let Some(problem) = problems.first() {
            return Err(format!("invalid domain name {host:?}: {problem}"));
        }
        Ok(Host {
            tag: tag.map(str::to_owned),
            name,
            domain: host,
            cluster_local,
        })
    };
    std::iter::once(None)
        .chain(tags.iter().copied().map(Some))
        .map(host)
        .collect()
}

/// The names by which a target is known inside of the cluster.
pub(super) fn local_hosts(name: &str, namespace: &str, cluster_domain: &str) -> Vec<String> {
    vec![
        format!("{name}.{namespace}"),
        format!("{name}.{namespace}.svc"),
        format!("{name}.{namespace}.svc.{cluster_domain}"),
    ]
}
