use crds::conditions::{ConditionStatus, READY};
use crds::networking::{ClusterDomainClaimSpec, HttpOption, IngressVisibility};
use crds::serving::{DomainMappingSpec, SecretTls};
use crds::{Addressable, KReference, annotations, headers, labels};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::*;
use crate::test_support::{at, map, meta};

fn mapping(api_version: &str, kind: &str, name: &str) -> DomainMapping {
    DomainMapping {
        metadata: meta("www.example.com"),
        spec: DomainMappingSpec {
            reference: KReference {
                api_version: Some(api_version.to_owned()),
                kind: kind.to_owned(),
                name: name.to_owned(),
                ..KReference::default()
            },
            tls: None,
        },
        status: None,
    }
}

fn to_service() -> DomainMapping {
    mapping("serving.knative.dev/v1", "Service", "web")
}

fn target() -> Target {
    Target {
        host: "web.default.svc.cluster.local".to_owned(),
        service: "web".to_owned(),
    }
}

#[test]
fn a_host_is_of_one_namespace() {
    let of = |namespace: &str| ClusterDomainClaim {
        metadata: meta("www.example.com"),
        spec: ClusterDomainClaimSpec {
            namespace: namespace.to_owned(),
        },
    };
    for (existing, autocreate, expected) in [
        (None, false, Claim::Missing),
        (None, true, Claim::Create),
        (Some(of("default")), false, Claim::Held),
        (Some(of("default")), true, Claim::Held),
        (Some(of("other")), true, Claim::OfAnother),
        (Some(of("")), true, Claim::OfAnother),
    ] {
        let claim = claim::decide(&to_service(), existing.as_ref(), autocreate);
        assert_eq!(claim, expected, "{existing:?}, {autocreate}");
    }
}

#[test]
fn only_names_of_services_in_the_same_namespace_are_targets() {
    for url in [
        "http://web.default.svc.cluster.local",
        "http://web.default.svc.cluster.local/",
    ] {
        assert_eq!(reference::target(url, "default", "cluster.local"), Ok(target()));
    }
    for (url, why) in [
        ("http://web.default.svc.cluster.local/path", "contains a path"),
        ("http://web.other.svc.cluster.local", "must be in same namespace"),
        ("http://web.default.example.com", "must be of the form"),
        ("http://a.web.default.svc.cluster.local", "must be of the form"),
        ("http://default.svc.cluster.local", "must be of the form"),
        ("http://.default.svc.cluster.local", "cannot be read|must be"),
        ("not a url", "cannot be read"),
    ] {
        let error = reference::target(url, "default", "cluster.local").unwrap_err();
        assert!(why.split('|').any(|why| error.contains(why)), "{url}: {error}");
    }
}

#[test]
fn what_is_watched_is_found_by_its_mappings() {
    for (api_version, kind, expected) in [
        ("serving.knative.dev/v1", "Service", Some("Service/default/web")),
        ("serving.knative.dev/v1", "Route", Some("Route/default/web")),
        ("v1", "Service", None),
        ("messaging.knative.dev/v1", "Channel", None),
    ] {
        let entry = reference::watched(&mapping(api_version, kind, "web"));
        assert_eq!(entry.as_deref(), expected, "{api_version} {kind}");
    }
    let mut by_group = to_service();
    by_group.spec.reference.api_version = None;
    by_group.spec.reference.group = Some("serving.knative.dev".to_owned());
    assert!(reference::watched(&by_group).is_some());
}

#[test]
fn what_has_no_address_is_told_from_what_is_not_there() {
    let reference = to_service().spec.reference;
    let at = |url: &str| Addressable {
        url: Some(url.to_owned()),
        ..Addressable::default()
    };
    assert_eq!(
        reference::url(&reference, Some(Some(at("http://a")))),
        Ok("http://a".to_owned())
    );
    for (found, why) in [
        (None, "there is no Service \"web\""),
        (Some(None), "has no address"),
        (Some(Some(at(""))), "has no address"),
    ] {
        assert!(reference::url(&reference, found).unwrap_err().contains(why));
    }
}

