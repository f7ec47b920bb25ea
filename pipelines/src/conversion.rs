//! Conversion between the versions of a kind, as answers to `ConversionReview`s.

use crds::resource::tekton::Resource;
use crds::tekton::versions::{self, Versions};
use kube::core::Status;
use kube::core::conversion::{ConversionRequest, ConversionResponse, ConversionReview};
use serde_json::Value;

/// The definitions whose objects are converted.
pub const DEFINITIONS: [&str; 5] = [
    "tasks.tekton.dev",
    "taskruns.tekton.dev",
    "pipelines.tekton.dev",
    "pipelineruns.tekton.dev",
    "resolutionrequests.resolution.tekton.dev",
];

/// Answers a review: all its objects are converted, or none.
pub fn handle(review: ConversionReview) -> ConversionReview {
    let mut request = match ConversionRequest::from_review(review) {
        Ok(request) => request,
        Err(error) => {
            let status = Status::failure(&error.to_string(), "InvalidRequest");
            return ConversionResponse::invalid(status).into_review();
        }
    };
    let mut objects = std::mem::take(&mut request.objects);
    let desired = request.desired_api_version.clone();
    let result = objects
        .iter_mut()
        .try_for_each(|object| convert(&desired, object));
    let response = ConversionResponse::for_request(request);
    match result {
        Ok(()) => response.success(objects),
        Err(why) => response.failure(Status::failure(&why, "ConversionFailed")),
    }
    .into_review()
}

/// Brings an object to a version.
fn convert(desired: &str, object: &mut Value) -> Result<(), String> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if version == desired {
        return Ok(());
    }
    let unknown = format!("{kind:?} of {version:?} cannot become one of {desired:?}");
    let (group, _) = version.split_once('/').unwrap_or_default();
    let Some(resource) = Resource::find(group, kind) else {
        return Err(unknown);
    };
    let Some(Versions { older, stored }) = Versions::of(resource) else {
        return Err(unknown);
    };
    let (older, stored) = (format!("{group}/{older}"), format!("{group}/{stored}"));
    match () {
        () if version == older && desired == stored => versions::to_stored(resource, object),
        () if version == stored && desired == older => versions::from_stored(resource, object),
        () => return Err(unknown),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(desired: &str, objects: Value) -> Value {
        let review = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "request": {"uid": "u", "desiredAPIVersion": desired, "objects": objects},
        });
        let answer = handle(serde_json::from_value(review).unwrap());
        let answer = serde_json::to_value(answer).unwrap();
        assert_eq!(
            (&answer["apiVersion"], &answer["kind"]),
            (&json!("apiextensions.k8s.io/v1"), &json!("ConversionReview"))
        );
        assert_eq!(answer["response"]["uid"], "u");
        answer["response"].clone()
    }

    #[test]
    fn objects_of_both_versions_become_the_wanted_one() {
        let old = json!({"apiVersion": "tekton.dev/v1beta1", "kind": "PipelineRun", "metadata": {"name": "a"},
                         "spec": {"serviceAccountName": "s"}});
        let new = json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": "a"},
                         "spec": {"taskRunTemplate": {"serviceAccountName": "s"}}});
        for (desired, wanted) in [("tekton.dev/v1", &new), ("tekton.dev/v1beta1", &old)] {
            let answer = asked(desired, json!([old, new]));
            assert_eq!(answer["result"]["status"], "Success");
            assert_eq!(answer["convertedObjects"], json!([wanted, wanted]));
        }
    }

    #[test]
    fn requests_of_resolvers_are_converted_in_their_own_group() {
        let object = |version: &str, params: Value| {
            json!({"apiVersion": format!("resolution.tekton.dev/{version}"),
            "kind": "ResolutionRequest", "metadata": {"name": "a"}, "spec": {"params": params}})
        };
        let old = object("v1alpha1", json!({"url": "u"}));
        let new = object("v1beta1", json!([{"name": "url", "value": "u"}]));
        for (desired, wanted) in [("v1beta1", &new), ("v1alpha1", &old)] {
            let answer = asked(&format!("resolution.tekton.dev/{desired}"), json!([old, new]));
            assert_eq!(answer["convertedObjects"], json!([wanted, wanted]));
        }
    }

    #[test]
    fn what_nobody_knows_is_refused_by_name() {
        for (desired, version, kind) in [
            ("tekton.dev/v2", "tekton.dev/v1", "Task"),
            ("tekton.dev/v1", "tekton.dev/v1beta1", "CustomRun"),
            ("tekton.dev/v1", "other.dev/v1beta1", "Task"),
            ("tekton.dev/v1beta1", "tekton.dev/v1alpha1", "StepAction"),
            (
                "resolution.tekton.dev/v1",
                "resolution.tekton.dev/v1beta1",
                "ResolutionRequest",
            ),
        ] {
            let answer = asked(desired, json!([{"apiVersion": version, "kind": kind}]));
            assert_eq!(answer["result"]["status"], "Failure");
            let message = answer["result"]["message"].as_str().unwrap();
            assert_eq!(
                message,
                format!("{kind:?} of {version:?} cannot become one of {desired:?}")
            );
        }
        let empty = handle(ConversionReview {
            types: kube::core::TypeMeta::default(),
            request: None,
            response: None,
        });
        assert!(empty.response.unwrap().result.message.contains("request missing"));
    }

    #[test]
    fn all_definitions_that_say_so_are_converted() {
        let definitions = crds::tekton_definitions();
        let asking: Vec<&str> = definitions
            .iter()
            .filter(|definition| definition.spec.conversion.is_some())
            .filter_map(|definition| definition.metadata.name.as_deref())
            .collect();
        assert_eq!(asking, DEFINITIONS);
    }
}
