//! Whether the schema of a CustomResourceDefinition is structural
//! (`apiextensions/pkg/apis/apiextensions/validation` and `pkg/apiserver/schema`).

use serde_json::{Map, Value};

use super::Schema;
use super::node::Pattern;
use crate::field_error::{child, index};
use crate::{FieldError, MAX_DEPTH};

/// Keywords of JSON Schema that CRDs must not use.
const UNSUPPORTED: [&str; 8] = [
    "$ref",
    "id",
    "definitions",
    "dependencies",
    "patternProperties",
    "additionalItems",
    "$schema",
    "deprecated",
];

/// Keywords that must not occur below a junctor.
const STRUCTURE: [&str; 10] = [
    "type",
    "additionalProperties",
    "default",
    "title",
    "description",
    "nullable",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
];

/// Lists what makes `schema` (an `openAPIV3Schema`) unfit for a CustomResourceDefinition. `path` is where it
/// stands: `spec.versions[0].schema.openAPIV3Schema`.
#[must_use]
pub fn structural_errors(schema: &Value, path: &str) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new() };
    let Some(root) = schema.as_object() else {
        return vec![FieldError::required(path, "schemas are required")];
    };
    match root.get("type").and_then(Value::as_str).unwrap_or_default() {
        "object" => {}
        "" => check.errors.push(FieldError::required(
            child(path, "type"),
            "must not be empty at the root",
        )),
        other => check.errors.push(FieldError::invalid(
            child(path, "type"),
            &Value::from(other),
            "must be object at the root",
        )),
    }
    check.metadata(root, path);
    check.node(root, path, Place::Root, 0);
    if check.errors.is_empty() {
        check.defaults(schema, path);
    }
    check.errors
}

struct Check {
    errors: Vec<FieldError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Field,
    Items,
}

impl Check {
    fn forbid(&mut self, path: String, detail: &str) {
        self.errors.push(FieldError::forbidden(path, detail));
    }

    fn metadata(&mut self, root: &Map<String, Value>, path: &str) {
        let Some(metadata) = root
            .get("properties")
            .and_then(|properties| properties.get("metadata"))
        else {
            return;
        };
        let at = child(&child(path, "properties"), "metadata");
        if metadata.get("type").and_then(Value::as_str) != Some("object") {
            let found = metadata.get("type").cloned().unwrap_or(Value::from(""));
            self.errors
                .push(FieldError::invalid(child(&at, "type"), &found, "must be object"));
        }
        let own = metadata.get("properties").and_then(Value::as_object);
        for name in own.into_iter().flat_map(Map::keys) {
            if name != "name" && name != "generateName" {
                self.forbid(at.clone(), "must not specify anything other than name and generateName, but metadata is implicitly specified");
                return;
            }
        }
    }