#[test]
fn the_ingress_sends_requests_on_under_the_name_in_the_cluster() {
    let network = Network {
        ingress_class: "ours".to_owned(),
        ..Network::default()
    };
    let mut mapping = to_service();
    mapping.metadata.annotations = Some(map([
        (annotations::KUBECTL_LAST_APPLIED, "{}"),
        ("networking.knative.dev/http-protocol", "redirected"),
    ]));
    mapping.spec.tls = Some(SecretTls {
        secret_name: "cert".to_owned(),
    });
    let ingress = ingress::ingress(&mapping, &target(), &network);
    let meta = &ingress.metadata;
    assert_eq!(meta.name.as_deref(), Some("www.example.com"));
    let (marks, tags) = (meta.annotations.as_ref().unwrap(), meta.labels.as_ref().unwrap());
    assert_eq!(marks[annotations::INGRESS_CLASS], "ours");
    assert!(!marks.contains_key(annotations::KUBECTL_LAST_APPLIED));
    assert_eq!(tags[labels::DOMAIN_MAPPING_UID], "uid-www.example.com");
    assert_eq!(tags[labels::DOMAIN_MAPPING_NAMESPACE], "default");
    assert_eq!(ingress.spec.http_option, Some(HttpOption::Redirected));
    let tls = &ingress.spec.tls[0];
    assert_eq!(
        (tls.hosts[0].as_str(), tls.secret_name.as_str()),
        ("www.example.com", "cert")
    );
    let [rule] = ingress.spec.rules.as_slice() else {
        panic!("one rule")
    };
    assert_eq!(rule.hosts, ["www.example.com"]);
    assert_eq!(rule.visibility, Some(IngressVisibility::ExternalIP));
    let path = &rule.http.as_ref().unwrap().paths[0];
    assert_eq!(
        path.rewrite_host.as_deref(),
        Some("web.default.svc.cluster.local")
    );
    let split = &path.splits[0];
    assert_eq!(
        (split.service_name.as_str(), &split.service_port, split.percent),
        ("web", &IntOrString::Int(80), Some(100))
    );
    assert_eq!(split.append_headers[headers::ORIGINAL_HOST], "www.example.com");
}

#[test]
fn conditions_say_what_is_missing() {
    let ready = |status: &DomainMappingStatus| {
        let ready = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == READY)
            .unwrap();
        (ready.status, ready.reason.clone().unwrap_or_default())
    };
    let mut status = DomainMappingStatus::default();
    CONDITIONS.begin(&mut status, Some(1), at(1));
    status::mark_claim_missing(&mut status, &to_service(), at(1));
    assert_eq!(
        ready(&status),
        (ConditionStatus::False, "DomainClaimFailed".to_owned())
    );
    status::mark_claimed_by_another(&mut status, at(2));
    assert_eq!(ready(&status).1, "DomainAlreadyClaimed");
    status::mark_claimed(&mut status, at(3));
    status::mark_unresolved(&mut status, "why", at(3));
    assert_eq!(
        ready(&status),
        (ConditionStatus::False, "ResolveFailed".to_owned())
    );
    status::mark_resolved(&mut status, at(4));
    status::mark_certificate(&mut status, &to_service(), at(4));
    let mut ingress = ingress::ingress(&to_service(), &target(), &Network::default());
    status::take_ingress(&mut status, &ingress, at(4));
    assert_eq!(
        ready(&status),
        (ConditionStatus::Unknown, "IngressNotConfigured".to_owned())
    );
    ingress.status = Some(crds::networking::IngressStatus {
        conditions: vec![crate::test_support::ready(ConditionStatus::True, "", "")],
        ..crds::networking::IngressStatus::default()
    });
    status::take_ingress(&mut status, &ingress, at(5));
    assert_eq!(ready(&status), (ConditionStatus::True, String::new()));
}

#[test]
fn the_url_is_the_name_of_the_mapping() {
    let mut status = DomainMappingStatus::default();
    let mut mapping = to_service();
    status::mark_url(&mut status, &mapping, "http");
    assert_eq!(status.url.as_deref(), Some("http://www.example.com"));
    mapping.spec.tls = Some(SecretTls::default());
    status::mark_url(&mut status, &mapping, "http");
    assert_eq!(status.url.as_deref(), Some("https://www.example.com"));
    assert_eq!(status.address.unwrap().url, status.url);
}
