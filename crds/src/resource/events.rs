//! The kinds of events, and what admission is told about a request for one.

use serde_json::Value;

use crate::config::events::Configs;
use crate::{eventing, flows, messaging, sinks, sources};

/// The kinds of events that admission looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// eventing.knative.dev Broker
    Broker,
    /// eventing.knative.dev Trigger
    Trigger,
    /// eventing.knative.dev EventType
    EventType,
    /// eventing.knative.dev EventPolicy
    EventPolicy,
    /// eventing.knative.dev RequestReply
    RequestReply,
    /// messaging.knative.dev Channel
    Channel,
    /// messaging.knative.dev InMemoryChannel
    InMemoryChannel,
    /// messaging.knative.dev Subscription
    Subscription,
    /// flows.knative.dev Sequence
    Sequence,
    /// flows.knative.dev Parallel
    Parallel,
    /// sources.knative.dev ApiServerSource
    ApiServerSource,
    /// sources.knative.dev PingSource
    PingSource,
    /// sources.knative.dev ContainerSource
    ContainerSource,
    /// sources.knative.dev SinkBinding
    SinkBinding,
    /// sources.knative.dev GitHubSource
    GitHubSource,
    /// sinks.knative.dev JobSink
    JobSink,
}

impl Resource {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Broker,
        Self::Trigger,
        Self::EventType,
        Self::EventPolicy,
        Self::RequestReply,
        Self::Channel,
        Self::InMemoryChannel,
        Self::Subscription,
        Self::Sequence,
        Self::Parallel,
        Self::ApiServerSource,
        Self::PingSource,
        Self::ContainerSource,
        Self::SinkBinding,
        Self::GitHubSource,
        Self::JobSink,
    ];

    /// The resource of a group and kind; `None` if admission has no say in it.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            (eventing::GROUP, "Broker") => Self::Broker,
            (eventing::GROUP, "Trigger") => Self::Trigger,
            (eventing::GROUP, "EventType") => Self::EventType,
            (eventing::GROUP, "EventPolicy") => Self::EventPolicy,
            (eventing::GROUP, "RequestReply") => Self::RequestReply,
            (messaging::GROUP, "Channel") => Self::Channel,
            (messaging::GROUP, "InMemoryChannel") => Self::InMemoryChannel,
            (messaging::GROUP, "Subscription") => Self::Subscription,
            (flows::GROUP, "Sequence") => Self::Sequence,
            (flows::GROUP, "Parallel") => Self::Parallel,
            (sources::GROUP, "ApiServerSource") => Self::ApiServerSource,
            (sources::GROUP, "PingSource") => Self::PingSource,
            (sources::GROUP, "ContainerSource") => Self::ContainerSource,
            (sources::GROUP, "SinkBinding") => Self::SinkBinding,
            (sources::GROUP, "GitHubSource") => Self::GitHubSource,
            (sinks::GROUP, "JobSink") => Self::JobSink,
            _ => return None,
        })
    }

    /// Reads the object as the typed resource, to tell fields of the wrong type. A spec may be left out.
    ///
    /// # Errors
    /// Says which type was expected.
    pub fn check_types(self, object: &Value) -> Result<(), serde_json::Error> {
        use serde::Deserialize as _;
        let mut object = object.clone();
        if object.get("spec").is_none_or(Value::is_null)
            && let Some(fields) = object.as_object_mut()
        {
            fields.insert("spec".to_owned(), Value::Object(serde_json::Map::new()));
        }
        let object = &object;
        match self {
            Self::Broker => eventing::Broker::deserialize(object).map(drop),
            Self::Trigger => eventing::Trigger::deserialize(object).map(drop),
            Self::EventType => eventing::EventType::deserialize(object).map(drop),
            Self::EventPolicy => eventing::EventPolicy::deserialize(object).map(drop),
            Self::RequestReply => eventing::RequestReply::deserialize(object).map(drop),
            Self::Channel => messaging::Channel::deserialize(object).map(drop),
            Self::InMemoryChannel => messaging::InMemoryChannel::deserialize(object).map(drop),
            Self::Subscription => messaging::Subscription::deserialize(object).map(drop),
            Self::Sequence => flows::Sequence::deserialize(object).map(drop),
            Self::Parallel => flows::Parallel::deserialize(object).map(drop),
            Self::ApiServerSource => sources::ApiServerSource::deserialize(object).map(drop),
            Self::PingSource => sources::PingSource::deserialize(object).map(drop),
            Self::ContainerSource => sources::ContainerSource::deserialize(object).map(drop),
            Self::SinkBinding => sources::SinkBinding::deserialize(object).map(drop),
            Self::GitHubSource => sources::GitHubSource::deserialize(object).map(drop),
            Self::JobSink => sinks::JobSink::deserialize(object).map(drop),
        }
    }

    /// Names of fields in the spec of `object` that the kind does not have, in the order in which they stand there.
    pub fn unknown_fields(self, object: &Value) -> Vec<String> {
        crate::schema::unknown_fields(self, object)
    }
}

/// What is being done to an object, and under which configuration.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The configuration of the install.
    pub configs: &'a Configs,
    /// The object as it was before an update; `None` on creation.
    pub old: Option<&'a Value>,
    /// Is only the status updated?
    pub status_only: bool,
    /// Who asks.
    pub user: &'a str,
    /// Namespace of the platform's own parts.
    pub system_namespace: &'a str,
    /// The one that may change the subscribers of channels, by the name it has as a user; empty: anybody may.
    pub controller: &'a str,
}

impl<'a> Context<'a> {
    /// A creation by nobody in particular.
    pub fn creating(configs: &'a Configs) -> Self {
        Self {
            configs,
            old: None,
            status_only: false,
            user: "",
            system_namespace: crate::names::EVENTING_NAMESPACE,
            controller: "",
        }
    }

    /// An update of `old` by nobody in particular.
    pub fn updating(configs: &'a Configs, old: &'a Value) -> Self {
        Self {
            old: Some(old),
            ..Self::creating(configs)
        }
    }
}
