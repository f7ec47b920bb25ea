//! Trigger: which events, which params, which objects.

use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::template::TriggerTemplateSpec;
use crate::duck::status;

/// What is done with an event.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1beta1",
    kind = "Trigger",
    plural = "triggers",
    shortname = "tri",
    namespaced,
    status = "TriggerStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Says which objects are made of which events.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers")
)]
#[serde(rename_all = "camelCase")]
pub struct TriggerSpec {
    /// A name for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where params come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<BindingRef>,
    /// What is created.
    #[serde(default)]
    pub template: TemplateRef,
    /// Who looks at the event before, one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interceptors: Vec<TriggerInterceptor>,
    /// Who creates; the listener itself unless said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
}

/// A binding elsewhere, or one param here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BindingRef {
    /// Name of the param.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its value: a text with expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Name of a binding elsewhere.
    #[serde(default, rename = "ref", skip_serializing_if = "String::is_empty")]
    pub reference: String,
    /// `TriggerBinding` unless it is a `ClusterTriggerBinding`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its version, which is of no consequence.
    #[serde(
        default,
        rename = "apiversion",
        alias = "apiVersion",
        skip_serializing_if = "String::is_empty"
    )]
    pub api_version: String,
}

/// A template elsewhere, or here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateRef {
    /// Name of a TriggerTemplate.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Its version, which is of no consequence.
    #[serde(
        default,
        rename = "apiversion",
        alias = "apiVersion",
        skip_serializing_if = "String::is_empty"
    )]
    pub api_version: String,
    /// The template itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<TriggerTemplateSpec>,
}

/// Who looks at an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TriggerInterceptor {
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// An interceptor.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<InterceptorRef>,
    /// What it is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<InterceptorParam>,
    /// A service of the old protocol, which answers with the event as it is to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<WebhookInterceptor>,
}

/// Names an interceptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InterceptorRef {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// `ClusterInterceptor` unless it is a `NamespacedInterceptor`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its version, which is of no consequence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
}

/// What an interceptor is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InterceptorParam {
    /// Name of the param.
    #[serde(default)]
    pub name: String,
    /// Its value, of any shape.
    #[serde(default)]
    pub value: Value,
}

/// A service of the old protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookInterceptor {
    /// A Service of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_ref: Option<ObjectRef>,
    /// An absolute URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers that it is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub header: Vec<WebhookHeader>,
}

/// An object by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its kind: `Service`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its namespace, unless it is that of the trigger.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
}

/// A header that is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookHeader {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its values: a text, or a list.
    #[serde(default)]
    pub value: crate::tekton::ParamValue,
}

status! {
    /// Nothing is observed of it.
    TriggerStatus {}
}
