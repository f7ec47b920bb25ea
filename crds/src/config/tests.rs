use std::time::Duration;

use super::*;

fn data(entries: &[(&str, &str)]) -> Data {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse<T: Snapshot>(entries: &[(&str, &str)]) -> Result<T, String> {
    T::parse(&data(entries)).map_err(|error| error.to_string())
}

#[test]
fn an_empty_config_map_means_the_defaults() {
    fn check<T: Snapshot + std::fmt::Debug>() {
        assert_eq!(parse::<T>(&[]), Ok(T::default()));
        assert_eq!(
            parse::<T>(&[("_example", "nonsense"), ("unknown-key", "x")]).is_ok(),
            T::NAME != Domain::NAME
        );
    }
    check::<Autoscaler>();
    check::<Defaults>();
    check::<Domain>();
    check::<Features>();
    check::<Gc>();
    check::<Network>();
    check::<Observability>();
    assert_eq!(
        parse::<Deployment>(&[]),
        Err("queue-sidecar-image is required, but it was not set".to_owned())
    );
    let with_image = parse::<Deployment>(&[("queueSidecarImage", "q")]).unwrap();
    assert_eq!(
        with_image,
        Deployment {
            queue_sidecar_image: "q".to_owned(),
            ..Deployment::default()
        }
    );
}

#[test]
fn the_manifests_of_an_install_parse_and_so_do_their_examples() {
    let manifests = defaults_manifests(&Install::default());
    assert_eq!(manifests.len(), 8);
    let mut configs = Configs::default();
    for manifest in manifests {
        let name = manifest.metadata.name.clone().unwrap();
        let data = manifest.data.unwrap();
        configs.update(&name, &data).unwrap();
        let example = &data[EXAMPLE_KEY];
        let checksum = &manifest.metadata.annotations.unwrap()["knative.dev/example-checksum"];
        assert_eq!(*checksum, example_checksum(example));
        let example: BTreeMap<String, Option<String>> = serde_saphyr::from_str(example).unwrap();
        let mut example: Data = example
            .into_iter()
            .map(|(key, value)| (key, value.unwrap_or_default()))
            .collect();
        for key in ["metrics-export-interval", "request-metrics-export-interval"] {
            example.remove(key);
        }
        example.insert("queue-sidecar-image".to_owned(), "q".to_owned());
        if name == Domain::NAME {
            example.remove("queue-sidecar-image");
        }
        Configs::default()
            .update(&name, &example)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert_eq!(
        configs.network.ingress_class,
        "spindrift.ingress.networking.knative.dev"
    );
}

#[test]
fn examples_show_every_feature_with_its_default() {
    let example = defaults_manifests(&Install::default())
        .into_iter()
        .find(|map| map.metadata.name.as_deref() == Some(Features::NAME))
        .and_then(|map| map.data)
        .unwrap()[EXAMPLE_KEY]
        .clone();
    let example: Data = serde_saphyr::from_str(&example).unwrap();
    assert_eq!(Features::KEYS.len() + 1, example.len());
    let features = Features::parse(&example).unwrap();
    for (key, field, default) in Features::KEYS {
        assert!(example.contains_key(*key), "{key}");
        assert_eq!(field(&features), *default, "{key}");
    }
}

#[test]
fn checksums_ignore_blanks_around_the_text() {
    assert_eq!(example_checksum("123456789"), "cbf43926");
    assert_eq!(example_checksum("\n 123456789 \n"), "cbf43926");
}

#[test]
fn autoscaler_reads_percentages_and_fractions() {
    for (text, fraction) in [
        ("70", 0.7),
        ("0.7", 0.7),
        ("1", 1.0),
        ("100", 1.0),
        ("1.5", 0.015),
    ] {
        let config: Autoscaler = parse(&[("container-concurrency-target-percentage", text)]).unwrap();
        assert!(
            (config.container_concurrency_target_fraction - fraction).abs() < 1e-9,
            "{text}"
        );
    }
}

#[test]
fn autoscaler_refuses_what_is_out_of_range() {
    for (entries, error) in [
        (
            &[("container-concurrency-target-percentage", "101")][..],
            "container-concurrency-target-percentage = 101, must be in (0, 100] range",
        ),
        (
            &[("target-burst-capacity", "-2")],
            "target-burst-capacity = -2, must be either -1 or at least 0",
        ),
        (
            &[("stable-window", "5s")],
            "stable-window = 5s, must be in [6s, 1h0m0s] range",
        ),
        (
            &[("stable-window", "6.5s")],
            "stable-window = 6.5s, must be specified with at most second precision",
        ),
        (
            &[("stable-window", "abc")],
            "failed to parse \"stable-window\": time: invalid duration \"abc\"",
        ),
        (
            &[("panic-threshold-percentage", "109")],
            "panic-threshold-percentage = 109, must be in [110.0, 1000.0] range",
        ),
        (
            &[("max-scale-up-rate", "1")],
            "max-scale-up-rate = 1, must be greater than 1.0",
        ),
        (
            &[("scale-to-zero-grace-period", "0s")],
            "scale-to-zero-grace-period = 0s, must be positive",
        ),
        (
            &[("initial-scale", "0")],
            "initial-scale = 0, must be at least 1, or 0 with allow-zero-initial-scale",
        ),
        (
            &[("max-scale-limit", "5")],
            "max-scale = 0, must be in [1, max-scale-limit(5)] range",
        ),
        (
            &[("max-scale-limit", "5"), ("max-scale", "6")],
            "max-scale = 6, must be in [1, max-scale-limit(5)] range",
        ),
        (
            &[("scale-down-delay", "2h")],
            "scale-down-delay = 2h0m0s, must be in [0s, 1h0m0s] range",
        ),
        (
            &[("scale-down-delay", "-2s")],
            "scale-down-delay = -2s, must not be negative",
        ),
        (
            &[("activator-capacity", "NaN")],
            "activator-capacity = NaN, must be at least 1",
        ),
        (
            &[("min-scale", "x")],
            "failed to parse \"min-scale\": invalid digit found in string",
        ),
        (
            &[("enable-scale-to-zero", "maybe")],
            "failed to parse \"enable-scale-to-zero\": \"maybe\" is neither \"true\" nor \"false\"",
        ),
    ] {
        assert_eq!(parse::<Autoscaler>(entries), Err(error.to_owned()));
    }
    assert!(parse::<Autoscaler>(&[("initial-scale", "0"), ("allow-zero-initial-scale", "true")]).is_ok());
}

#[test]
fn defaults_are_bounded_by_their_maxima() {
    for (entries, error) in [
        (
            &[("revision-timeout-seconds", "601")][..],
            "revision-timeout-seconds = 601, must be in [1, max-revision-timeout-seconds(600)] range",
        ),
        (
            &[("revision-idle-timeout-seconds", "601")],
            "revision-idle-timeout-seconds = 601, must be in [0, max-revision-timeout-seconds(600)] range",
        ),
        (
            &[("container-concurrency", "1001")],
            "container-concurrency = 1001, must be in [0, container-concurrency-max-limit(1000)] range",
        ),
        (
            &[("allow-container-concurrency-zero", "false")],
            "container-concurrency = 0, must be in [1, container-concurrency-max-limit(1000)] range",
        ),
    ] {
        assert_eq!(parse::<Defaults>(entries), Err(error.to_owned()));
    }
    let error = parse::<Defaults>(&[("revision-cpu-request", "lots")]).unwrap_err();
    assert!(
        error.starts_with("failed to parse \"revision-cpu-request\": \"lots\" is not a quantity"),
        "{error}"
    );
    assert!(parse::<Defaults>(&[("container-name-template", "{{.Nonsense}}")]).is_err());
    assert!(parse::<Defaults>(&[("container-name-template", "{{")]).is_err());
}

#[test]
fn the_response_start_timeout_follows_the_timeout() {
    let config: Defaults = parse(&[("revision-timeout-seconds", "10")]).unwrap();
    assert_eq!(config.revision_response_start_timeout_seconds, 10);
}

#[test]
fn container_names_are_templates_over_metadata() {
    let config: Defaults = parse(&[
        ("container-name-template", "{{.Name}}-c"),
        ("enable-service-links", "default"),
    ])
    .unwrap();
    let parent = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        name: Some("svc".to_owned()),
        ..Default::default()
    };
    assert_eq!(config.container_name(&parent), "svc-c");
    assert_eq!(config.init_container_name(&parent), "init-container");
    assert_eq!(config.enable_service_links, None);
}

#[test]
fn the_most_specific_domain_wins_then_the_smallest() {
    let labels = |pairs: &[(&str, &str)]| data(pairs);
    let config: Domain = parse(&[
        ("b.com", ""),
        ("a.com", "{}"),
        ("shop.com", "selector:\n  app: shop"),
        (
            "eu.shop.com",
            "selector:\n  app: shop\n  region: eu\ntype: wildcard",
        ),
        ("_example", "anything"),
    ])
    .unwrap();
    assert_eq!(config.lookup(&labels(&[]), "cluster.local"), "a.com");
    assert_eq!(
        config.lookup(&labels(&[("app", "shop")]), "cluster.local"),
        "shop.com"
    );
    assert_eq!(
        config.lookup(&labels(&[("app", "shop"), ("region", "eu")]), "cluster.local"),
        "eu.shop.com"
    );
    assert_eq!(
        Domain::default().lookup(&labels(&[]), "cluster.local"),
        "svc.cluster.local"
    );
    assert!(parse::<Domain>(&[("Not A Domain", "")]).is_err());
    assert!(parse::<Domain>(&[("a.com", "selector: 3")]).is_err());
}

#[test]
fn feature_flags_take_any_case_and_ignore_nonsense() {
    let features: Features = parse(&[
        ("multi-container", "disabled"),
        ("kubernetes.podspec-affinity", "ALLOWED"),
        ("kubernetes.podspec-tolerations", "yes please"),
        ("secure-pod-defaults", "AllowRootBounded"),
    ])
    .unwrap();
    assert_eq!(features.multi_container, Flag::Disabled);
    assert!(features.pod_spec_affinity.is_allowed() && !features.pod_spec_affinity.is_enabled());
    assert_eq!(features.pod_spec_tolerations, Flag::Disabled);
    assert_eq!(features.secure_pod_defaults, SecurePodDefaults::AllowRootBounded);
}

#[test]
fn collection_limits_can_be_disabled() {
    let config: Gc = parse(&[
        ("retain-since-create-time", "disabled"),
        ("max-non-active-revisions", "Disabled"),
    ])
    .unwrap();
    assert_eq!(
        (config.retain_since_create_time, config.max_non_active_revisions),
        (None, None)
    );
    assert!(parse::<Gc>(&[("min-non-active-revisions", "-1")]).is_err());
    assert_eq!(
        parse::<Gc>(&[
            ("min-non-active-revisions", "5"),
            ("max-non-active-revisions", "4")
        ]),
        Err("min-non-active-revisions = 5, must not be greater than max-non-active-revisions(4)".to_owned())
    );
}

#[test]
fn network_reads_older_spellings_and_prefers_the_present_one() {
    let config: Network = parse(&[
        ("ingress.class", "old"),
        ("ingress-class", "new"),
        ("domainTemplate", "{{.Name}}.{{.Domain}}"),
        ("autoTLS", "Enabled"),
        ("httpProtocol", "Redirected"),
        ("rolloutDuration", "42"),
        ("internal-encryption", "true"),
    ])
    .unwrap();
    assert_eq!(config.ingress_class, "new");
    assert!(config.external_domain_tls && config.system_internal_tls);
    assert_eq!(config.http_protocol, HttpProtocol::Redirected);
    assert_eq!(config.rollout_duration, Duration::from_secs(42));
    let values = TemplateValues {
        name: "n",
        namespace: "ns",
        domain: "d.com",
        annotations: None,
        labels: None,
    };
    assert_eq!(config.render_domain(&values).unwrap(), "n.d.com");
    assert_eq!(config.render_tag("n", "blue").unwrap(), "blue-n");
}

#[test]
fn domain_templates_may_look_at_annotations_and_labels() {
    let template = "{{.Name}}.{{ index .Annotations \"sub\" }}.{{.Domain}}";
    let config: Network = parse(&[("domain-template", template)]).unwrap();
    let annotations = data(&[("sub", "team")]);
    let values = TemplateValues {
        name: "n",
        namespace: "ns",
        domain: "d.com",
        annotations: Some(&annotations),
        labels: None,
    };
    assert_eq!(config.render_domain(&values).unwrap(), "n.team.d.com");
}

#[test]
fn network_refuses_what_it_does_not_know() {
    for entry in [
        ("domain-template", "{{.Nmae"),
        ("domain-template", "{{.Name}}/{{.Domain}}"),
        ("tag-template", ""),
        ("http-protocol", "perhaps"),
        ("external-domain-tls", "perhaps"),
        ("rollout-duration", "-1"),
        ("mesh-compatibility-mode", "perhaps"),
        ("namespace-wildcard-cert-selector", "matchLabels: 3"),
    ] {
        let error = parse::<Network>(&[entry]).unwrap_err();
        assert!(error.contains(entry.0), "{error}");
    }
}

#[test]
fn endpoints_are_needed_for_otlp_and_refused_for_none() {
    assert_eq!(
        parse::<Observability>(&[("metrics-protocol", "grpc")]),
        Err("metrics-endpoint is required, but it was not set".to_owned())
    );
    assert_eq!(
        parse::<Observability>(&[("tracing-endpoint", "http://x")]),
        Err("tracing-endpoint = http://x, must not be set when the protocol is none".to_owned())
    );
    let config: Observability = parse(&[
        ("request-metrics-protocol", "http/protobuf"),
        ("request-metrics-endpoint", "http://x"),
        ("request-metrics-export-interval", "5s"),
        ("tracing-protocol", "stdout"),
        ("tracing-sampling-rate", "0.5"),
    ])
    .unwrap();
    assert_eq!(
        config.request_metrics.export_interval,
        Some(Duration::from_secs(5))
    );
    assert!(parse::<Observability>(&[("tracing-sampling-rate", "2")]).is_err());
    assert!(parse::<Observability>(&[("logging.request-log-template", "{{")]).is_err());
}

#[test]
fn runtime_classes_are_chosen_like_domains() {
    let config: Deployment = parse(&[
        ("queue-sidecar-image", "q"),
        (
            "runtime-class-name",
            "gvisor: {}\nkata:\n  selector:\n    use-kata: please\n",
        ),
    ])
    .unwrap();
    assert_eq!(config.runtime_class_name(&data(&[])), Some("gvisor"));
    assert_eq!(
        config.runtime_class_name(&data(&[("use-kata", "please")])),
        Some("kata")
    );
}
