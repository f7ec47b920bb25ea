//! The KIngress of a Route.

use std::collections::BTreeMap;

use crds::config::Network;
use crds::networking::{
    HeaderMatch, HttpIngressPath, HttpIngressRuleValue, Ingress, IngressBackendSplit, IngressRule,
    IngressSpec, IngressVisibility, ProtocolType,
};
use crds::serving::Route;
use crds::{annotations, headers, labels, ports};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::hosts::{Host, local_hosts};
use super::rollout::Rollout;
use super::traffic::Share;
use crate::shared::{http_option, ingress_metadata, name_of, namespace_of};

/// A host and what its requests are split into.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub host: Host,
    pub shares: Vec<Share>,
}

/// Everything the KIngress is made of.
pub(super) struct Inputs<'a> {
    pub route: &'a Route,
    /// The untagged target first.
    pub targets: &'a [Target],
    pub rollout: &'a Rollout,
    pub protocols: &'a BTreeMap<String, ProtocolType>,
    pub network: &'a Network,
    pub cluster_domain: &'a str,
    /// Requests may choose a tag by a header.
    pub tag_headers: bool,
}

pub(super) fn ingress(inputs: &Inputs<'_>) -> Ingress {
    let meta = &inputs.route.metadata;
    let rules = inputs
        .targets
        .iter()
        .filter(|target| !target.shares.is_empty())
        .flat_map(|target| {
            let http = Some(HttpIngressRuleValue {
                paths: paths(inputs, target),
            });
            let local = IngressRule {
                hosts: local_hosts(&target.host.name, namespace_of(meta), inputs.cluster_domain),
                visibility: Some(IngressVisibility::ClusterLocal),
                http: http.clone(),
            };
            let external = (!target.host.cluster_local).then(|| IngressRule {
                hosts: vec![target.host.domain.clone()],
                visibility: Some(IngressVisibility::ExternalIP),
                http,
            });
            std::iter::once(local).chain(external)
        });
    Ingress {
        metadata: metadata(inputs),
        spec: IngressSpec {
            tls: Vec::new(),
            rules: rules.collect(),
            http_option: Some(http_option(&inputs.route.metadata, inputs.network)),
        },
        status: None,
    }
}

fn metadata(inputs: &Inputs<'_>) -> ObjectMeta {
    let meta = &inputs.route.metadata;
    let mut head = ingress_metadata(meta, inputs.network);
    let labels = head.labels.get_or_insert_default();
    labels.insert(labels::ROUTE.to_owned(), name_of(meta).to_owned());
    labels.insert(labels::ROUTE_NAMESPACE.to_owned(), namespace_of(meta).to_owned());

    let hosts: BTreeMap<&str, Vec<&str>> = inputs
        .targets
        .iter()
        .filter_map(|target| Some((target.host.tag.as_deref()?, vec![target.host.domain.as_str()])))
        .collect();
    let annotations = head.annotations.get_or_insert_default();
    annotations.insert(annotations::ROLLOUT.to_owned(), inputs.rollout.to_json());
    if !hosts.is_empty() {
        let json = serde_json::to_string(&hosts).unwrap_or_default();
        annotations.insert(annotations::TAG_TO_HOST.to_owned(), json);
    }
    head
}

fn paths(inputs: &Inputs<'_>, target: &Target) -> Vec<HttpIngressPath> {
    let mut own = HttpIngressPath {
        splits: splits(inputs, &target.shares),
        ..HttpIngressPath::default()
    };
    if !inputs.tag_headers {
        return vec![own];
    }
    let header = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    if let Some(tag) = &target.host.tag {
        own.append_headers = header(headers::TAG, tag);
        return vec![own];
    }
    own.append_headers = header(headers::DEFAULT_ROUTE, "true");
    let tagged = inputs.targets.iter().filter_map(|target| {
        let tag = target.host.tag.as_deref()?;
        Some(HttpIngressPath {
            headers: BTreeMap::from([(
                headers::TAG.to_owned(),
                HeaderMatch {
                    exact: tag.to_owned(),
                },
            )]),
            splits: splits(inputs, &target.shares),
            ..HttpIngressPath::default()
        })
    });
    tagged.chain(std::iter::once(own.clone())).collect()
}

fn splits(inputs: &Inputs<'_>, shares: &[Share]) -> Vec<IngressBackendSplit> {
    let namespace = namespace_of(&inputs.route.metadata);
    let split = |share: &Share| {
        let port = match inputs.protocols.get(&share.revision) {
            _ if inputs.network.system_internal_tls => ports::SERVICE_HTTPS,
            Some(ProtocolType::H2c) => ports::SERVICE_HTTP2,
            _ => ports::SERVICE_HTTP,
        };
        IngressBackendSplit {
            service_namespace: namespace.to_owned(),
            service_name: share.revision.clone(),
            service_port: IntOrString::Int(i32::from(port)),
            percent: Some(share.percent),
            append_headers: BTreeMap::from([
                (headers::REVISION.to_owned(), share.revision.clone()),
                (headers::NAMESPACE.to_owned(), namespace.to_owned()),
            ]),
        }
    };
    shares.iter().map(split).collect()
}
