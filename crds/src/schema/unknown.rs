//! Which fields of an object its schema does not know.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{eventing, flows, messaging, sources};
use crate::resource::events::Resource;

/// The schemas of the specs that admission checks for unknown fields.
static SPECS: LazyLock<HashMap<Resource, Value>> = LazyLock::new(|| {
    let all = [
        (Resource::Broker, eventing::broker()),
        (Resource::Trigger, eventing::trigger()),
        (Resource::EventType, eventing::event_type()),
        (Resource::EventPolicy, eventing::event_policy()),
        (Resource::RequestReply, eventing::request_reply()),
        (Resource::Channel, messaging::channel()),
        (Resource::InMemoryChannel, messaging::in_memory_channel()),
        (Resource::Subscription, messaging::subscription()),
        (Resource::Sequence, flows::sequence()),
        (Resource::Parallel, flows::parallel()),
        (Resource::ApiServerSource, sources::api_server_source()),
        (Resource::PingSource, sources::ping_source()),
        (Resource::ContainerSource, sources::container_source()),
        (Resource::SinkBinding, sources::sink_binding()),
        (Resource::GitHubSource, sources::git_hub_source()),
        (Resource::JobSink, sources::job_sink()),
    ];
    let spec = |mut schema: Value| {
        schema
            .pointer_mut("/properties/spec")
            .map(Value::take)
            .unwrap_or_default()
    };
    all.into_iter()
        .map(|(resource, schema)| (resource, spec(schema)))
        .collect()
});

/// The names of fields in the spec of `object` that its kind does not have, in the order in which they stand there.
pub(crate) fn unknown_fields(resource: Resource, object: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    if let (Some(schema), Some(spec)) = (SPECS.get(&resource), object.get("spec")) {
        walk(spec, schema, &mut unknown);
    }
    unknown
}

fn walk(value: &Value, schema: &Value, unknown: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let known = schema.get("properties");
            let open = schema.get("x-kubernetes-preserve-unknown-fields").is_some();
            for (name, field) in fields {
                let inner = known.and_then(|known| known.get(name));
                match inner.or_else(|| schema.get("additionalProperties")) {
                    Some(schema) => walk(field, schema, unknown),
                    None if open => {}
                    None => unknown.push(name.clone()),
                }
            }
        }
        Value::Array(entries) => {
            let items = schema.get("items").unwrap_or(&Value::Null);
            entries.iter().for_each(|entry| walk(entry, items, unknown));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_fields_that_the_kind_does_not_have_are_unknown() {
        let trigger = json!({
            "metadata": {"anything": 1},
            "spec": {
                "broker": "b", "brocker": "x", "filter": {"attributes": {"type": "t"}, "attribute": 1},
                "filters": [{"exact": {"type": "t"}}, {"exakt": {}}, {"not": {"whatever": 1}}],
                "subscriber": {"ref": {"kind": "K", "nam": "n"}}, "delivery": {"deadLetterSink": {"url": "x"}},
            },
        });
        let mut unknown = unknown_fields(Resource::Trigger, &trigger);
        unknown.sort();
        assert_eq!(unknown, ["attribute", "brocker", "exakt", "nam", "url"]);
        let free =
            json!({"spec": {"channelTemplate": {"kind": "K", "spec": {"x": {"y": 1}}}, "delivery": "odd"}});
        assert!(unknown_fields(Resource::Channel, &free).is_empty());
    }
}
