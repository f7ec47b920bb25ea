//! `networking.internal.knative.dev`: what the routes ask of the ingress and the autoscaler of the data path.

use serde::{Deserialize, Serialize};

mod certificate;
mod domain_claim;
mod ingress;
mod serverless_service;

pub use certificate::{Certificate, CertificateSpec, CertificateStatus, Http01Challenge};
pub use domain_claim::{ClusterDomainClaim, ClusterDomainClaimSpec};
pub use ingress::{
    HeaderMatch, HttpIngressPath, HttpIngressRuleValue, HttpOption, Ingress, IngressBackendSplit,
    IngressRule, IngressSpec, IngressStatus, IngressTls, IngressVisibility, LoadBalancerIngressStatus,
    LoadBalancerStatus,
};
pub use serverless_service::{
    ServerlessService, ServerlessServiceMode, ServerlessServiceSpec, ServerlessServiceStatus,
};

/// API group of the kinds in this module.
pub const GROUP: &str = "networking.internal.knative.dev";

/// Protocol that an application speaks on its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProtocolType {
    /// HTTP/2 in clear text, by prior knowledge.
    #[serde(rename = "h2c")]
    H2c,
    /// HTTP/1.1; also what an unknown text is read as.
    #[default]
    #[serde(rename = "http1", other)]
    Http1,
}

impl ProtocolType {
    /// The wire text, which is also the port name that chooses the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::H2c => "h2c",
        }
    }
}
