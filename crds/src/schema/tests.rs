use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

/// Set to rewrite `yaml/` from the types: `BLESS=1 cargo test -p crds`.
const BLESS: &str = "BLESS";

fn yaml_directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("yaml")
}

fn root_schema(name: &str) -> Value {
    let crd = all()
        .into_iter()
        .find(|crd| crd.metadata.name.as_deref() == Some(name))
        .unwrap();
    let schema = crd.spec.versions[0]
        .schema
        .as_ref()
        .unwrap()
        .open_api_v3_schema
        .clone();
    serde_json::to_value(schema).unwrap()
}

#[test]
fn the_committed_yaml_is_what_the_types_say() {
    let bless = std::env::var_os(BLESS).is_some();
    let mut expected = Vec::new();
    for crd in all()
        .into_iter()
        .chain(tekton())
        .chain(spindrift())
        .chain(triggers())
    {
        let file = format!("{}.yaml", crd.metadata.name.clone().unwrap());
        let path = yaml_directory().join(&file);
        let yaml = serde_saphyr::to_string(&crd).unwrap();
        if bless {
            std::fs::create_dir_all(yaml_directory()).unwrap();
            std::fs::write(&path, &yaml).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            committed, yaml,
            "yaml/{file} is stale: run `{BLESS}=1 cargo test -p crds`"
        );
        expected.push(file);
    }
    let mut present: Vec<String> = std::fs::read_dir(yaml_directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    present.sort();
    expected.sort();
    assert_eq!(present, expected);
}

#[test]
fn the_yaml_reads_back_as_the_same_crd() {
    for crd in all()
        .into_iter()
        .chain(tekton())
        .chain(spindrift())
        .chain(triggers())
    {
        let yaml = serde_saphyr::to_string(&crd).unwrap();
        let read: CustomResourceDefinition = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, crd);
    }
}

/// Kubernetes' rules for structural schemas, as far as ours could break them.
fn assert_structural(path: &str, schema: &Value) {
    let open = schema.get("x-kubernetes-int-or-string").is_some()
        || schema.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    assert!(open || schema.get("type").is_some(), "{path} has no type");
    assert!(
        !(schema.get("properties").is_some() && schema.get("additionalProperties").is_some()),
        "{path} has both properties and additionalProperties"
    );
    let properties = schema["properties"].as_object();
    for (name, field) in properties.into_iter().flatten() {
        assert_structural(&format!("{path}.{name}"), field);
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        assert!(
            properties.unwrap().contains_key(key.as_str().unwrap()),
            "{path} requires {key}, which it has not"
        );
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key) {
            assert_structural(&format!("{path}[{key}]"), inner);
        }
    }
    for key in schema["x-kubernetes-list-map-keys"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let key = key.as_str().unwrap();
        let items = &schema["items"];
        let required = items["required"]
            .as_array()
            .is_some_and(|required| required.contains(&json!(key)));
        let field = &items["properties"][key];
        assert!(
            field.get("type").is_some(),
            "{path} is keyed by {key}, which its items have not"
        );
        assert!(
            required || field.get("default").is_some(),
            "{path} is keyed by {key}, which may be absent"
        );
    }
}

#[test]
fn every_schema_is_structural() {
    for crd in all()
        .into_iter()
        .chain(tekton())
        .chain(spindrift())
        .chain(triggers())
    {
        for version in &crd.spec.versions {
            let schema = version
                .schema
                .as_ref()
                .unwrap()
                .open_api_v3_schema
                .as_ref()
                .unwrap();
            assert_structural(&crd.spec.names.kind, &serde_json::to_value(schema).unwrap());
        }
    }
}

#[test]
fn every_crd_stores_one_version_has_a_label_and_mostly_a_status() {
    let crds = all();
    assert_eq!(crds.len(), 28);
    for crd in crds {
        let kind = &crd.spec.names.kind;
        let labels = crd.metadata.labels.clone().unwrap();
        assert_eq!(
            labels.get("knative.dev/crd-install").map(String::as_str),
            Some("true"),
            "{kind}"
        );
        let versions = &crd.spec.versions;
        let more = match kind.as_str() {
            "EventType" => 2,
            "PingSource" => 1,
            _ => 0,
        };
        assert_eq!(versions.len(), 1 + more, "{kind}");
        assert!(versions.iter().all(|version| version.served), "{kind}");
        assert_eq!(
            versions.iter().filter(|version| version.storage).count(),
            1,
            "{kind}"
        );
        let version = &versions[0];
        let claim = kind == "ClusterDomainClaim";
        assert_eq!(
            crd.spec.scope,
            if claim { "Cluster" } else { "Namespaced" },
            "{kind}"
        );
        let has_status = version.subresources.as_ref().is_some_and(|s| s.status.is_some());
        assert_eq!(has_status, !claim, "{kind}");
    }
}

