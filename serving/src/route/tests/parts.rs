use std::collections::{BTreeMap, HashMap};

use crds::conditions::{Condition, ConditionStatus, READY};
use crds::config::{Data, Snapshot};
use crds::networking::{IngressStatus, LoadBalancerIngressStatus, LoadBalancerStatus, ProtocolType};
use crds::serving::TrafficTarget;

use crate::route::placeholder::{Address, address};
use crate::route::traffic::resolve;
use crate::route::*;
use crate::test_support::{
    at, configuration, latest, map, ready, revision, route, to_revision, with_ready_configuration,
};
use ConditionStatus::{False, True, Unknown};

#[derive(Default)]
struct World {
    configurations: HashMap<String, Arc<Configuration>>,
    revisions: HashMap<String, Arc<Revision>>,
}

impl Lookup for World {
    fn configuration(&self, name: &str) -> Option<Arc<Configuration>> {
        self.configurations.get(name).cloned()
    }
    fn revision(&self, name: &str) -> Option<Arc<Revision>> {
        self.revisions.get(name).cloned()
    }
}

impl World {
    fn with_configuration(mut self, configuration: Configuration) -> Self {
        self.configurations.insert(
            configuration.metadata.name.clone().unwrap(),
            Arc::new(configuration),
        );
        self
    }

    fn with_revision(mut self, service: &str, name: &str, condition: Option<Condition>) -> Self {
        self.revisions.insert(
            name.to_owned(),
            revision(&configuration(service, 1), name, 1, condition),
        );
        self
    }
}

fn to_configuration(name: &str, percent: i64) -> TrafficTarget {
    TrafficTarget {
        configuration_name: Some(name.to_owned()),
        ..latest(percent)
    }
}

fn tagged(tag: &str, target: TrafficTarget) -> TrafficTarget {
    TrafficTarget {
        tag: Some(tag.to_owned()),
        ..target
    }
}

#[test]
fn missing_and_unready_targets_are_told_apart() {
    let failed = Some(ready(False, "ExitCode1", "m"));
    let mut broken = configuration("broken", 1);
    broken.status = Some(crds::serving::ConfigurationStatus {
        observed_generation: Some(1),
        conditions: vec![ready(False, "RevisionFailed", "m")],
        ..crds::serving::ConfigurationStatus::default()
    });
    let world = World::default()
        .with_configuration(configuration("waiting", 1))
        .with_configuration(broken)
        .with_configuration(with_ready_configuration(configuration("svc", 1), "svc-00001"))
        .with_configuration(with_ready_configuration(configuration("lost", 1), "lost-00001"))
        .with_revision("svc", "svc-00001", Some(ready(True, "", "")))
        .with_revision("svc", "svc-00002", None)
        .with_revision("svc", "svc-00003", failed);
    let table: &[(TrafficTarget, ConditionStatus, &str, &str)] = &[
        (
            to_configuration("none", 100),
            False,
            "ConfigurationMissing",
            "Configuration \"none\" referenced in traffic not found.",
        ),
        (
            to_configuration("waiting", 100),
            Unknown,
            "RevisionMissing",
            "Configuration \"waiting\" is waiting for a Revision to become ready.",
        ),
        (
            to_configuration("broken", 100),
            False,
            "RevisionMissing",
            "Configuration \"broken\" does not have any ready Revision.",
        ),
        (
            to_configuration("lost", 100),
            False,
            "RevisionMissing",
            "Revision \"lost-00001\" referenced in traffic not found.",
        ),
        (
            to_revision("x", 100),
            False,
            "RevisionMissing",
            "Revision \"x\" referenced in traffic not found.",
        ),
        (
            to_revision("svc-00002", 100),
            Unknown,
            "RevisionMissing",
            "Revision \"svc-00002\" is not yet ready.",
        ),
        (
            to_revision("svc-00003", 100),
            False,
            "RevisionMissing",
            "Revision \"svc-00003\" failed to become ready.",
        ),
    ];
    for (target, status, reason, message) in table {
        let why = resolve(&route("svc", vec![target.clone()]), &world).unwrap_err();
        assert_eq!(
            (why.status, why.reason, why.message.as_str()),
            (*status, *reason, *message)
        );
    }
    let both = route(
        "svc",
        vec![to_revision("svc-00002", 50), to_revision("svc-00003", 50)],
    );
    assert_eq!(
        resolve(&both, &world).unwrap_err().status,
        False,
        "what will not heal comes first"
    );
    let fine = route("svc", vec![to_configuration("svc", 100)]);
    assert_eq!(resolve(&fine, &world).unwrap().entries[0].revision, "svc-00001");
}

