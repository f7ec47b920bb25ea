//! The KIngress of a DomainMapping.

use std::collections::BTreeMap;

use crds::config::Network;
use crds::networking::{
    HttpIngressPath, HttpIngressRuleValue, Ingress, IngressBackendSplit, IngressRule, IngressSpec,
    IngressTls, IngressVisibility,
};
use crds::serving::DomainMapping;
use crds::{headers, labels, ports};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::reference::Target;
use crate::shared::{http_option, ingress_metadata, name_of, namespace_of, uid_of};

pub(super) fn ingress(mapping: &DomainMapping, target: &Target, network: &Network) -> Ingress {
    let meta = &mapping.metadata;
    let host = name_of(meta).to_owned();
    let split = IngressBackendSplit {
        service_namespace: namespace_of(meta).to_owned(),
        service_name: target.service.clone(),
        service_port: IntOrString::Int(i32::from(ports::SERVICE_HTTP)),
        percent: Some(100),
        // By it the application sees the host that its client asked for.
        append_headers: BTreeMap::from([(headers::ORIGINAL_HOST.to_owned(), host.clone())]),
    };
    let path = HttpIngressPath {
        rewrite_host: Some(target.host.clone()),
        splits: vec![split],
        ..HttpIngressPath::default()
    };
    let tls = mapping.spec.tls.iter().map(|tls| IngressTls {
        hosts: vec![host.clone()],
        secret_name: tls.secret_name.clone(),
        secret_namespace: namespace_of(meta).to_owned(),
    });
    Ingress {
        metadata: metadata(mapping, network),
        spec: IngressSpec {
            tls: tls.collect(),
            rules: vec![IngressRule {
                hosts: vec![host.clone()],
                visibility: Some(IngressVisibility::ExternalIP),
                http: Some(HttpIngressRuleValue { paths: vec![path] }),
            }],
            http_option: Some(http_option(meta, network)),
        },
        status: None,
    }
}

fn metadata(mapping: &DomainMapping, network: &Network) -> ObjectMeta {
    let meta = &mapping.metadata;
    let mut head = ingress_metadata(meta, network);
    let labels = head.labels.get_or_insert_default();
    labels.insert(labels::DOMAIN_MAPPING_UID.to_owned(), uid_of(meta).to_owned());
    labels.insert(
        labels::DOMAIN_MAPPING_NAMESPACE.to_owned(),
        namespace_of(meta).to_owned(),
    );
    head
}