#[test]
fn duck_types_names_and_columns_are_the_documented_ones() {
    for (crd, version, short, addressable, podspecable, columns) in [
        (
            "services.serving.knative.dev",
            "v1",
            "kservice,ksvc",
            true,
            true,
            "URL,LatestCreated,LatestReady,Ready,Reason",
        ),
        (
            "configurations.serving.knative.dev",
            "v1",
            "config,cfg",
            false,
            true,
            "LatestCreated,LatestReady,Ready,Reason",
        ),
        (
            "revisions.serving.knative.dev",
            "v1",
            "rev",
            false,
            false,
            "Config Name,Generation,Ready,Reason,Actual Replicas,Desired Replicas",
        ),
        (
            "routes.serving.knative.dev",
            "v1",
            "rt",
            true,
            false,
            "URL,Ready,Reason",
        ),
        (
            "domainmappings.serving.knative.dev",
            "v1beta1",
            "dm",
            false,
            false,
            "URL,Ready,Reason",
        ),
        (
            "podautoscalers.autoscaling.internal.knative.dev",
            "v1alpha1",
            "kpa,pa",
            false,
            false,
            "DesiredScale,ActualScale,Ready,Reason",
        ),
        (
            "metrics.autoscaling.internal.knative.dev",
            "v1alpha1",
            "",
            false,
            false,
            "Ready,Reason",
        ),
        (
            "ingresses.networking.internal.knative.dev",
            "v1alpha1",
            "kingress,king",
            false,
            false,
            "Ready,Reason",
        ),
        (
            "serverlessservices.networking.internal.knative.dev",
            "v1alpha1",
            "sks",
            false,
            false,
            "Mode,Activators,ServiceName,PrivateServiceName,Ready,Reason",
        ),
        (
            "certificates.networking.internal.knative.dev",
            "v1alpha1",
            "kcert",
            false,
            false,
            "Ready,Reason",
        ),
        (
            "clusterdomainclaims.networking.internal.knative.dev",
            "v1alpha1",
            "cdc",
            false,
            false,
            "",
        ),
        (
            "images.caching.internal.knative.dev",
            "v1alpha1",
            "",
            false,
            false,
            "Image",
        ),
        (
            "brokers.eventing.knative.dev",
            "v1",
            "",
            true,
            false,
            "URL,Age,Ready,Reason,Class",
        ),
        (
            "triggers.eventing.knative.dev",
            "v1",
            "",
            false,
            false,
            "Broker,Subscriber_URI,Age,Ready,Reason",
        ),
        (
            "eventtypes.eventing.knative.dev",
            "v1beta2",
            "",
            false,
            false,
            "Type,Source,Schema,Reference Name,Reference Kind,Description,Ready,Reason",
        ),
        (
            "eventpolicies.eventing.knative.dev",
            "v1alpha1",
            "",
            false,
            false,
            "Ready,Reason",
        ),
        (
            "requestreplies.eventing.knative.dev",
            "v1alpha1",
            "rr",
            true,
            false,
            "URL,Ready,Reason",
        ),
        (
            "channels.messaging.knative.dev",
            "v1",
            "ch",
            true,
            false,
            "URL,Age,Ready,Reason",
        ),
        (
            "inmemorychannels.messaging.knative.dev",
            "v1",
            "imc",
            true,
            false,
            "URL,Age,Ready,Reason",
        ),
        (
            "subscriptions.messaging.knative.dev",
            "v1",
            "sub",
            false,
            false,
            "Age,Ready,Reason",
        ),
        (
            "sequences.flows.knative.dev",
            "v1",
            "",
            true,
            false,
            "URL,Age,Ready,Reason",
        ),
        (
            "parallels.flows.knative.dev",
            "v1",
            "",
            true,
            false,
            "URL,Age,Ready,Reason",
        ),
        (
            "apiserversources.sources.knative.dev",
            "v1",
            "",
            false,
            false,
            "Sink,Age,Ready,Reason",
        ),
        (
            "pingsources.sources.knative.dev",
            "v1",
            "",
            false,
            false,
            "Sink,Schedule,Age,Ready,Reason",
        ),
        (
            "containersources.sources.knative.dev",
            "v1",
            "",
            false,
            false,
            "Sink,Age,Ready,Reason",
        ),
        (
            "sinkbindings.sources.knative.dev",
            "v1",
            "",
            false,
            false,
            "Sink,Age,Ready,Reason",
        ),
        (
            "githubsources.sources.knative.dev",
            "v1alpha1",
            "",
            false,
            false,
            "Ready,Reason,Sink,Age",
        ),
        (
            "jobsinks.sinks.knative.dev",
            "v1alpha1",
            "",
            true,
            false,
            "URL,Age,Ready,Reason",
        ),
    ] {
        let found = all()
            .into_iter()
            .find(|c| c.metadata.name.as_deref() == Some(crd))
            .expect(crd);
        let labels = found.metadata.labels.clone().unwrap();
        assert_eq!(
            labels.contains_key("duck.knative.dev/addressable"),
            addressable,
            "{crd}"
        );
        assert_eq!(
            labels.contains_key("duck.knative.dev/podspecable"),
            podspecable,
            "{crd}"
        );
        assert_eq!(found.spec.versions[0].name, version, "{crd}");
        assert_eq!(
            found.spec.names.short_names.clone().unwrap_or_default().join(","),
            short,
            "{crd}"
        );
        let names: Vec<String> = found.spec.versions[0]
            .additional_printer_columns
            .iter()
            .flatten()
            .map(|column| column.name.clone())
            .collect();
        assert_eq!(names.join(","), columns, "{crd}");
    }
}

