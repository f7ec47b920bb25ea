//! What a deployment writes to a Service: the image of the first container, three annotations of the template, and as
//! far as previews ask for it, who gets the requests.

use crds::serving::{Service, TrafficTarget};
use crds::spindrift::Repository;
use crds::spindrift::annotations::{BUILD, COMMIT, PINNED, REF};
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use super::request::Request;
use crate::{names, traffic};

/// The image of the first container.
pub(super) fn image(service: &Service) -> Option<&str> {
    let containers = &service.spec.template.spec.pod_spec.containers;
    containers.first()?.image.as_deref()
}

/// The Service as its template in the Repository says, with the image.
///
/// # Errors
/// If the template is no Service.
pub(super) fn created(repository: &Repository, request: &Request) -> Result<Service, serde_json::Error> {
    let template = repository.spec.service_template.clone().unwrap_or_default();
    let mut meta = template.metadata;
    meta.insert("name".to_owned(), json!(repository.spec.service));
    meta.insert("namespace".to_owned(), json!(repository.namespace()));
    let mut spec = Value::Object(template.spec);
    let revision = child(&mut spec, "template");
    let marks = child(child(revision, "metadata"), "annotations");
    if let Some(marks) = marks.as_object_mut() {
        let given = annotations(request).into_iter();
        marks.extend(given.filter(|(_, value)| !value.is_null()));
    }
    let pod = child(revision, "spec");
    set_image(pod, &request.image);
    serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": meta, "spec": spec,
    }))
}

/// The change that makes a revision of the branch.
pub(super) fn for_branch(service: &Service, request: &Request) -> Value {
    let pinned = service.annotations().get(PINNED).map(String::as_str);
    let mut change = of_template(service, request, Value::Null);
    if let Some(targets) = traffic::for_branch(&service.spec.traffic, pinned) {
        change["spec"]["traffic"] = json!(targets);
    }
    if pinned.is_some() {
        change["metadata"]["annotations"] = json!({PINNED: null});
    }
    change
}

/// The change that makes a revision of a preview, with a name that is known beforehand; `ready` keeps the requests.
pub(super) fn for_preview(service: &Service, request: &Request, ready: Option<&str>) -> Value {
    let name = names::revision(&service.name_any(), &request.run);
    let mut change = of_template(service, request, json!(name));
    if let Some(ready) = ready
        && let Some(targets) = traffic::pinned(&service.spec.traffic, ready)
    {
        change["spec"]["traffic"] = json!(targets);
        change["metadata"]["annotations"] = json!({PINNED: ready});
    }
    change
}

/// The change of who gets the requests.
pub(super) fn of_traffic(service: &Service, targets: &[TrafficTarget]) -> Value {
    json!({
        "metadata": {"resourceVersion": service.metadata.resource_version},
        "spec": {"traffic": targets},
    })
}

/// The change of the template. Lists cannot be merged, so all containers are in it as they are but for the image; that is
/// why the change is conditional on the version.
fn of_template(service: &Service, request: &Request, name: Value) -> Value {
    let mut pod = json!({"containers": service.spec.template.spec.pod_spec.containers});
    set_image(&mut pod, &request.image);
    json!({
        "metadata": {"resourceVersion": service.metadata.resource_version},
        "spec": {"template": {
            // A name stands for one template only.
            "metadata": {"name": name, "annotations": annotations(request)},
            "spec": pod,
        }},
    })
}

fn annotations(request: &Request) -> Map<String, Value> {
    let marks = [
        (COMMIT, &request.commit),
        (REF, &request.git_ref),
        (BUILD, &request.run),
    ];
    marks
        .into_iter()
        .map(|(key, value)| {
            let value = if value.is_empty() {
                Value::Null
            } else {
                json!(value)
            };
            (key.to_owned(), value)
        })
        .collect()
}

fn set_image(pod: &mut Value, image: &str) {
    let containers = child(pod, "containers");
    if !containers.is_array() {
        *containers = json!([]);
    }
    let Some(containers) = containers.as_array_mut() else {
        return;
    };
    if containers.is_empty() {
        containers.push(json!({}));
    }
    if let Some(first) = containers.first_mut().and_then(Value::as_object_mut) {
        first.insert("image".to_owned(), json!(image));
    }
}

/// A field that is made an object if it is absent.
fn child<'v>(value: &'v mut Value, name: &str) -> &'v mut Value {
    if !value.is_object() {
        *value = json!({});
    }
    // Of an object, indexing makes what is missing.
    let child = &mut value[name];
    if child.is_null() {
        *child = json!({});
    }
    child
}
