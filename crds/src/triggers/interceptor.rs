//! ClusterInterceptor and Interceptor: services that look at events before triggers do.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::status;
use crate::types::Addressable;

/// A service for every namespace.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1alpha1",
    kind = "ClusterInterceptor",
    plural = "clusterinterceptors",
    shortname = "ci",
    status = "InterceptorStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A service that triggers of every namespace may ask about events.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterInterceptorSpec {
    /// Where it is.
    #[serde(default)]
    pub client_config: ClientConfig,
}

/// A service for the triggers of its namespace.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "triggers.tekton.dev",
    version = "v1alpha1",
    kind = "Interceptor",
    plural = "interceptors",
    shortname = "ni",
    namespaced,
    status = "InterceptorStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A service that triggers of its namespace may ask about events.",
    category = "tekton",
    category = "tekton-triggers",
    label("app.kubernetes.io/part-of", "tekton-triggers")
)]
#[serde(rename_all = "camelCase")]
pub struct InterceptorSpec {
    /// Where it is.
    #[serde(default)]
    pub client_config: ClientConfig,
}

/// Where an interceptor is: a URL, or a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfig {
    /// Certificate authorities in PEM, as base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<String>,
    /// An absolute URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A Service of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceReference>,
}

/// A Service, and what is asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceReference {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Path of the requests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// Its port: 80, or 8443 with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

status! {
    /// What has been observed of it.
    InterceptorStatus {
        /// Where it is asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
    }
}
