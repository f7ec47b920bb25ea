use std::time::Duration;

use super::*;

fn data(pairs: &[(&str, &str)]) -> Data {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn empty_maps_mean_the_documented_defaults() {
    let defaults = Defaults::parse(&Data::new()).unwrap();
    assert_eq!(defaults, Defaults::default());
    assert_eq!(defaults.timeout().to_string(), "1h0m0s");
    let features = Features::parse(&data(&[("_example", "x"), ("unknown", "y")])).unwrap();
    assert_eq!(features, Features::default());
}

#[test]
fn values_are_read() {
    let defaults = Defaults::parse(&data(&[
        ("default-timeout-minutes", "5"),
        ("default-service-account", "builder"),
        ("default-pod-template", "nodeSelector:\n  a: b\n"),
        (
            "default-affinity-assistant-pod-template",
            "serviceAccountName: placeholder\n",
        ),
        ("default-task-run-workspace-binding", "emptyDir: {}\n"),
        ("default-forbidden-env", "A, B"),
        ("default-managed-by-label-value", ""),
        ("default-imagepullbackoff-timeout", "5m"),
        (
            "default-container-resource-requirements",
            "default:\n  requests:\n    cpu: \"1\"\n",
        ),
    ]))
    .unwrap();
    assert_eq!(defaults.timeout().to_string(), "5m0s");
    assert_eq!(defaults.service_account, "builder");
    assert_eq!(defaults.managed_by_label_value, "tekton-pipelines");
    assert_eq!(defaults.pod_template.unwrap().node_selector["a"], "b");
    let assistant = defaults.affinity_assistant_pod_template.unwrap();
    assert_eq!(assistant.service_account_name, "placeholder");
    assert!(defaults.task_run_workspace_binding.unwrap().empty_dir.is_some());
    assert_eq!(defaults.forbidden_env, ["A", "B"]);
    assert_eq!(defaults.image_pull_backoff_timeout, Duration::from_secs(300));
    assert!(defaults.container_resource_requirements.contains_key("default"));
    let features = Features::parse(&data(&[
        ("enable-api-fields", "alpha"),
        ("coschedule", "disabled"),
        ("enable-param-enum", "true"),
        ("disable-inline-spec", "pipeline,taskrun"),
    ]))
    .unwrap();
    assert!(features.is_alpha() && features.enable_param_enum);
    assert_eq!(features.coschedule, Coschedule::Disabled);
    assert!(features.is_inline_disabled("taskrun") && !features.is_inline_disabled("pipelinerun"));
}

#[test]
fn bad_values_name_their_key_and_change_nothing() {
    let mut configs = Configs::default();
    for (map, key, value) in [
        ("config-defaults", "default-timeout-minutes", "soon"),
        ("config-defaults", "default-timeout-minutes", "-1"),
        ("config-defaults", "default-maximum-resolution-timeout", "-1s"),
        ("config-defaults", "default-maximum-resolution-timeout", "1"),
        ("config-defaults", "default-step-ref-concurrency-limit", "0"),
        ("config-defaults", "default-pod-template", "["),
        ("config-defaults", "default-affinity-assistant-pod-template", "["),
        ("feature-flags", "enable-api-fields", "gamma"),
        ("feature-flags", "coschedule", "never"),
        ("feature-flags", "max-result-size", "1572864"),
        ("feature-flags", "keep-pod-on-cancel", "maybe"),
        ("config-events", "formats", ""),
        ("config-events", "formats", "tektonv1,tektonv1"),
        ("config-events", "formats", "cdevents"),
        ("config-events", "sink", "events.sink"),
        ("config-events", "sink", "http:///path"),
        (
            "config-defaults",
            "default-cloud-events-sink",
            "nats://events.sink",
        ),
    ] {
        let error = configs.update(map, &data(&[(key, value)])).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
        assert_eq!(configs, Configs::default());
    }
}

#[test]
fn the_sink_of_events_comes_before_the_one_of_old() {
    for (sink, older, wanted) in [
        ("", "", None),
        ("https://a", "", Some("https://a")),
        ("", " http://b/x ", Some("http://b/x")),
        ("http://a", "http://b", Some("http://a")),
    ] {
        let events = Events::parse(&data(&[("formats", "tektonv1"), ("sink", sink)])).unwrap();
        let defaults = Defaults::parse(&data(&[("default-cloud-events-sink", older)])).unwrap();
        assert_eq!(events.sink(&defaults), wanted, "{sink:?} {older:?}");
    }
    assert!(
        Features::default().send_cloudevents_for_runs,
        "as upstream has it"
    );
}
