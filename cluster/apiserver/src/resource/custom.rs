//! Custom resource definitions turned into resources.

use std::sync::Arc;

use cluster_machinery::Schema;
use formats::jsonpath::JsonPath;
use serde_json::Value;

use super::{Origin, Resource, Subresource, api_version};
use crate::conversion::Converter;

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const SUBRESOURCE_VERBS: &[&str] = &["get", "patch", "update"];

/// What a custom resource has beyond a built-in one.
#[derive(Debug)]
pub(crate) struct CustomVersion {
    /// Name of the definition, `plural.group`.
    pub(crate) definition: String,
    /// Revision of the definition that this was made from.
    pub(crate) revision: u64,
    pub(crate) schema: Option<Schema>,
    pub(crate) columns: Vec<Column>,
    pub(crate) scale: Option<ScalePaths>,
    /// JSON paths (`.spec.color`) that field selectors may name.
    pub(crate) selectable: Vec<String>,
    /// Who converts between versions; without one only the `apiVersion` changes.
    pub(crate) converter: Option<Arc<Converter>>,
    /// Only one version was ever stored and its schema never changed, so stored bytes need no work.
    pub(super) stored_as_served: bool,
}

/// One of `additionalPrinterColumns`.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) format: String,
    pub(crate) description: String,
    pub(crate) priority: i64,
    /// Compiled `jsonPath`; `None` for one that cannot be read, whose cells stay empty.
    pub(crate) path: Option<JsonPath>,
}

/// Where the scale subresource finds its numbers: JSON paths with a leading dot.
#[derive(Clone, Debug)]
pub(crate) struct ScalePaths {
    pub(crate) spec_replicas: String,
    pub(crate) status_replicas: String,
    pub(crate) selector: Option<String>,
}

impl CustomVersion {
    /// Completes what was stored, and perhaps converted, as an object of this version.
    pub(super) fn complete(&self, api_version: &str, value: &mut Value) {
        if let Some(object) = value.as_object_mut() {
            object.insert("apiVersion".into(), api_version.into());
        }
        if let Some(schema) = &self.schema {
            schema.prune(value);
            schema.default(value);
        }
    }
}

/// Returns the served resources of a `CustomResourceDefinition` whose names are accepted, newest version first.
pub(crate) fn from_definition(
    revision: u64,
    definition: &Value,
    converter: Option<Arc<Converter>>,
) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &definition["status"]["acceptedNames"];
    let group = text(&spec["group"]);
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(storage) = versions.iter().find(|version| version["storage"] == true) else {
        return Vec::new();
    };
    let mut conditions = definition["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten();
    if !conditions.any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
        return Vec::new();
    }
    let storage_api_version = api_version(&group, &text(&storage["name"]));
    let unchanged = definition["metadata"]["generation"].as_i64().unwrap_or(1) <= 1 && versions.len() == 1;
    let make = |version: &Value| {
        let subresources = &version["subresources"];
        let kind = text(&names["kind"]);
        let version_name = text(&version["name"]);
        let scale = subresources
            .get("scale")
            .filter(|scale| scale.is_object())
            .map(|scale| ScalePaths {
                spec_replicas: text(&scale["specReplicasPath"]),
                status_replicas: text(&scale["statusReplicasPath"]),
                selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
            });
        let mut served = Vec::new();
        if subresources.get("status").is_some_and(Value::is_object) {
            served.push(Subresource {
                name: "status".into(),
                group: group.clone(),
                version: version_name.clone(),
                kind: kind.clone(),
                verbs: SUBRESOURCE_VERBS.to_vec(),
            });
        }
        if scale.is_some() {
            served.push(Subresource {
                name: "scale".into(),
                group: "autoscaling".into(),
                version: "v1".into(),
                kind: "Scale".into(),
                verbs: SUBRESOURCE_VERBS.to_vec(),
            });
        }
        Resource {
            group: group.clone(),
            version: version_name,
            list_kind: names["listKind"]
                .as_str()
                .map_or_else(|| format!("{kind}List"), str::to_owned),
            singular: names["singular"]
                .as_str()
                .map_or_else(|| kind.to_lowercase(), str::to_owned),
            kind,
            plural: text(&names["plural"]),
            short_names: texts(&names["shortNames"]),
            categories: texts(&names["categories"]),
            namespaced: spec["scope"] == "Namespaced",
            verbs: VERBS.to_vec(),
            subresources: served,
            storage_group: group.clone(),
            storage_api_version: storage_api_version.clone(),
            origin: Origin::Custom(Box::new(CustomVersion {
                definition: text(&definition["metadata"]["name"]),
                revision,
                schema: schema(definition, version),
                columns: columns(&version["additionalPrinterColumns"]),
                scale,
                selectable: version["selectableFields"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|field| text(&field["jsonPath"]))
                    .collect(),
                converter: converter.clone(),
                stored_as_served: unchanged,
            })),
        }
    };
    versions
        .iter()
        .filter(|version| version["served"] == true)
        .map(make)
        .collect()
}

/// Compiles the schema of a version. The definition was checked when it was written, so a failure is worth a log line.
fn schema(definition: &Value, version: &Value) -> Option<Schema> {
    let document = version.pointer("/schema/openAPIV3Schema")?;
    Schema::for_custom_resource(document)
        .inspect_err(|error| {
            let name = crate::meta::name(definition);
            tracing::warn!(%error, name, "Schema of a custom resource cannot be used");
        })
        .ok()
}

fn columns(value: &Value) -> Vec<Column> {
    let read = |column: &Value| Column {
        name: text(&column["name"]),
        kind: text(&column["type"]),
        format: text(&column["format"]),
        description: text(&column["description"]),
        priority: column["priority"].as_i64().unwrap_or(0),
        path: JsonPath::parse_relaxed(&text(&column["jsonPath"])).ok(),
    };
    match value.as_array() {
        Some(columns) if !columns.is_empty() => columns.iter().map(read).collect(),
        // Upstream's default: nothing but the age.
        _ => vec![Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description:
                "CreationTimestamp is a timestamp representing the server time when this object was created."
                    .into(),
            priority: 0,
            path: JsonPath::parse_relaxed(".metadata.creationTimestamp").ok(),
        }],
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}
