//! Custom resources, and server-side apply on both sorts of kinds.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{config_map, server};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams,
    PostParams,
};
use kube::{Client, Error, ResourceExt};
use serde_json::{Value, json};

fn widget_definition() -> CustomResourceDefinition {
    serde_json::from_value(json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}, "scale": {
                    "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
                }},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "required": ["color"], "properties": {
                            "color": {"type": "string", "enum": ["red", "blue"]},
                            "size": {"type": "integer", "default": 1, "minimum": 0},
                        }},
                        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    },
                }},
            }],
        },
    }))
    .unwrap()
}

fn widgets(client: Client) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
    Api::default_namespaced_with(client, &resource)
}

fn widget(name: &str, spec: Value) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec,
    }))
    .unwrap()
}

fn status(error: Error) -> kube::core::Status {
    match error {
        Error::Api(status) => *status,
        other => panic!("not an API error: {other}"),
    }
}

#[tokio::test]
async fn a_definition_serves_its_kind_and_takes_the_instances_with_it() {
    let (server, _dir) = server().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client());
    let created = definitions
        .create(&PostParams::default(), &widget_definition())
        .await
        .unwrap();
    let conditions = created.status.unwrap().conditions.unwrap();
    assert!(
        conditions
            .iter()
            .any(|condition| condition.type_ == "Established" && condition.status == "True")
    );

    let api = widgets(server.client());
    let made = api
        .create(
            &PostParams::default(),
            &widget("a", json!({"color": "red", "extra": 1})),
        )
        .await
        .unwrap();
    assert_eq!(
        made.data["spec"],
        json!({"color": "red", "size": 1}),
        "pruned and defaulted"
    );
    let refused = status(
        api.create(&PostParams::default(), &widget("b", json!({"color": "green"})))
            .await
            .unwrap_err(),
    );
    assert_eq!((refused.code, refused.reason.as_str()), (422, "Invalid"));
    assert!(
        refused
            .message
            .starts_with("Widget.example.com \"b\" is invalid: spec.color: Unsupported value: \"green\""),
        "{}",
        refused.message
    );

    // The path names the kind, and yet custom resources have to say it themselves.
    for (missing, word) in [
        ("kind", "'Kind' is missing"),
        ("apiVersion", "'apiVersion' is missing"),
    ] {
        let mut body = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "c"},
                              "spec": {"color": "red"}});
        body.as_object_mut().unwrap().remove(missing);
        let request = http::Request::post("/apis/example.com/v1/namespaces/default/widgets")
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap();
        let refused = status(server.client().request::<Value>(request).await.unwrap_err());
        assert_eq!((refused.code, refused.reason.as_str()), (400, "BadRequest"));
        assert!(refused.message.contains(word), "{}", refused.message);
    }

    let patched = api
        .patch_status(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"status": {"size": 4}, "spec": {"color": "blue"}})),
        )
        .await
        .unwrap();
    assert_eq!(
        (&patched.data["status"]["size"], &patched.data["spec"]["color"]),
        (&json!(4), &json!("red"))
    );
    assert_eq!(patched.metadata.generation, Some(1));
    let scale = api
        .patch_scale(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"replicas": 3}})),
        )
        .await
        .unwrap();
    assert_eq!(
        (scale.spec.unwrap().replicas, scale.status.unwrap().replicas),
        (Some(3), 4)
    );
    assert_eq!(api.get("a").await.unwrap().metadata.generation, Some(2));

    definitions
        .delete("widgets.example.com", &DeleteParams::default())
        .await
        .unwrap();
    let gone = async {
        while definitions
            .get_opt("widgets.example.com")
            .await
            .unwrap()
            .is_some()
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone)
        .await
        .unwrap();
    // Without a Status, so that clients see that the API is absent, not the object.
    let error = api.list(&ListParams::default()).await.unwrap_err();
    assert_eq!(status(error).code, 404);
}

