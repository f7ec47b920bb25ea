//! What defaulting and validation are told about a request.
//!
//! Both work on the JSON as it came, not on the typed resources: a field that the types do not know must survive
//! defaulting, and must be seen by validation. The readers here take a field of the wrong type for one that is absent;
//! wrong types are told when a request is decoded.

use serde_json::Value;

pub mod events;
pub mod spindrift;
pub mod tekton;

use crate::config::Configs;
use crate::{autoscaling, networking, serving};

/// The kinds that admission looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Resource {
    /// serving.knative.dev Service
    Service,
    /// serving.knative.dev Configuration
    Configuration,
    /// serving.knative.dev Revision
    Revision,
    /// serving.knative.dev Route
    Route,
    /// serving.knative.dev DomainMapping
    DomainMapping,
    /// autoscaling.internal.knative.dev PodAutoscaler
    PodAutoscaler,
    /// autoscaling.internal.knative.dev Metric
    Metric,
    /// networking.internal.knative.dev Ingress
    Ingress,
    /// networking.internal.knative.dev ServerlessService
    ServerlessService,
    /// networking.internal.knative.dev Certificate
    Certificate,
    /// networking.internal.knative.dev ClusterDomainClaim
    ClusterDomainClaim,
}

impl Resource {
    /// The resource of a group and kind; `None` if admission has no say in it.
    pub fn find(group: &str, kind: &str) -> Option<Self> {
        Some(match (group, kind) {
            (serving::GROUP, "Service") => Self::Service,
            (serving::GROUP, "Configuration") => Self::Configuration,
            (serving::GROUP, "Revision") => Self::Revision,
            (serving::GROUP, "Route") => Self::Route,
            (serving::GROUP, "DomainMapping") => Self::DomainMapping,
            (autoscaling::GROUP, "PodAutoscaler") => Self::PodAutoscaler,
            (autoscaling::GROUP, "Metric") => Self::Metric,
            (networking::GROUP, "Ingress") => Self::Ingress,
            (networking::GROUP, "ServerlessService") => Self::ServerlessService,
            (networking::GROUP, "Certificate") => Self::Certificate,
            (networking::GROUP, "ClusterDomainClaim") => Self::ClusterDomainClaim,
            _ => return None,
        })
    }

    /// Reads the object as the typed resource, to tell fields of the wrong type.
    ///
    /// # Errors
    /// Says which type was expected.
    pub fn check_types(self, object: &Value) -> Result<(), serde_json::Error> {
        use serde::Deserialize as _;
        match self {
            Self::Service => serving::Service::deserialize(object).map(drop),
            Self::Configuration => serving::Configuration::deserialize(object).map(drop),
            Self::Revision => serving::Revision::deserialize(object).map(drop),
            Self::Route => serving::Route::deserialize(object).map(drop),
            Self::DomainMapping => serving::DomainMapping::deserialize(object).map(drop),
            Self::PodAutoscaler => autoscaling::PodAutoscaler::deserialize(object).map(drop),
            Self::Metric => autoscaling::Metric::deserialize(object).map(drop),
            Self::Ingress => networking::Ingress::deserialize(object).map(drop),
            Self::ServerlessService => networking::ServerlessService::deserialize(object).map(drop),
            Self::Certificate => networking::Certificate::deserialize(object).map(drop),
            Self::ClusterDomainClaim => networking::ClusterDomainClaim::deserialize(object).map(drop),
        }
    }
}

/// What is being done to an object, and under which configuration.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The install's configuration.
    pub configs: &'a Configs,
    /// Domain of the cluster, normally `cluster.local`.
    pub cluster_domain: &'a str,
    /// The object as it was before an update; `None` on creation.
    pub old: Option<&'a Value>,
    /// Is only the status updated?
    pub status_only: bool,
    /// Who asks.
    pub user: &'a str,
}

impl<'a> Context<'a> {
    /// A creation by nobody in particular.
    pub fn creating(configs: &'a Configs) -> Self {
        Self {
            configs,
            cluster_domain: crate::names::CLUSTER_DOMAIN,
            old: None,
            status_only: false,
            user: "",
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

/// The value of a field, unless it is absent or null.
pub(crate) fn get<'v>(object: &'v Value, field: &str) -> Option<&'v Value> {
    object.get(field).filter(|value| !value.is_null())
}

/// The text of a field; empty if it has none.
pub(crate) fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The number of a field.
pub(crate) fn integer(object: &Value, field: &str) -> Option<i64> {
    object.get(field).and_then(Value::as_i64)
}

/// The entries of a field that is a list.
pub(crate) fn list<'v>(object: &'v Value, field: &str) -> &'v [Value] {
    object
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The pairs of a field that is a map of texts.
pub(crate) fn pairs<'v>(object: &'v Value, field: &str) -> impl Iterator<Item = (&'v str, &'v str)> {
    let map = object.get(field).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// `metadata` of an object, or of a template; null if there is none.
pub(crate) fn metadata(object: &Value) -> &Value {
    field(object, "metadata")
}

/// A field; null if there is none.
pub(crate) fn field<'v>(object: &'v Value, name: &str) -> &'v Value {
    object.get(name).unwrap_or(&Value::Null)
}

/// Is this the value that a field has when nobody sets it? An empty object counts as set.
pub(crate) fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        Value::Bool(true) | Value::Object(_) => false,
    }
}
