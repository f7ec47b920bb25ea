//! YAML as people have it, through admission of the API server in process: defaults filled in, mistakes refused.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::sync::Arc;

use cluster_apiserver::{Admission, ApiServer, Config, Conversion, Rule};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams};
use kube::runtime::{conditions::is_crd_established, wait::await_condition};
use pipelines::admission::{Review, Settings, WEBHOOKS, Webhook, handle};
use pipelines::conversion;
use serde_json::{Value, json};

fn admission() -> Vec<Admission> {
    let all = Webhook::ALL.into_iter().map(|webhook| Admission {
        name: WEBHOOKS.name(webhook),
        mutating: webhook.is_mutating(),
        rules: WEBHOOKS
            .rules(webhook)
            .into_iter()
            .map(|rule| Rule {
                operations: rule.operations.unwrap_or_default(),
                groups: rule.api_groups.unwrap_or_default(),
                versions: rule.api_versions.unwrap_or_default(),
                resources: rule.resources.unwrap_or_default(),
            })
            .collect(),
        only: None,
        handler: Arc::new(move |review: Review| {
            std::future::ready(handle(webhook, review, &Settings::default()))
        }),
    });
    all.collect()
}

fn conversions() -> Vec<Conversion> {
    let of = |definition: &&str| Conversion {
        definition: (*definition).to_owned(),
        handler: Arc::new(|review| std::future::ready(conversion::handle(review))),
    };
    conversion::DEFINITIONS.iter().map(of).collect()
}

struct Home {
    client: Client,
    _server: ApiServer,
    _dir: tempfile::TempDir,
}

