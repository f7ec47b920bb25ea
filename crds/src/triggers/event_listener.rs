//! EventListener: a place where events arrive.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::trigger::{BindingRef, TemplateRef, TriggerInterceptor};
use crate::duck::status;
use crate::types::Addressable;

/// Which triggers there are, and what runs the listener.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1beta1",
    kind = "EventListener",
    plural = "eventlisteners",
    shortname = "el",
    namespaced,
    status = "EventListenerStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A place where events arrive.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers"),
    printcolumn(name = "Address", type_ = "string", json_path = r#".status.address.url"#),
    printcolumn(
        name = "Available",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Available')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Available')].reason"#
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct EventListenerSpec {
    /// Who it runs as.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// Triggers here, and by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<EventListenerTrigger>,
    /// Triggers by selectors, behind interceptors that they share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trigger_groups: Vec<EventListenerTriggerGroup>,
    /// Namespaces whose triggers are meant.
    #[serde(default)]
    pub namespace_selector: NamespaceSelector,
    /// Which triggers are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// What runs it.
    #[serde(default)]
    pub resources: Resources,
    /// Where it tells by events what becomes of others.
    #[serde(default, rename = "cloudEventURI", skip_serializing_if = "String::is_empty")]
    pub cloud_event_uri: String,
}

/// A trigger here, or by its name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventListenerTrigger {
    /// Its name, for people and labels.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where params come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<BindingRef>,
    /// What is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRef>,
    /// Name of a Trigger, instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trigger_ref: String,
    /// Who looks at the event before, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interceptors: Vec<TriggerInterceptor>,
    /// Who creates; the listener itself unless said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
}

/// Triggers by a selector, behind interceptors that they share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventListenerTriggerGroup {
    /// Its name, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Who looks at the event before the triggers do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interceptors: Vec<TriggerInterceptor>,
    /// The triggers.
    #[serde(default)]
    pub trigger_selector: EventListenerTriggerSelector,
}

/// Which triggers are meant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventListenerTriggerSelector {
    /// Those of these namespaces.
    #[serde(default)]
    pub namespace_selector: NamespaceSelector,
    /// Those with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
}

/// Namespaces by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// The names; `*` is every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub match_names: Vec<String>,
}

impl NamespaceSelector {
    /// Are all namespaces meant?
    pub fn is_every(&self) -> bool {
        self.match_names.iter().any(|name| name == "*")
    }
}

/// What runs a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// A Deployment and a Service; so it is unless something else is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_resource: Option<KubernetesResource>,
    /// An object with a pod template, such as a Service of Knative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_resource: Option<Value>,
}

/// How a Deployment and a Service run a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesResource {
    /// Pods; one unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Type of the Service.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_type: String,
    /// Port of the Service: 8080, or 8443 with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_port: Option<i32>,
    /// Class of the load balancer of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_load_balancer_class: Option<String>,
    /// What the pods are to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<WithPodTemplate>,
}

/// Something with a pod template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WithPodTemplate {
    /// The template.
    #[serde(default)]
    pub template: PodTemplateSpec,
}

status! {
    /// What has been observed of it.
    EventListenerStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// What runs it.
        #[serde(default)]
        pub configuration: EventListenerConfig,
    }
}

/// What runs a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventListenerConfig {
    /// Name of the Deployment and the Service.
    #[serde(default)]
    pub generated_name: String,
}
