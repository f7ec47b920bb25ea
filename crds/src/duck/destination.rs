//! Where events are sent.

use serde::{Deserialize, Serialize};

use crate::types::KReference;

/// A receiver of events (`duck.knative.dev/v1 Destination`): something addressable, a URI, or a URI relative to
/// something addressable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// Something with an address.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<KReference>,
    /// An absolute URL, or a reference that is resolved against the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Certificate authorities of the receiver, PEM; wins over those of the address.
    #[serde(default, rename = "CACerts", skip_serializing_if = "Option::is_none")]
    pub ca_certs: Option<String>,
    /// OIDC audience of the receiver; wins over that of the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

impl Destination {
    /// The destination at an absolute URL.
    pub fn at(uri: impl Into<String>) -> Self {
        Self {
            uri: Some(uri.into()),
            ..Self::default()
        }
    }

    /// Something that has an address.
    pub fn of(reference: KReference) -> Self {
        Self {
            reference: Some(reference),
            ..Self::default()
        }
    }

    /// Does it name nothing at all?
    pub fn is_empty(&self) -> bool {
        self.reference.is_none() && self.uri.is_none()
    }
}