impl Home {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            admission: admission(),
            conversions: conversions(),
            ..Config::ephemeral(dir.path())
        };
        let server = ApiServer::open(config).await.unwrap();
        let client = server.client();
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in crds::tekton_definitions() {
            definitions
                .create(&PostParams::default(), &definition)
                .await
                .unwrap();
            let name = definition.metadata.name.unwrap();
            await_condition(definitions.clone(), &name, is_crd_established())
                .await
                .unwrap();
        }
        Self {
            client,
            _server: server,
            _dir: dir,
        }
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    async fn create(&self, yaml: &str) -> Result<Value, kube::Error> {
        let object: Value = serde_saphyr::from_str(yaml).unwrap();
        let api = self.api(&object);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let stored = api.create(&PostParams::default(), &object).await?;
        Ok(serde_json::to_value(stored).unwrap())
    }

    async fn refusal(&self, yaml: &str) -> String {
        match self.create(yaml).await {
            Err(kube::Error::Api(status)) => {
                assert_eq!(status.code, 400, "{yaml}");
                status.message.clone()
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

/// A task of many features, as public catalogs have them.
const TASK: &str = r#"
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: build}
spec:
  params:
    - {name: IMAGE, description: where it goes}
    - {name: EXTRA, type: array, default: []}
    - {name: where, properties: {file: {type: string}}, default: {file: ./Dockerfile}}
  workspaces: [{name: source}, {name: dockerconfig, optional: true, mountPath: /kaniko/.docker}]
  results: [{name: digest}, {name: layers, type: array}]
  stepTemplate: {env: [{name: HOME, value: /tekton/home}]}
  steps:
    - name: build
      image: builder:1
      computeResources: {requests: {cpu: 1, memory: 64Mi}}
      args: ["$(params.EXTRA[*])", "--dest=$(params.IMAGE)", "--file=$(params.where.file)"]
      workingDir: $(workspaces.source.path)
    - name: digest
      image: busybox
      onError: continue
      timeout: 5m
      script: |
        date=$(date +%s)
        if [ "$(workspaces.dockerconfig.bound)" = "true" ]; then cat $$(params.none); fi
        cp digest $(results.digest.path)
  sidecars: [{name: registry, image: registry, readinessProbe: {httpGet: {port: 5000, path: /}}}]
  volumes: [{name: cache, emptyDir: {}}]
"#;

const PIPELINE: &str = r#"
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: release}
spec:
  params: [{name: repo}, {name: platforms, type: array, default: [amd64]}]
  workspaces: [{name: shared}]
  tasks:
    - name: clone
      taskRef: {resolver: git, params: [{name: url, value: "$(params.repo)"}]}
      workspaces: [{name: output, workspace: shared}]
    - name: build
      runAfter: [clone]
      taskRef: {name: build}
      matrix: {params: [{name: platform, value: ["$(params.platforms[*])"]}]}
      when: [{input: $(tasks.clone.results.commit), operator: notin, values: [""]}]
    - name: wait
      runAfter: [build]
      taskRef: {apiVersion: example.dev/v1, kind: Wait, name: w}
  finally:
    - name: report
      params: [{name: status, value: "$(tasks.build.status) $(tasks.status)"}]
      taskSpec:
        params: [{name: status}]
        steps: [{image: busybox, script: "echo $(params.status)"}]
  results: [{name: commit, value: $(tasks.clone.results.commit)}]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_people_have_is_stored_with_its_defaults() {
    let home = Home::start().await;
    let task = home.create(TASK).await.unwrap();
    let types: Vec<&str> = task["spec"]["params"]
        .as_array()
        .unwrap()
        .iter()
        .map(|param| param["type"].as_str().unwrap())
        .collect();
    assert_eq!(types, ["string", "array", "object"]);
    let step = &task["spec"]["steps"][0];
    assert_eq!(
        step["computeResources"]["requests"],
        json!({"cpu": "1", "memory": "64Mi"})
    );
    assert_eq!(task["spec"]["results"][0]["type"], "string");
    let pipeline = home.create(PIPELINE).await.unwrap();
    assert_eq!(pipeline["spec"]["tasks"][1]["taskRef"]["kind"], "Task");
    for (yaml, pointer, expected) in [
        (
            "{apiVersion: tekton.dev/v1, kind: TaskRun, metadata: {generateName: build-}, spec: {taskRef: {name: build}, \
              params: [{name: IMAGE, value: a/b}, {name: EXTRA, value: [1, x]}], workspaces: [{name: source, emptyDir: {}}]}}",
            "/spec/timeout",
            json!("1h0m0s"),
        ),
        (
            "{apiVersion: tekton.dev/v1, kind: PipelineRun, metadata: {generateName: release-}, \
              spec: {pipelineRef: {name: release}, params: [{name: repo, value: 5}], \
              timeouts: {tasks: 30m}, workspaces: [{name: shared, persistentVolumeClaim: {claimName: c}}]}}",
            "/spec/timeouts",
            json!({"pipeline": "1h0m0s", "tasks": "30m"}),
        ),
        (
            "{apiVersion: tekton.dev/v1beta1, kind: StepAction, metadata: {name: clone}, spec: {image: git, \
              params: [{name: url}], env: [{name: URL, value: $(params.url)}], script: 'git clone \"$URL\"'}}",
            "/spec/params/0/type",
            json!("string"),
        ),
        (
            "{apiVersion: tekton.dev/v1alpha1, kind: StepAction, metadata: {name: older}, spec: {image: git, \
              params: [{name: url}]}}",
            "/spec/params/0/type",
            json!("string"),
        ),
        (
            "{apiVersion: tekton.dev/v1beta1, kind: CustomRun, metadata: {name: wait}, \
              spec: {customRef: {apiVersion: example.dev/v1, kind: Wait}}}",
            "/spec/serviceAccountName",
            json!("default"),
        ),
    ] {
        let stored = home
            .create(yaml)
            .await
            .unwrap_or_else(|error| panic!("{yaml}: {error}"));
        assert_eq!(stored.pointer(pointer), Some(&expected), "{yaml}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_with_the_field() {
    let home = Home::start().await;
    for (kind, spec, expected) in [
        (
            "Task",
            "{steps: [{name: a}]}",
            "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request: validation failed: \
             missing field(s): spec.steps[0].image",
        ),
        (
            "Task",
            "{inputs: {params: []}, steps: [{image: i}]}",
            "admission webhook \"webhook.pipeline.tekton.dev\" denied the request: validation failed: \
             must not set the field(s): spec.inputs\n\
             inputs was removed: use spec.params, and spec.workspaces for what a PipelineResource brought",
        ),
        (
            "Task",
            "{steps: [{image: i, comand: [x]}]}",
            "admission webhook \"webhook.pipeline.tekton.dev\" denied the request: mutation failed: \
             cannot decode incoming new object: json: unknown field \"comand\"",
        ),
        (
            "Pipeline",
            "{tasks: [{name: a, taskRef: {name: t}, runAfter: [b]}, {name: b, taskRef: {name: t}, runAfter: [a]}]}",
            "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request: validation failed: \
             invalid value: cycle detected: tasks wait for each other in a circle: a → b → a: spec.tasks",
        ),
        (
            "PipelineRun",
            "{pipelineRef: {name: p}, timeouts: {pipeline: 10m, tasks: 8m, finally: 5m}}",
            "admission webhook \"validation.webhook.pipeline.tekton.dev\" denied the request: validation failed: \
             invalid value: 8m0s + 5m0s should be <= pipeline duration: spec.timeouts.finally, spec.timeouts.tasks",
        ),
    ] {
        let yaml =
            format!("{{apiVersion: tekton.dev/v1, kind: {kind}, metadata: {{name: x}}, spec: {spec}}}");
        assert_eq!(home.refusal(&yaml).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_over_stays_as_it_was() {
    let home = Home::start().await;
    let run = home
        .create("{apiVersion: tekton.dev/v1, kind: TaskRun, metadata: {name: r}, spec: {taskRef: {name: t}}}")
        .await
        .unwrap();
    let api = home.api(&run);
    let merge = async |patch: Value| {
        api.patch("r", &PatchParams::default(), &Patch::Merge(patch))
            .await
    };
    let status = async |status: &str| {
        let patch = json!({"status": {
            "startTime": "2026-01-02T03:04:05Z", "podName": "p",
            "conditions": [{"type": "Succeeded", "status": status, "reason": "R"}],
            "taskSpec": {"steps": [{"name": "a", "image": "i", "env": [{"name": "A", "value": "b"}]}]},
        }});
        api.patch_status("r", &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap()
    };
    merge(json!({"spec": {"retries": 1}})).await.unwrap();
    let stored = status("Unknown").await;
    assert_eq!(
        stored.data["status"]["taskSpec"]["steps"][0]["env"][0]["value"],
        "b"
    );
    let refused = merge(json!({"spec": {"retries": 2}})).await.unwrap_err();
    assert!(
        refused.to_string().contains("Once the TaskRun has started"),
        "{refused}"
    );
    merge(json!({"spec": {"status": "TaskRunCancelled"}}))
        .await
        .unwrap();
    status("False").await;
    let refused = merge(json!({"spec": {"status": null}})).await.unwrap_err();
    assert!(
        refused.to_string().contains("Once the TaskRun is complete"),
        "{refused}"
    );
    merge(json!({"metadata": {"labels": {"a": "b"}}})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn config_maps_of_the_install_are_checked() {
    let home = Home::start().await;
    let namespaces: Api<Namespace> = Api::all(home.client.clone());
    let namespace = json!({"metadata": {"name": "tekton-pipelines"}});
    namespaces
        .create(
            &PostParams::default(),
            &serde_json::from_value(namespace).unwrap(),
        )
        .await
        .unwrap();
    let map = |value: &str| -> ConfigMap {
        serde_json::from_value(json!({
            "metadata": {"name": "feature-flags"}, "data": {"enable-api-fields": value},
        }))
        .unwrap()
    };
    let ours: Api<ConfigMap> = Api::namespaced(home.client.clone(), "tekton-pipelines");
    let others: Api<ConfigMap> = Api::namespaced(home.client.clone(), "default");
    let refused = ours
        .create(&PostParams::default(), &map("gamma"))
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("enable-api-fields"), "{refused}");
    ours.create(&PostParams::default(), &map("alpha")).await.unwrap();
    others
        .create(&PostParams::default(), &map("gamma"))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_are_written_with_their_names_and_stored_as_the_newest() {
    let home = Home::start().await;
    let old = r#"
apiVersion: tekton.dev/v1beta1
kind: PipelineRun
metadata: {name: old}
spec:
  serviceAccountName: builder
  timeout: 5m
  podTemplate: {nodeSelector: {a: b}}
  pipelineSpec:
    tasks:
      - name: one
        taskSpec: {steps: [{name: s, image: i, resources: {limits: {cpu: 100m}}}]}
  taskRunSpecs: [{pipelineTaskName: one, taskServiceAccountName: other}]
"#;
    let shown = home.create(old).await.unwrap();
    assert_eq!(shown["apiVersion"], "tekton.dev/v1beta1");
    let written: Value = serde_saphyr::from_str(old).unwrap();
    for field in ["serviceAccountName", "podTemplate", "taskRunSpecs"] {
        assert_eq!(shown["spec"][field], written["spec"][field], "{field}");
    }
    assert!(shown["spec"]["timeout"].as_str().unwrap().starts_with("5m"));
    let step = &shown["spec"]["pipelineSpec"]["tasks"][0]["taskSpec"]["steps"][0];
    assert_eq!(step["resources"]["limits"]["cpu"], "100m");
    for new in ["taskRunTemplate", "timeouts"] {
        assert!(shown["spec"].get(new).is_none(), "{new}");
    }
    let older = home.api(&json!({"apiVersion": "tekton.dev/v1beta1", "kind": "PipelineRun"}));
    let read = serde_json::to_value(older.get("old").await.unwrap()).unwrap();
    assert_eq!(read["spec"], shown["spec"]);
    let newest = home.api(&json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun"}));
    let found = serde_json::to_value(newest.get("old").await.unwrap()).unwrap();
    assert_eq!(found["apiVersion"], "tekton.dev/v1");
    let spec = &found["spec"];
    assert_eq!(spec["taskRunTemplate"]["serviceAccountName"], "builder");
    assert_eq!(spec["taskRunTemplate"]["podTemplate"]["nodeSelector"]["a"], "b");
    assert!(spec["timeouts"]["pipeline"].as_str().unwrap().starts_with("5m"));
    assert_eq!(spec["taskRunSpecs"][0]["serviceAccountName"], "other");
    let step = &spec["pipelineSpec"]["tasks"][0]["taskSpec"]["steps"][0];
    assert_eq!(step["computeResources"]["limits"]["cpu"], "100m");
    for gone in ["serviceAccountName", "timeout", "podTemplate"] {
        assert!(spec.get(gone).is_none(), "{gone}");
    }
    // What neither version has is refused as ever, and so are the old names in the new version.
    let refusal = home
        .refusal(&old.replace("serviceAccountName: builder", "resources: []\n  nonsense: 1"))
        .await;
    assert!(
        refusal.contains("PipelineResources were removed") || refusal.contains("nonsense"),
        "{refusal}"
    );
    let refusal = home
        .refusal(&old.replace("v1beta1", "v1").replace("name: old", "name: new"))
        .await;
    assert!(
        refusal.contains("taskRunTemplate.serviceAccountName"),
        "{refusal}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_resolvers_are_maps_in_their_older_version() {
    let home = Home::start().await;
    let object = |version: &str| {
        json!({"apiVersion": format!("resolution.tekton.dev/{version}"), "kind": "ResolutionRequest",
               "metadata": {"name": "asked"}})
    };
    let (older, newer) = (object("v1alpha1"), object("v1beta1"));
    let mut asked = older.clone();
    asked["spec"] = json!({"params": {"url": "https://h", "revision": "main"}});
    let shown = home.create(&asked.to_string()).await.unwrap();
    assert_eq!(shown["spec"], asked["spec"]);
    let stored = home.api(&newer).get("asked").await.unwrap();
    let expected = json!([{"name": "revision", "value": "main"}, {"name": "url", "value": "https://h"}]);
    assert_eq!(stored.data["spec"]["params"], expected);
    // The status has one shape, and who writes it in the older version keeps the spec as it is.
    let patch = Patch::Merge(json!({"status": {"data": "eA=="}}));
    let answered = home.api(&older);
    answered
        .patch_status("asked", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let found = home.api(&newer).get("asked").await.unwrap();
    assert_eq!(found.data["status"]["data"], "eA==");
    assert_eq!(found.data["spec"], stored.data["spec"]);
}