#[test]
fn route_of_a_service_names_only_its_own_revisions() {
    let world = World::default().with_revision("other", "other-00001", Some(ready(True, "", "")));
    let mut route = route("svc", vec![to_revision("other-00001", 100)]);
    assert!(resolve(&route, &world).is_ok(), "a Route by itself may");
    route.metadata.labels = Some(map([(labels::SERVICE, "svc")]));
    let why = resolve(&route, &world).unwrap_err();
    assert_eq!(
        (why.reason, why.message.as_str()),
        (
            "RevisionNotOwned",
            "Revision \"other-00001\" belongs to Service \"other\", not Service \"svc\"."
        )
    );
}

fn domains() -> Domain {
    Domain::parse(&Data::from([("example.com".to_owned(), String::new())])).unwrap()
}

#[test]
fn hosts_follow_templates_labels_and_visibility() {
    let network = Network::default();
    let of = |labels, local: &[&str], domains: &Domain| {
        let mut route = route("svc", vec![]);
        route.metadata.labels = labels;
        let local = local.iter().map(|name| (*name).to_owned()).collect();
        let hosts = hosts(&route, &["blue"], &network, domains, "cluster.local", &local).unwrap();
        hosts
            .into_iter()
            .map(|host| (host.name, host.domain, host.cluster_local))
            .collect::<Vec<_>>()
    };
    let host = |name: &str, domain: &str, local| (name.to_owned(), domain.to_owned(), local);
    let local_hosts = vec![
        host("svc", "svc.default.svc.cluster.local", true),
        host("blue-svc", "blue-svc.default.svc.cluster.local", true),
    ];
    assert_eq!(
        of(None, &[], &domains()),
        [
            host("svc", "svc.default.example.com", false),
            host("blue-svc", "blue-svc.default.example.com", false)
        ]
    );
    assert_eq!(of(None, &[], &Domain::default()), local_hosts);
    assert_eq!(
        of(
            Some(map([(labels::VISIBILITY, "cluster-local")])),
            &[],
            &domains()
        ),
        local_hosts
    );
    assert_eq!(
        of(None, &["blue-svc"], &domains()),
        [
            host("svc", "svc.default.example.com", false),
            local_hosts[1].clone()
        ]
    );
}

#[test]
fn impossible_host_is_refused() {
    let network = Network {
        domain_template: "{{.Name}}_{{.Namespace}}".to_owned(),
        ..Network::default()
    };
    let error = hosts(
        &route("svc", vec![]),
        &[],
        &network,
        &domains(),
        "cluster.local",
        &BTreeSet::new(),
    );
    assert!(
        error
            .unwrap_err()
            .starts_with("invalid domain name \"svc_default\"")
    );
}

fn example_ingress(tag_headers: bool) -> Ingress {
    let world = World::default()
        .with_configuration(with_ready_configuration(configuration("svc", 2), "svc-00002"))
        .with_revision("svc", "svc-00001", Some(ready(True, "", "")))
        .with_revision("svc", "svc-00002", Some(ready(True, "", "")));
    let mut route = route(
        "svc",
        vec![
            to_configuration("svc", 70),
            to_revision("svc-00001", 30),
            tagged("blue", to_revision("svc-00001", 0)),
        ],
    );
    route.metadata.annotations = Some(map([(annotations::KUBECTL_LAST_APPLIED, "{}"), ("kept", "yes")]));
    let network = Network::default();
    let hosts = hosts(
        &route,
        &["blue"],
        &network,
        &domains(),
        "cluster.local",
        &BTreeSet::new(),
    )
    .unwrap();
    let traffic = resolve(&route, &world).unwrap();
    let rollout = rollout::goal(&traffic);
    let shares = rollout.shares(&traffic);
    let targets: Vec<Target> = hosts
        .iter()
        .map(|host| Target {
            host: host.clone(),
            shares: shares_of(host, &traffic, &rollout, &shares),
        })
        .collect();
    ingress::ingress(&Inputs {
        route: &route,
        targets: &targets,
        rollout: &rollout,
        protocols: &BTreeMap::from([("svc-00002".to_owned(), ProtocolType::H2c)]),
        network: &network,
        cluster_domain: "cluster.local",
        tag_headers,
    })
}

#[test]
fn ingress_is_as_recorded() {
    insta::assert_json_snapshot!("ingress", example_ingress(false));
}

#[test]
fn tag_headers_add_paths_in_front_of_the_default() {
    let ingress = example_ingress(true);
    let paths = |rule: usize| ingress.spec.rules[rule].http.clone().unwrap().paths;
    let default = paths(0);
    assert_eq!(default[0].headers["Knative-Serving-Tag"].exact, "blue");
    assert_eq!(default[0].splits[0].service_name, "svc-00001");
    assert_eq!(
        default[1].append_headers,
        map([("Knative-Serving-Default-Route", "true")])
    );
    assert_eq!(paths(2)[0].append_headers, map([("Knative-Serving-Tag", "blue")]));
}

