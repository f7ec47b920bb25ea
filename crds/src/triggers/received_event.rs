//! ReceivedEvent: an event that a listener has taken, and what became of it.
//!
//! It is written before the event is acknowledged, so that an event outlives whoever works on it. When every trigger
//! has been decided the body goes; what was decided stays for a while, so that a delivery that is made again is known.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// The event.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "spindrift.dev",
    version = "v1alpha1",
    kind = "ReceivedEvent",
    plural = "receivedevents",
    namespaced,
    status = "ReceivedEventStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "An event that an EventListener has taken, and what became of it.",
    category = "spindrift",
    printcolumn(name = "Listener", type_ = "string", json_path = r#".spec.listener"#),
    printcolumn(name = "State", type_ = "string", json_path = r#".status.state"#),
    printcolumn(name = "Made", type_ = "integer", json_path = r#".status.made"#),
    printcolumn(name = "Failed", type_ = "integer", json_path = r#".status.failed"#),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#)
)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedEventSpec {
    /// Name of the EventListener.
    #[serde(default)]
    pub listener: String,
    /// Id of the event: that of its answer, and in the labels of what is made of it.
    #[serde(default, rename = "eventID")]
    pub event_id: String,
    /// The sender's own id of the delivery, which is the same when it is made again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub delivery: String,
    /// When it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Time>,
    /// What came; gone when nothing remains to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

/// A request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Its URL, as far as it was told.
    #[serde(default)]
    pub url: String,
    /// Its headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Its body: gzip, as base64; or the first part of that.
    #[serde(default)]
    pub body: String,
    /// Further parts of the body, each an object of its own.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more_parts: u32,
}

fn is_none(number: &u32) -> bool {
    *number == 0
}

/// A header; one that came several times is there several times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// What became of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceivedEventStatus {
    /// How far it is.
    #[serde(default)]
    pub state: State,
    /// When every trigger had been decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Time>,
    /// Objects that were made.
    #[serde(default)]
    pub made: usize,
    /// Triggers that failed.
    #[serde(default)]
    pub failed: usize,
    /// What was decided, by trigger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
}

/// How far an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It was stored, and its triggers have not all been decided.
    #[default]
    Accepted,
    /// They have been.
    Done,
}

/// What became of an event in one trigger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// `<namespace>/<name>` of the trigger, or its place in the listener.
    #[serde(default)]
    pub trigger: String,
    /// What became of it.
    #[serde(default)]
    pub outcome: Outcome,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<Made>,
}

/// What may become of an event in a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// All objects were made.
    Made,
    /// An interceptor said that the event is none for this trigger.
    Stopped,
    /// Something went wrong; a delivery that is made again tries again.
    #[default]
    Failed,
}

/// An object that a trigger made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Made {
    /// Its group and version.
    #[serde(default)]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}
