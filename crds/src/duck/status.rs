//! What the statuses of these kinds share.

use serde::{Deserialize, Serialize};

/// The identity that an object sends events with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthStatus {
    /// Name of the ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Names of the ServiceAccounts, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_account_names: Vec<String>,
}

/// A policy that says who may send events to an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReference {
    /// Its API version.
    #[serde(default)]
    pub api_version: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Attributes of the events that a source sends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CloudEventAttributes {
    /// Type of the events.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<String>,
    /// Source of the events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Declares a status type: its own fields beside those that every status has.
macro_rules! status {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The living conditions, sorted by type.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub conditions: Vec<$crate::conditions::Condition>,
            /// The generation of the spec that this status speaks of.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub observed_generation: Option<i64>,
            /// Annotations that belong to the status rather than to the object.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub annotations: Option<std::collections::BTreeMap<String, String>>,
            $($(#[$field_meta])* pub $field: $type,)*
        }

        $crate::conditions::conditioned!($name);
    };
}
pub(crate) use status;