#[test]
fn the_kinds_of_pipelines_have_the_documented_names_and_columns() {
    let run = "Succeeded,Reason,StartTime,CompletionTime";
    let expected = [
        ("tasks.tekton.dev", "v1,v1beta1", "", ""),
        ("taskruns.tekton.dev", "v1,v1beta1", "tr,trs", run),
        ("pipelines.tekton.dev", "v1,v1beta1", "", ""),
        ("pipelineruns.tekton.dev", "v1,v1beta1", "pr,prs", run),
        ("stepactions.tekton.dev", "v1beta1,v1alpha1", "", ""),
        ("customruns.tekton.dev", "v1beta1", "", run),
        (
            "resolutionrequests.resolution.tekton.dev",
            "v1beta1,v1alpha1",
            "",
            "OwnerKind,Owner,Succeeded,Reason,StartTime,EndTime",
        ),
    ];
    let found = tekton();
    assert_eq!(found.len(), expected.len());
    for (crd, (name, versions, short, columns)) in found.iter().zip(expected) {
        assert_eq!(crd.metadata.name.as_deref(), Some(name));
        let names = &crd.spec.names;
        assert_eq!(
            names.short_names.clone().unwrap_or_default().join(","),
            short,
            "{name}"
        );
        assert_eq!(
            names.categories.clone().unwrap().join(","),
            "tekton,tekton-pipelines",
            "{name}"
        );
        assert_eq!(crd.spec.scope, "Namespaced");
        let served: Vec<(&str, bool)> = crd
            .spec
            .versions
            .iter()
            .map(|version| (version.name.as_str(), version.storage))
            .collect();
        // The first is stored.
        let wanted: Vec<(&str, bool)> = versions.split(',').zip([true, false]).collect();
        assert_eq!(served, wanted, "{name}");
        for version in &crd.spec.versions {
            assert!(version.subresources.as_ref().unwrap().status.is_some(), "{name}");
            let columns_of_version = version.additional_printer_columns.iter().flatten();
            let found: Vec<&str> = columns_of_version.map(|column| column.name.as_str()).collect();
            let fewer = crd.spec.names.kind == "ResolutionRequest" && !version.storage;
            let columns = if fewer { "Succeeded,Reason" } else { columns };
            assert_eq!(found.join(","), columns, "{name}");
        }
        assert!(
            !all().iter().any(|other| other.metadata.name == crd.metadata.name),
            "{name} is not installed yet"
        );
    }
}

