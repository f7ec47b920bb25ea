//! EventType: a type of events that can be had somewhere.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::status;
use crate::types::KReference;

/// A type of events, and who sends them.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventing.knative.dev",
    version = "v1beta2",
    kind = "EventType",
    plural = "eventtypes",
    namespaced,
    status = "EventTypeStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A type of events that can be had from a broker, a channel or a source.",
    category = "all",
    category = "knative",
    category = "eventing",
    label("knative.dev/crd-install", "true"),
    printcolumn(name = "Type", type_ = "string", json_path = r#".spec.type"#),
    printcolumn(name = "Source", type_ = "string", json_path = r#".spec.source"#),
    printcolumn(name = "Schema", type_ = "string", json_path = r#".spec.schema"#),
    printcolumn(
        name = "Reference Name",
        type_ = "string",
        json_path = r#".spec.reference.name"#
    ),
    printcolumn(
        name = "Reference Kind",
        type_ = "string",
        json_path = r#".spec.reference.kind"#
    ),
    printcolumn(name = "Description", type_ = "string", json_path = r#".spec.description"#),
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
pub struct EventTypeSpec {
    /// Type of the events.
    #[serde(default, rename = "type")]
    pub type_: String,
    /// Source of the events, a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// URI of the schema of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The schema itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_data: Option<String>,
    /// Name of the broker that has them; `reference` says it better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// Who has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<KReference>,
    /// What they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Attributes of the events: how v1beta3 says what `type`, `source` and `schemaData` say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<EventTypeAttribute>,
}

/// An attribute that events of a type have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTypeAttribute {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether each event has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Its value, if all have the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Attributes that every EventType of v1beta3 lists.
pub const EVENT_TYPE_ATTRIBUTES: [&str; 4] = ["type", "source", "specversion", "id"];
/// The attribute that `schemaData` is in v1beta3.
const SCHEMA_DATA: &str = "schemadata";

impl EventTypeSpec {
    /// The same with what v1beta3 shows of it: its fields win over attributes that say otherwise, and attributes of
    /// which the fields know nothing stay.
    #[must_use]
    pub fn with_attributes(mut self) -> Self {
        let fields = [
            ("type", Some(self.type_.clone())),
            ("source", self.source.clone()),
            (SCHEMA_DATA, self.schema_data.clone()),
        ];
        for (name, value) in fields {
            let value = value.filter(|value| !value.is_empty());
            if value.is_none() && name == SCHEMA_DATA {
                self.attributes.retain(|known| known.name != name);
            } else {
                self.attribute(name).value = value;
            }
        }
        for name in EVENT_TYPE_ATTRIBUTES {
            self.attribute(name);
        }
        self
    }

    /// The same with what the older versions show of it: attributes win over fields that say otherwise.
    #[must_use]
    pub fn with_fields(mut self) -> Self {
        let value = |name: &str| {
            let mut all = self.attributes.iter();
            let found = all.find(|known| known.name == name)?;
            found.value.clone().filter(|value| !value.is_empty())
        };
        let (type_, source, schema) = (value("type"), value("source"), value(SCHEMA_DATA));
        self.type_ = type_.unwrap_or_default();
        self.source = source;
        self.schema_data = schema;
        self
    }

    /// The attribute of this name, which is added if it is missing.
    fn attribute(&mut self, name: &str) -> &mut EventTypeAttribute {
        let at = self.attributes.iter().position(|known| known.name == name);
        let at = at.unwrap_or_else(|| {
            self.attributes.push(EventTypeAttribute {
                name: name.to_owned(),
                required: Some(name != SCHEMA_DATA),
                value: None,
            });
            self.attributes.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed above")]
        &mut self.attributes[at]
    }
}

status! {
    /// Whether that resource is there.
    EventTypeStatus {
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(value: Value) -> EventTypeSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        let old = spec(json!({"type": "t", "source": "/s", "schemaData": "{}", "description": "d"}));
        let both = old.clone().with_attributes();
        let attributes = serde_json::to_value(&both.attributes).unwrap();
        assert_eq!(
            attributes,
            json!([
                {"name": "type", "required": true, "value": "t"},
                {"name": "source", "required": true, "value": "/s"},
                {"name": "schemadata", "required": false, "value": "{}"},
                {"name": "specversion", "required": true},
                {"name": "id", "required": true},
            ])
        );
        assert_eq!(
            both.clone().with_attributes(),
            both,
            "the second time changes nothing"
        );
        let new = EventTypeSpec {
            attributes: both.attributes.clone(),
            ..EventTypeSpec::default()
        };
        let back = new.with_fields();
        assert_eq!(
            (back.type_, back.source, back.schema_data),
            (old.type_, old.source, old.schema_data)
        );
    }

    #[test]
    fn what_only_one_form_knows_stays() {
        let both = spec(json!({
            "type": "new", "schema": "http://x",
            "attributes": [
                {"name": "type", "required": false, "value": "old"}, {"name": "own", "value": "1"},
                {"name": "schemadata", "value": "old"},
            ],
        }))
        .with_attributes();
        let names: Vec<&str> = both.attributes.iter().map(|known| known.name.as_str()).collect();
        assert_eq!(names, ["type", "own", "source", "specversion", "id"]);
        assert_eq!(both.attributes[0].value.as_deref(), Some("new"));
        assert_eq!(both.attributes[0].required, Some(false));
        let fields = spec(json!({"type": "old", "source": "/old", "schema": "http://x", "attributes": [{"name": "type", "value": "new"}]})).with_fields();
        assert_eq!((fields.type_.as_str(), fields.source.as_deref()), ("new", None));
        assert_eq!(fields.schema.as_deref(), Some("http://x"));
    }
}
