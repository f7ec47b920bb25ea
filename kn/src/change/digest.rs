//! Keeping to the image that runs, whatever its tag has become.

use serde_json::Value;

use super::json::set_text;
use super::metadata::{annotate_template, remove_template_annotation};

/// The image as a person typed it.
pub const USER_IMAGE: &str = "client.knative.dev/user-image";

/// Remembers the image that was typed. One typed by digest needs no memory.
pub fn remember(service: &mut Value, image: &str, lock: bool) {
    if lock && !image.contains('@') {
        annotate_template(service, USER_IMAGE, image);
    } else {
        remove_template_annotation(service, USER_IMAGE);
    }
}

/// Stops keeping to a digest: the image is again what was typed, so that its tag is looked up anew.
pub fn unlock(service: &mut Value) {
    if let Some(image) = user_image(service).map(str::to_owned)
        && let Some(container) = service.pointer_mut("/spec/template/spec/containers/0")
    {
        set_text(container, "image", &image);
    }
    remove_template_annotation(service, USER_IMAGE);
}

/// What was typed, if it is remembered.
pub fn user_image(service: &Value) -> Option<&str> {
    service["spec"]["template"]["metadata"]["annotations"][USER_IMAGE]
        .as_str()
        .filter(|image| !image.is_empty())
}

/// The revision whose image a change without `--image` shall keep, if [`pin`] finds that it is the same one.
pub fn base_revision(service: &Value) -> Option<&str> {
    service["spec"]["template"]["metadata"]["name"]
        .as_str()
        .or_else(|| service["status"]["latestCreatedRevisionName"].as_str())
}

/// Sets the image to the digest that `base` runs; returns the digest's reference if that changed something.
pub fn pin(service: &mut Value, base: &Value) -> Option<String> {
    let image = service
        .pointer("/spec/template/spec/containers/0/image")?
        .as_str()?;
    if base.pointer("/spec/containers/0/image")?.as_str()? != image {
        return None;
    }
    let typed = image.to_owned();
    let digest = base
        .pointer("/status/containerStatuses/0/imageDigest")?
        .as_str()?
        .to_owned();
    if digest.is_empty() || digest == image {
        return None;
    }
    if user_image(service).is_none() {
        annotate_template(service, USER_IMAGE, &typed);
    }
    set_text(
        service.pointer_mut("/spec/template/spec/containers/0")?,
        "image",
        &digest,
    );
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tag_is_pinned_and_freed_again() {
        let mut service = json!({ "spec": { "template": { "spec": { "containers": [{ "image": "web:1" }] } } },
                                  "status": { "latestCreatedRevisionName": "web-00001" } });
        remember(&mut service, "web:1", true);
        assert_eq!(user_image(&service), Some("web:1"));
        assert_eq!(base_revision(&service), Some("web-00001"));
        let other = json!({ "spec": { "containers": [{ "image": "web:2" }] }, "status": { "containerStatuses": [{ "imageDigest": "web@sha256:2" }] } });
        assert_eq!(pin(&mut service, &other), None);
        let base = json!({ "spec": { "containers": [{ "image": "web:1" }] }, "status": { "containerStatuses": [{ "imageDigest": "web@sha256:1" }] } });
        assert_eq!(pin(&mut service, &base).as_deref(), Some("web@sha256:1"));
        assert_eq!(
            service["spec"]["template"]["spec"]["containers"][0]["image"],
            "web@sha256:1"
        );
        unlock(&mut service);
        assert_eq!(
            service["spec"]["template"]["spec"]["containers"][0]["image"],
            "web:1"
        );
        assert_eq!(user_image(&service), None);
        remember(&mut service, "web@sha256:3", true);
        assert_eq!(user_image(&service), None);
    }
}