#[test]
fn the_kinds_of_triggers_have_the_documented_names_and_columns() {
    let listener = "Address,Available,Reason,Ready,Reason";
    let kept = "Listener,State,Made,Failed,Age";
    let both = "v1beta1,v1alpha1";
    let expected = [
        (
            "eventlisteners.triggers.tekton.dev",
            both,
            "el",
            "Namespaced",
            listener,
        ),
        ("triggers.triggers.tekton.dev", both, "tri", "Namespaced", ""),
        (
            "triggerbindings.triggers.tekton.dev",
            both,
            "tb",
            "Namespaced",
            "",
        ),
        (
            "clustertriggerbindings.triggers.tekton.dev",
            both,
            "ctb",
            "Cluster",
            "",
        ),
        (
            "triggertemplates.triggers.tekton.dev",
            both,
            "tt",
            "Namespaced",
            "",
        ),
        (
            "clusterinterceptors.triggers.tekton.dev",
            "v1alpha1",
            "ci",
            "Cluster",
            "",
        ),
        (
            "interceptors.triggers.tekton.dev",
            "v1alpha1",
            "ni",
            "Namespaced",
            "",
        ),
        ("receivedevents.spindrift.dev", "v1alpha1", "", "Namespaced", kept),
    ];
    let found = triggers();
    assert_eq!(found.len(), expected.len());
    for (crd, (name, versions, short, scope, columns)) in found.iter().zip(expected) {
        assert_eq!(crd.metadata.name.as_deref(), Some(name));
        let names = &crd.spec.names;
        assert_eq!(
            names.short_names.clone().unwrap_or_default().join(","),
            short,
            "{name}"
        );
        assert_eq!(crd.spec.scope, scope, "{name}");
        let all: Vec<&str> = crd
            .spec
            .versions
            .iter()
            .map(|version| version.name.as_str())
            .collect();
        assert_eq!(all.join(","), versions, "{name}");
        let stored: Vec<bool> = crd.spec.versions.iter().map(|version| version.storage).collect();
        assert_eq!(stored.iter().filter(|stored| **stored).count(), 1, "{name}");
        assert!(stored[0], "{name}");
        let columns_found: Vec<&str> = crd.spec.versions[0]
            .additional_printer_columns
            .iter()
            .flatten()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(columns_found.join(","), columns, "{name}");
    }
}

/// Everything that is in a typed spec with all its fields set has a place in the schema.
fn assert_known(path: &str, value: &Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let inner = schema["properties"]
                    .get(name)
                    .or_else(|| schema.get("additionalProperties"));
                if let Some(inner) = inner {
                    assert_known(&format!("{path}.{name}"), field, inner);
                } else {
                    let free = schema.get("properties").is_none()
                        && schema.get("x-kubernetes-preserve-unknown-fields").is_some();
                    assert!(free, "{path}.{name} is not in the schema");
                }
            }
        }
        Value::Array(entries) => entries
            .iter()
            .for_each(|entry| assert_known(path, entry, &schema["items"])),
        _ => {}
    }
}

#[test]
fn schemas_of_pipelines_know_what_examples_have() {
    for (name, object) in crate::tekton::examples::all() {
        let root = tekton()
            .into_iter()
            .find(|crd| crd.metadata.name.as_deref() == Some(name))
            .map(|crd| serde_json::to_value(crd.spec.versions[0].schema.as_ref().unwrap()).unwrap())
            .unwrap();
        let root = &root["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            assert_known(part, &object[part], &root[part]);
        }
    }
}

#[test]
fn a_template_has_no_fields_that_are_never_allowed() {
    let root = root_schema("services.serving.knative.dev");
    let spec = &root["properties"]["spec"]["properties"]["template"]["properties"]["spec"];
    for field in [
        "nodeName",
        "restartPolicy",
        "terminationGracePeriodSeconds",
        "hostname",
        "ephemeralContainers",
    ] {
        assert!(spec["properties"].get(field).is_none(), "{field}");
    }
    let container = &spec["properties"]["containers"]["items"]["properties"];
    for field in [
        "lifecycle",
        "stdin",
        "stdinOnce",
        "tty",
        "volumeDevices",
        "restartPolicy",
    ] {
        assert!(container.get(field).is_none(), "{field}");
    }
    assert!(
        container["ports"]["items"]["properties"]
            .get("hostPort")
            .is_none()
    );
    assert_eq!(spec["required"], json!(["containers"]));
    assert_eq!(
        spec["properties"]["affinity"]["x-kubernetes-preserve-unknown-fields"],
        json!(true)
    );
    let metadata = &root["properties"]["spec"]["properties"]["template"]["properties"]["metadata"];
    assert_eq!(metadata["x-kubernetes-preserve-unknown-fields"], json!(true));
}