    fn node(&mut self, map: &Map<String, Value>, path: &str, place: Place, depth: usize) {
        if depth > MAX_DEPTH {
            self.forbid(
                path.to_owned(),
                &format!("must not nest deeper than {MAX_DEPTH} levels"),
            );
            return;
        }
        self.keywords(map, path);
        self.type_given(map, path, place);
        self.extensions(map, path);
        if let Some(Value::Object(properties)) = map.get("properties") {
            for (name, field) in properties {
                let at = format!("{path}.properties[{name}]");
                self.child(field, &at, Place::Field, depth);
            }
        }
        match map.get("additionalProperties") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                self.forbid(
                    child(path, "additionalProperties"),
                    "additionalProperties cannot be set to false",
                );
            }
            Some(entries) => self.child(entries, &child(path, "additionalProperties"), Place::Field, depth),
        }
        if map.contains_key("additionalProperties")
            && map
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|properties| !properties.is_empty())
        {
            self.forbid(
                child(path, "additionalProperties"),
                "additionalProperties and properties are mutual exclusive",
            );
        }
        match map.get("items") {
            None => {
                if map.get("type").and_then(Value::as_str) == Some("array") {
                    self.errors
                        .push(FieldError::required(child(path, "items"), "must be specified"));
                }
            }
            Some(Value::Array(_)) => self.forbid(
                child(path, "items"),
                "items must be a schema object and not an array",
            ),
            Some(items) => self.child(items, &child(path, "items"), Place::Items, depth),
        }
        self.junctors(map, map, path, depth);
    }

    fn child(&mut self, document: &Value, path: &str, place: Place, depth: usize) {
        match document {
            Value::Object(map) => self.node(map, path, place, depth + 1),
            other => self
                .errors
                .push(FieldError::invalid(path, other, "must be a schema object")),
        }
    }

    fn keywords(&mut self, map: &Map<String, Value>, path: &str) {
        for keyword in UNSUPPORTED.iter().filter(|keyword| map.contains_key(**keyword)) {
            self.forbid(child(path, keyword), &format!("{keyword} is not supported"));
        }
        if map.get("uniqueItems") == Some(&Value::Bool(true)) {
            self.forbid(
                child(path, "uniqueItems"),
                "uniqueItems cannot be set to true since the runtime complexity becomes quadratic",
            );
        }
        if let Some(Value::String(pattern)) = map.get("pattern")
            && let Err(problem) = Pattern::check(pattern)
        {
            let detail = format!("must be a valid regular expression, but isn't: {problem}");
            self.errors.push(FieldError::invalid(
                child(path, "pattern"),
                &Value::from(pattern.as_str()),
                &detail,
            ));
        }
    }

    fn type_given(&mut self, map: &Map<String, Value>, path: &str, place: Place) {
        let int_or_string = flag(map, "x-kubernetes-int-or-string");
        let preserve = flag(map, "x-kubernetes-preserve-unknown-fields");
        let at = child(path, "type");
        match map.get("type").and_then(Value::as_str) {
            Some("object" | "array" | "string" | "integer" | "number" | "boolean") => {
                if int_or_string {
                    self.forbid(at, "must be empty if x-kubernetes-int-or-string is true");
                }
            }
            Some(other) if !other.is_empty() => self.errors.push(FieldError::not_supported(
                at,
                &Value::from(other),
                &["array", "boolean", "integer", "number", "object", "string"],
            )),
            _ if int_or_string || preserve => {}
            _ => match place {
                Place::Root => {}
                Place::Field => {
                    self.errors.push(FieldError::required(
                        at,
                        "must not be empty for specified object fields",
                    ));
                }
                Place::Items => {
                    self.errors.push(FieldError::required(
                        at,
                        "must not be empty for specified array items",
                    ));
                }
            },
        }
    }

    fn extensions(&mut self, map: &Map<String, Value>, path: &str) {
        let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
        if map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            self.errors.push(FieldError::invalid(
                child(path, "x-kubernetes-preserve-unknown-fields"),
                &Value::Bool(false),
                "must be true or undefined",
            ));
        }
        if flag(map, "x-kubernetes-embedded-resource") {
            if kind != "object" {
                self.errors.push(FieldError::invalid(
                    child(path, "type"),
                    &Value::from(kind),
                    "must be object if x-kubernetes-embedded-resource is true",
                ));
            }
            let described = map
                .get("properties")
                .and_then(Value::as_object)
                .is_some_and(|known| !known.is_empty());
            if !described && !flag(map, "x-kubernetes-preserve-unknown-fields") {
                self.errors.push(FieldError::required(
                    child(path, "properties"),
                    "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields",
                ));
            }
        }
        if let Some(value) = map.get("x-kubernetes-map-type") {
            let at = child(path, "x-kubernetes-map-type");
            if !matches!(value.as_str(), Some("atomic" | "granular")) {
                self.errors
                    .push(FieldError::not_supported(at, value, &["atomic", "granular"]));
            } else if kind != "object" {
                let detail = "must be object if x-kubernetes-map-type is specified";
                self.errors.push(FieldError::invalid(
                    child(path, "type"),
                    &Value::from(kind),
                    detail,
                ));
            }
        }
        self.list_type(map, path, kind);
    }

    fn list_type(&mut self, map: &Map<String, Value>, path: &str, kind: &str) {
        let keys: Vec<&str> = match map.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
            Some(keys) => keys.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        let at = child(path, "x-kubernetes-list-map-keys");
        let Some(value) = map.get("x-kubernetes-list-type") else {
            if !keys.is_empty() {
                self.forbid(at, "may only be specified if x-kubernetes-list-type is map");
            }
            return;
        };
        let list_type = value.as_str().unwrap_or_default();
        if !matches!(list_type, "atomic" | "set" | "map") {
            let known = ["atomic", "map", "set"];
            self.errors.push(FieldError::not_supported(
                child(path, "x-kubernetes-list-type"),
                value,
                &known,
            ));
        }
        if kind != "array" {
            let detail = "must be array if x-kubernetes-list-type is specified";
            self.errors.push(FieldError::invalid(
                child(path, "type"),
                &Value::from(kind),
                detail,
            ));
        }
        let items = map.get("items").and_then(Value::as_object);
        match list_type {
            "map" if keys.is_empty() => {
                self.errors.push(FieldError::required(
                    at,
                    "must not be empty if x-kubernetes-list-type is map",
                ));
            }
            "map" => self.map_keys(&keys, items, path),
            "set" => {
                let items_kind = items
                    .and_then(|items| items.get("type"))
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                let extension = |name: &str| items.and_then(|items| items.get(name)).and_then(Value::as_str);
                let atomic = match items_kind {
                    "object" => extension("x-kubernetes-map-type") == Some("atomic"),
                    "array" => extension("x-kubernetes-list-type").is_none_or(|list| list == "atomic"),
                    _ => true,
                };
                if !atomic {
                    let detail = "set as x-kubernetes-list-type requires atomic items";
                    self.errors.push(FieldError::invalid(
                        child(path, "items"),
                        &Value::from(items_kind),
                        detail,
                    ));
                }
            }
            _ if !keys.is_empty() => {
                self.forbid(at, "may only be specified if x-kubernetes-list-type is map")
            }
            _ => {}
        }
    }

    fn map_keys(&mut self, keys: &[&str], items: Option<&Map<String, Value>>, path: &str) {
        let items_path = child(path, "items");
        let Some(items) = items else { return };
        if items.get("type").and_then(Value::as_str) != Some("object") {
            let found = items.get("type").cloned().unwrap_or(Value::from(""));
            let detail = "must be object if parent array's x-kubernetes-list-type is map";
            self.errors
                .push(FieldError::invalid(child(&items_path, "type"), &found, detail));
            return;
        }
        let required: Vec<&str> = match items.get("required").and_then(Value::as_array) {
            Some(names) => names.iter().filter_map(Value::as_str).collect(),
            None => Vec::new(),
        };
        for (position, key) in keys.iter().enumerate() {
            let at = index(&child(path, "x-kubernetes-list-map-keys"), position);
            if keys.iter().take(position).any(|before| before == key) {
                self.errors
                    .push(FieldError::duplicate(at.clone(), &Value::from(*key)));
            }
            match items
                .get("properties")
                .and_then(|properties| properties.get(*key))
            {
                None => {
                    let detail = "must be in the items' properties";
                    self.errors
                        .push(FieldError::invalid(at, &Value::from(*key), detail));
                }
                Some(field) if !required.contains(key) && field.get("default").is_none() => {
                    self.errors.push(FieldError::required(
                        format!("{items_path}.properties[{key}].default"),
                        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property",
                    ));
                }
                Some(_) => {}
            }
        }
    }

    /// Below `allOf`, `anyOf`, `oneOf` and `not` only values are constrained, and only fields that the structure
    /// names.
    fn junctors(
        &mut self,
        map: &Map<String, Value>,
        structure: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) {
        for junctor in ["allOf", "anyOf", "oneOf"] {
            let Some(parts) = map.get(junctor).and_then(Value::as_array) else {
                continue;
            };
            for (position, part) in parts.iter().enumerate() {
                self.value_part(
                    part,
                    structure,
                    &index(&child(path, junctor), position),
                    depth + 1,
                );
            }
        }
        if let Some(part) = map.get("not") {
            self.value_part(part, structure, &child(path, "not"), depth + 1);
        }
    }

    fn value_part(&mut self, part: &Value, structure: &Map<String, Value>, path: &str, depth: usize) {
        let Some(map) = part.as_object() else {
            self.errors
                .push(FieldError::invalid(path, part, "must be a schema object"));
            return;
        };
        if depth > MAX_DEPTH {
            self.forbid(
                path.to_owned(),
                &format!("must not nest deeper than {MAX_DEPTH} levels"),
            );
            return;
        }
        self.keywords(map, path);
        // The one exception: `x-kubernetes-int-or-string` is written with the two types it stands for.
        let int_or_string = flag(structure, "x-kubernetes-int-or-string");
        for keyword in STRUCTURE.iter().filter(|keyword| map.contains_key(**keyword)) {
            let stands_for_type = *keyword == "type"
                && int_or_string
                && matches!(
                    map.get("type").and_then(Value::as_str),
                    Some("integer" | "string")
                );
            if !stands_for_type {
                self.forbid(child(path, keyword), "must be empty to be structural");
            }
        }
        if let Some(Value::Object(properties)) = map.get("properties") {
            for (name, field) in properties {
                let at = format!("{path}.properties[{name}]");
                match structure
                    .get("properties")
                    .and_then(|known| known.get(name))
                    .and_then(Value::as_object)
                {
                    Some(known) => self.value_part(field, known, &at, depth + 1),
                    None => {
                        let root = path.split(['.', '[']).next().unwrap_or(path);
                        self.errors.push(FieldError::required(
                            at.clone(),
                            &format!("because it is defined in {root}...properties[{name}] of a junctor it must be specified in the structure too"),
                        ));
                    }
                }
            }
        }
        if let (Some(items), Some(known)) = (
            map.get("items"),
            structure.get("items").and_then(Value::as_object),
        ) {
            self.value_part(items, known, &child(path, "items"), depth + 1);
        }
        self.junctors(map, structure, path, depth);
    }

    /// Defaults must be what they would become: valid and without unknown fields.
    fn defaults(&mut self, document: &Value, path: &str) {
        let Some(map) = document.as_object() else { return };
        if let Some(default) = map.get("default") {
            let at = child(path, "default");
            match Schema::for_default(document) {
                Err(error) => self
                    .errors
                    .push(FieldError::invalid(at, default, &error.to_string())),
                Ok(schema) => {
                    if let Some(unknown) = schema.unknown_fields(default).first() {
                        let detail = format!("must not have unknown fields: {unknown}");
                        self.errors
                            .push(FieldError::invalid(at.clone(), default, &detail));
                    }
                    let mut completed = default.clone();
                    schema.default(&mut completed);
                    for error in schema.validate(&completed, None) {
                        let inner = if error.path == "<nil>" {
                            at.clone()
                        } else {
                            child(&at, &error.path)
                        };
                        self.errors.push(FieldError { path: inner, ..error });
                    }
                }
            }
        }
        if let Some(Value::Object(properties)) = map.get("properties") {
            for (name, field) in properties {
                self.defaults(field, &format!("{path}.properties[{name}]"));
            }
        }
        for keyword in ["items", "additionalProperties"] {
            if let Some(inner) = map.get(keyword) {
                self.defaults(inner, &child(path, keyword));
            }
        }
    }
}

fn flag(map: &Map<String, Value>, name: &str) -> bool {
    map.get(name).and_then(Value::as_bool).unwrap_or(false)
}
