//! What a Repository gets where it says nothing.

use serde_json::Value;

use super::{map_in, object_at, set_text};
use crate::resource::spindrift::Context;
use crate::resource::{metadata, text};

/// For a build, unless the Repository says otherwise.
const TIMEOUT: &str = "30m0s";

/// Fills in the defaults of a Repository.
pub fn apply(object: &mut Value, context: &Context<'_>) {
    // An update of the status keeps the rest as it is stored, whatever is sent.
    if !object.is_object() || context.status_only {
        return;
    }
    let name = text(metadata(object), "name").to_owned();
    let Some(spec) = object_at(object, "spec") else {
        return;
    };
    if !text_in(spec, "url").is_empty() {
        set_text(Some(spec), "branch", "main");
    }
    // A name that the API server makes up is not known yet; validation asks for one.
    if !name.is_empty() {
        set_text(Some(spec), "service", &name);
    }
    set_text(Some(spec), "serviceAccountName", "default");
    if let Some(build) = map_in(spec, "build") {
        set_text(Some(build), "strategy", "auto");
        set_text(Some(build), "dockerfile", "Dockerfile");
        set_text(Some(build), "context", ".");
        set_text(Some(build), "timeout", TIMEOUT);
    }
}

fn text_in<'v>(object: &'v serde_json::Map<String, Value>, name: &str) -> &'v str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_missing_is_filled_in_and_the_rest_kept() {
        let whole =
            json!({"strategy": "auto", "dockerfile": "Dockerfile", "context": ".", "timeout": "30m0s"});
        for (spec, defaulted) in [
            (
                json!({"url": "http://git/app.git"}),
                json!({"url": "http://git/app.git", "branch": "main", "service": "web", "serviceAccountName": "default", "build": whole}),
            ),
            (
                json!({"source": "r/s@sha256:0", "service": "x", "build": null}),
                json!({"source": "r/s@sha256:0", "service": "x", "serviceAccountName": "default", "build": whole}),
            ),
            (
                json!({"url": "u", "branch": "b", "serviceAccountName": "me",
                       "build": {"strategy": "files", "dockerfile": "D", "context": "c", "timeout": "1m0s", "cache": false}}),
                json!({"url": "u", "branch": "b", "service": "web", "serviceAccountName": "me",
                       "build": {"strategy": "files", "dockerfile": "D", "context": "c", "timeout": "1m0s", "cache": false}}),
            ),
        ] {
            let mut object = json!({"metadata": {"name": "web"}, "spec": spec});
            apply(&mut object, &Context::default());
            assert_eq!(object["spec"], defaulted);
            let once = object.clone();
            apply(&mut object, &Context::default());
            assert_eq!(object, once);
        }
    }

    #[test]
    fn an_update_of_the_status_changes_nothing() {
        let mut object = json!({"metadata": {"name": "web"}});
        let context = Context {
            status_only: true,
            ..Context::default()
        };
        apply(&mut object, &context);
        assert_eq!(object, json!({"metadata": {"name": "web"}}));
    }
}