#[tokio::test]
async fn a_definition_that_is_not_structural_is_refused() {
    let (server, _dir) = server().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(server.client());
    let mut bad = widget_definition();
    bad.metadata.name = Some("gadgets.example.com".into());
    let refused = status(
        definitions
            .create(&PostParams::default(), &bad)
            .await
            .unwrap_err(),
    );
    assert_eq!(refused.code, 422);
    assert!(refused.message.contains("metadata.name"), "{}", refused.message);
    let mut bad = serde_json::to_value(widget_definition()).unwrap();
    bad["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["x"] =
        json!({"description": "no type"});
    let bad: CustomResourceDefinition = serde_json::from_value(bad).unwrap();
    let refused = status(
        definitions
            .create(&PostParams::default(), &bad)
            .await
            .unwrap_err(),
    );
    assert!(
        refused.message.contains("properties[x].type: Required value"),
        "{}",
        refused.message
    );
}

#[tokio::test]
async fn applying_creates_merges_conflicts_and_removes() {
    let (server, _dir) = server().await;
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let config = |data: Value| {
        Patch::Apply(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}),
        )
    };
    let one = PatchParams::apply("one");
    let made = api
        .patch("a", &one, &config(json!({"x": "1", "y": "1"})))
        .await
        .unwrap();
    assert_eq!(
        made.metadata.managed_fields.as_ref().unwrap()[0]
            .operation
            .as_deref(),
        Some("Apply")
    );
    let again = api
        .patch("a", &one, &config(json!({"x": "1", "y": "1"})))
        .await
        .unwrap();
    assert_eq!(
        again.resource_version(),
        made.resource_version(),
        "applying the same changes nothing"
    );
    let refused = status(
        api.patch("a", &PatchParams::apply("two"), &config(json!({"x": "2"})))
            .await
            .unwrap_err(),
    );
    assert_eq!((refused.code, refused.reason.as_str()), (409, "Conflict"));
    assert_eq!(refused.details.unwrap().causes[0].field, ".data.x");
    api.patch(
        "a",
        &PatchParams::apply("two").force(),
        &config(json!({"x": "2"})),
    )
    .await
    .unwrap();
    let left = api.patch("a", &one, &config(json!({}))).await.unwrap();
    assert_eq!(serde_json::to_value(left.data).unwrap(), json!({"x": "2"}));
    // Other writes are tracked under the program's name or the one it gives.
    let params = PostParams {
        field_manager: Some("three".into()),
        ..PostParams::default()
    };
    let created = api.create(&params, &config_map("b", "1")).await.unwrap();
    let managers = created.metadata.managed_fields.unwrap();
    assert_eq!(
        (managers[0].manager.as_deref(), managers[0].operation.as_deref()),
        (Some("three"), Some("Update"))
    );
}

#[tokio::test]
async fn deployments_are_patched_in_every_form() {
    let (server, _dir) = server().await;
    let api: Api<Deployment> = Api::default_namespaced(server.client());
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}]},
            },
        },
    });
    let made = api
        .patch("a", &PatchParams::apply("me"), &Patch::Apply(&deployment))
        .await
        .unwrap();
    assert_eq!(made.spec.replicas, Some(1), "defaulted");
    let strategic = json!({"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "j"}]}}}});
    let patched = api
        .patch("a", &PatchParams::default(), &Patch::Strategic(strategic))
        .await
        .unwrap();
    let images: Vec<_> = patched
        .spec
        .template
        .spec
        .unwrap()
        .containers
        .into_iter()
        .map(|c| c.image.unwrap())
        .collect();
    assert_eq!(images, ["i", "j"]);
    let json_patch: json_patch::Patch =
        serde_json::from_value(json!([{"op": "replace", "path": "/spec/replicas", "value": 4}])).unwrap();
    assert_eq!(
        api.patch("a", &PatchParams::default(), &Patch::<()>::Json(json_patch))
            .await
            .unwrap()
            .spec
            .replicas,
        Some(4)
    );
    let unknown = json!({"spec": {"unknown": 1}});
    let strict = PatchParams {
        field_validation: Some(kube::api::ValidationDirective::Strict),
        ..PatchParams::default()
    };
    let refused = status(api.patch("a", &strict, &Patch::Merge(unknown)).await.unwrap_err());
    assert_eq!(refused.code, 400);
    assert!(
        refused
            .message
            .contains("strict decoding error: unknown field \"spec.unknown\""),
        "{}",
        refused.message
    );
}
