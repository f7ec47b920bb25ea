//! Is an object of the kinds of events what it may be? With the words that clients match on.
//!
//! Filters are not looked at here: who compiles them tells what is wrong with them.

mod delivery;
mod destination;
mod eventing;
mod flows;
mod messaging;
mod sources;

use serde_json::Value;

use super::{FieldError, FieldErrors, diff};
use crate::config::Data;
use crate::config::events::Configs;
use crate::resource::events::{Context, Resource};
use crate::resource::field;

/// Checks an object; what is wrong with it.
pub fn validate(resource: Resource, object: &Value, context: &Context<'_>) -> FieldErrors {
    // An update of the status cannot change the rest, which may have been valid under an earlier configuration.
    if context.status_only {
        return FieldErrors::default();
    }
    match resource {
        Resource::Broker => eventing::broker(object, context),
        Resource::Trigger => eventing::trigger(object, context),
        Resource::EventType => eventing::event_type(object),
        Resource::EventPolicy => eventing::event_policy(object, context),
        Resource::RequestReply => eventing::request_reply(object, context),
        Resource::Channel => messaging::channel(object, context),
        Resource::InMemoryChannel => messaging::in_memory_channel(object, context),
        Resource::Subscription => messaging::subscription(object, context),
        Resource::Sequence => flows::sequence(object, context),
        Resource::Parallel => flows::parallel(object, context),
        Resource::ApiServerSource => sources::api_server(object, context),
        Resource::PingSource => sources::ping(object, context),
        Resource::ContainerSource => sources::container(object, context),
        Resource::SinkBinding => sources::sink_binding(object, context),
        Resource::GitHubSource => sources::git_hub(object, context),
        Resource::JobSink => sources::job_sink(object),
    }
}

/// Checks a ConfigMap of the namespace of the events; one that is none of ours is always valid.
///
/// # Errors
/// Says what is wrong, in the words that a user sees.
pub fn config_map(object: &Value) -> Result<(), String> {
    super::config_map::check(object, |name: &str, data: &Data| {
        Configs::default().update(name, data)
    })
}

/// Complains if anything in the spec but `mutable` has changed.
fn immutable_spec(object: &Value, context: &Context<'_>, mutable: &[&str]) -> Option<FieldError> {
    let fixed = |object: &Value| {
        let mut spec = field(object, "spec").clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.retain(|name, _| !mutable.contains(&name.as_str()));
        }
        spec
    };
    let difference = diff::diff(&fixed(context.old?), &fixed(object));
    let error =
        FieldError::new("Immutable fields changed (-old +new)", "spec").with_details(difference.clone());
    (!difference.is_empty()).then_some(error)
}

/// Two texts that should be the same, as the details of a complaint show them.
fn changed_text(old: &str, new: &str) -> Option<String> {
    (old != new).then(|| format!("{{string}}:\n\t-: {old:?}\n\t+: {new:?}\n"))
}

#[cfg(test)]
mod tests;