fn balancer(ingress: &[LoadBalancerIngressStatus]) -> Ingress {
    Ingress {
        status: Some(IngressStatus {
            private_load_balancer: Some(LoadBalancerStatus {
                ingress: ingress.to_vec(),
            }),
            ..IngressStatus::default()
        }),
        ..Ingress::default()
    }
}

#[test]
fn placeholder_follows_the_private_address() {
    let some = |text: &str| Some(text.to_owned());
    let internal = LoadBalancerIngressStatus {
        domain_internal: some("gateway-internal.knative-serving.svc.cluster.local"),
        domain: some("other"),
        ..LoadBalancerIngressStatus::default()
    };
    let ip = LoadBalancerIngressStatus {
        ip: some("10.0.0.1"),
        ..LoadBalancerIngressStatus::default()
    };
    let mesh = LoadBalancerIngressStatus {
        mesh_only: Some(true),
        ..LoadBalancerIngressStatus::default()
    };
    let route = route("svc", vec![]);
    let host = Host {
        tag: None,
        name: "svc".into(),
        domain: "svc.default.example.com".into(),
        cluster_local: false,
    };
    let table = [
        (
            Ingress::default(),
            "ExternalName",
            Some("svc.default.example.com"),
            None,
        ),
        (
            balancer(&[internal]),
            "ExternalName",
            Some("gateway-internal.knative-serving.svc.cluster.local"),
            None,
        ),
        (
            balancer(std::slice::from_ref(&ip)),
            "ClusterIP",
            None,
            Some("None"),
        ),
        (balancer(&[mesh]), "ClusterIP", None, None),
    ];
    for (ingress, type_, external, cluster_ip) in table {
        let address = address(Some(&ingress)).unwrap();
        let spec = placeholder::service(&route, &host, &address).spec.unwrap();
        assert_eq!(
            (
                spec.type_.as_deref(),
                spec.external_name.as_deref(),
                spec.cluster_ip.as_deref()
            ),
            (Some(type_), external, cluster_ip)
        );
        assert_eq!(
            placeholder::endpoints(&route, &host, &address).is_some(),
            matches!(address, Address::Ip(_))
        );
    }
    assert!(address(Some(&balancer(&[ip.clone(), ip]))).is_err());
}

#[test]
fn ingress_and_rollout_decide_about_ready() {
    let with = |observed: i64, condition: Option<Condition>| {
        let mut ingress = Ingress::default();
        ingress.metadata.generation = Some(2);
        ingress.status = Some(IngressStatus {
            observed_generation: Some(observed),
            conditions: condition.into_iter().collect(),
            ..IngressStatus::default()
        });
        ingress
    };
    let table = [
        (
            "behind",
            with(1, Some(ready(True, "", ""))),
            true,
            Unknown,
            "IngressNotConfigured",
        ),
        ("silent", with(2, None), true, Unknown, "IngressNotConfigured"),
        ("ready", with(2, Some(ready(True, "", ""))), true, True, ""),
        (
            "rolling out",
            with(2, Some(ready(True, "", ""))),
            false,
            Unknown,
            "RolloutInProgress",
        ),
        (
            "conflict",
            with(2, Some(ready(False, "DomainConflict", "m"))),
            false,
            False,
            "DomainConflict",
        ),
    ];
    for (case, ingress, done, expected, reason) in table {
        let mut status = RouteStatus::default();
        CONDITIONS.begin(&mut status, Some(1), at(0));
        status::mark_assigned(&mut status, at(0));
        status::mark_tls_not_enabled(&mut status, false, at(0));
        status::take_ingress(&mut status, &ingress, done, at(1));
        let found = status.condition(READY).unwrap();
        assert_eq!(
            (found.status, found.reason.as_deref().unwrap_or_default()),
            (expected, reason),
            "{case}"
        );
    }
}

#[test]
fn flowing_traffic_has_an_entry_per_target_with_its_url() {
    let traffic = Traffic {
        entries: vec![
            traffic::Entry {
                tag: None,
                configuration: Some("svc".into()),
                revision: "two".into(),
                percent: Some(100),
                latest: true,
            },
            traffic::Entry {
                tag: Some("blue".into()),
                configuration: None,
                revision: "one".into(),
                percent: None,
                latest: false,
            },
        ],
    };
    let host = |tag: Option<&str>, domain: &str| Host {
        tag: tag.map(str::to_owned),
        name: String::new(),
        domain: domain.to_owned(),
        cluster_local: false,
    };
    let hosts = [
        host(None, "svc.example.com"),
        host(Some("blue"), "blue-svc.example.com"),
    ];
    let flowing = status::flowing(&traffic, &traffic.shares(), &hosts, "https");
    assert_eq!(
        flowing,
        [
            to_revision("two", 100),
            TrafficTarget {
                percent: None,
                url: Some("https://blue-svc.example.com".into()),
                ..tagged("blue", to_revision("one", 0))
            }
        ]
        .map(|target| TrafficTarget {
            latest_revision: Some(target.tag.is_none()),
            ..target
        })
    );
}
