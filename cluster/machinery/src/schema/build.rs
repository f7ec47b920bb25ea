//! From an OpenAPI v3 document to the arena of a [`Schema`].

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::format::Format;
use super::node::{Bound, JsonType, ListType, Node, NodeId, PatchStrategy, Pattern, Properties, Rules};
use super::{Arena, Schema, SchemaError, object_meta};
use crate::MAX_DEPTH;
use crate::field_error::{child, index};

/// Most nodes of one schema. The largest built-in kinds have some 2 000, Tekton's and Knative's CRDs some 5 000.
const MAX_NODES: usize = 200_000;

/// Whose schema is read; see [`Schema::from_openapi_with`] and [`Schema::for_custom_resource`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    BuiltIn,
    Custom,
    /// One field of a custom resource.
    CustomField,
}

pub(super) struct Builder<'a> {
    lookup: &'a dyn Fn(&str) -> Option<Value>,
    mode: Mode,
    nodes: Vec<Node>,
    /// Node of each `$ref`, so that each is read once and recursion ends.
    references: HashMap<String, NodeId>,
    /// References that were met but not yet read.
    queue: Vec<(NodeId, String, Value)>,
    /// Nodes that are another node with other annotations; filled in at the end, when all others are complete.
    derived: Vec<Derived>,
}

struct Derived {
    id: NodeId,
    base: NodeId,
    annotations: Map<String, Value>,
    path: String,
}

impl<'a> Builder<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<Value>, mode: Mode) -> Self {
        Self {
            lookup,
            mode,
            nodes: Vec::new(),
            references: HashMap::new(),
            queue: Vec::new(),
            derived: Vec::new(),
        }
    }

    pub(super) fn finish(mut self, document: &Value) -> Result<Schema, SchemaError> {
        let root = match (self.mode, document) {
            (Mode::Custom, Value::Object(map)) => {
                let document = Value::Object(object_meta::complete_resource(map));
                self.place(&document, "", 0)?
            }
            _ => self.place(document, "", 0)?,
        };
        while let Some((id, name, document)) = self.queue.pop() {
            let Value::Object(map) = &document else {
                return Err(malformed(&name, "is not an object"));
            };
            self.fill(id, map, &name, 0)?;
        }
        self.derive()?;
        let arena = Arena {
            nodes: self.nodes.into_boxed_slice(),
            custom: self.mode != Mode::BuiltIn,
        };
        Ok(Schema {
            arena: Arc::new(arena),
            root,
        })
    }

    fn reserve(&mut self) -> Result<NodeId, SchemaError> {
        if self.nodes.len() >= MAX_NODES {
            return Err(SchemaError::TooLarge(MAX_NODES));
        }
        let id = u32::try_from(self.nodes.len()).map_err(|_| SchemaError::TooLarge(MAX_NODES))?;
        self.nodes.push(Node::default());
        Ok(NodeId(id))
    }

    fn set(&mut self, id: NodeId, node: Node) {
        if let Some(slot) = self.nodes.get_mut(id.index()) {
            *slot = node;
        }
    }

    /// Reads a subschema and answers its node: a new one, or the one of the type it refers to.
    fn place(&mut self, document: &Value, path: &str, depth: usize) -> Result<NodeId, SchemaError> {
        if depth > MAX_DEPTH {
            return Err(malformed(path, "nests too deep"));
        }
        let anything = Map::new();
        let map = match document {
            Value::Object(map) => map,
            Value::Bool(true) => &anything,
            _ => return Err(malformed(path, "is not an object")),
        };
        if let Some(base) = self.base(map, path)?
            && !map.keys().any(|key| is_annotation(key))
        {
            return Ok(base);
        }
        let id = self.reserve()?;
        self.fill(id, map, path, depth)?;
        Ok(id)
    }

    fn fill(
        &mut self,
        id: NodeId,
        map: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<(), SchemaError> {
        if let Some(base) = self.base(map, path)? {
            self.derived.push(Derived {
                id,
                base,
                annotations: map.clone(),
                path: path.to_owned(),
            });
            return Ok(());
        }
        let embedded = self.mode != Mode::BuiltIn && flag(map, "x-kubernetes-embedded-resource");
        let node = if embedded {
            self.node(&object_meta::complete_resource(map), path, depth)?
        } else {
            self.node(map, path, depth)?
        };
        self.set(id, node);
        Ok(())
    }

    /// The node that `$ref`, or OpenAPI's `allOf: [{$ref}]` (how siblings of a reference are written), stands for.
    fn base(&mut self, map: &Map<String, Value>, path: &str) -> Result<Option<NodeId>, SchemaError> {
        let direct = map.get("$ref");
        let wrapped = match map.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            Some([Value::Object(only)]) if only.len() == 1 && !map.contains_key("type") => only.get("$ref"),
            _ => None,
        };
        let Some(reference) = direct.or(wrapped) else {
            return Ok(None);
        };
        let Some(reference) = reference.as_str() else {
            return Err(malformed(path, "$ref is not a text"));
        };
        let name = reference
            .rsplit('/')
            .next()
            .unwrap_or(reference)
            .replace("~1", "/")
            .replace("~0", "~");
        if let Some(id) = self.references.get(&name) {
            return Ok(Some(*id));
        }
        let Some(document) = (self.lookup)(&name) else {
            return Err(SchemaError::UnknownReference {
                path: path.to_owned(),
                name,
            });
        };
        let id = self.reserve()?;
        self.references.insert(name.clone(), id);
        self.queue.push((id, name, document));
        Ok(Some(id))
    }

    /// Completes the nodes that copy another: in rounds, since a copy may be of a copy.
    fn derive(&mut self) -> Result<(), SchemaError> {
        let mut open = std::mem::take(&mut self.derived);
        while !open.is_empty() {
            let waiting: std::collections::HashSet<NodeId> = open.iter().map(|derived| derived.id).collect();
            let (ready, blocked): (Vec<_>, Vec<_>) = open
                .into_iter()
                .partition(|derived| !waiting.contains(&derived.base));
            if ready.is_empty() {
                let path = blocked
                    .first()
                    .map(|derived| derived.path.clone())
                    .unwrap_or_default();
                return Err(malformed(&path, "refers to itself"));
            }
            for derived in ready {
                let mut node = self.nodes.get(derived.base.index()).cloned().unwrap_or_default();
                annotate(&mut node, &derived.annotations, &derived.path)?;
                self.set(derived.id, node);
            }
            open = blocked;
        }
        Ok(())
    }

    fn node(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Result<Node, SchemaError> {
        let (kind, null) = json_type(map, path)?;
        let mut node = Node {
            kind,
            nullable: null,
            ..Node::default()
        };
        node.properties = self.properties(map, path, depth)?;
        let mut rules = self.rules(map, path, depth)?;
        match map.get("additionalProperties") {
            None | Some(Value::Null) => {}
            Some(Value::Bool(false)) => rules.closed = true,
            Some(entries) => {
                node.additional =
                    Some(self.place(entries, &child(path, "additionalProperties"), depth + 1)?);
            }
        }
        if let Some(items) = map.get("items") {
            node.items = Some(self.place(items, &child(path, "items"), depth + 1)?);
        }
        node.required = texts(map, "required", path)?.into();
        node.format = match map.get("format").and_then(Value::as_str) {
            None if path.ends_with(".resource.Quantity") => Some(Format::Quantity),
            format => format.and_then(Format::named),
        };
        if self.mode == Mode::BuiltIn
            && kind == JsonType::Object
            && node.properties.is_empty()
            && node.additional.is_none()
        {
            node.preserve_unknown = true;
        }
        node.rules = if rules.is_empty() {
            None
        } else {
            Some(Arc::new(rules))
        };
        annotate(&mut node, map, path)?;
        Ok(node)
    }

    fn properties(
        &mut self,
        map: &Map<String, Value>,
        path: &str,
        depth: usize,
    ) -> Result<Properties, SchemaError> {
        let properties = match map.get("properties") {
            None | Some(Value::Null) => return Ok(Arc::default()),
            Some(Value::Object(properties)) => properties,
            Some(_) => return Err(malformed(path, "properties is not an object")),
        };
        let mut known = Vec::with_capacity(properties.len());
        for (name, document) in properties {
            known.push((
                Box::from(name.as_str()),
                self.place(document, &child(path, name), depth + 1)?,
            ));
        }
        known.sort_unstable_by(|(left, _): &(Box<str>, NodeId), (right, _)| left.cmp(right));
        Ok(known.into())
    }

    fn rules(&mut self, map: &Map<String, Value>, path: &str, depth: usize) -> Result<Rules, SchemaError> {
        let bound = |name: &str, exclusive: &str| {
            // OpenAPI v3.0 has a flag beside the limit, JSON Schema 2020 a limit of its own.
            let own = map.get(exclusive).and_then(Value::as_f64).map(|limit| Bound {
                limit,
                exclusive: true,
            });
            own.or_else(|| {
                let limit = map.get(name).and_then(Value::as_f64)?;
                Some(Bound {
                    limit,
                    exclusive: flag(map, exclusive),
                })
            })
        };
        let count = |name: &str| map.get(name).and_then(Value::as_u64);
        let mut junctor = |name: &str| -> Result<Vec<NodeId>, SchemaError> {
            let Some(parts) = map.get(name).and_then(Value::as_array) else {
                return Ok(Vec::new());
            };
            let at = |position| index(&child(path, name), position);
            parts
                .iter()
                .enumerate()
                .map(|(position, part)| self.place(part, &at(position), depth + 1))
                .collect()
        };
        let all_of = junctor("allOf")?;
        let any_of = junctor("anyOf")?;
        let one_of = junctor("oneOf")?;
        let not = match map.get("not") {
            Some(part) => Some(self.place(part, &child(path, "not"), depth + 1)?),
            None => None,
        };
        Ok(Rules {
            enumeration: map
                .get("enum")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default(),
            pattern: map.get("pattern").and_then(Value::as_str).map(Pattern::new),
            minimum: bound("minimum", "exclusiveMinimum"),
            maximum: bound("maximum", "exclusiveMaximum"),
            multiple_of: map
                .get("multipleOf")
                .and_then(Value::as_f64)
                .filter(|divisor| *divisor > 0.0),
            min_length: count("minLength"),
            max_length: count("maxLength"),
            min_items: count("minItems"),
            max_items: count("maxItems"),
            unique_items: flag(map, "uniqueItems"),
            min_properties: count("minProperties"),
            max_properties: count("maxProperties"),
            closed: false,
            all_of,
            any_of,
            one_of,
            not,
        })
    }
}

/// Keywords that may stand beside a reference and change what it means here.
fn is_annotation(key: &str) -> bool {
    matches!(
        key,
        "default"
            | "nullable"
            | "x-kubernetes-list-type"
            | "x-kubernetes-list-map-keys"
            | "x-kubernetes-map-type"
            | "x-kubernetes-patch-strategy"
            | "x-kubernetes-patch-merge-key"
            | "x-kubernetes-preserve-unknown-fields"
    )
}

fn annotate(node: &mut Node, map: &Map<String, Value>, path: &str) -> Result<(), SchemaError> {
    if flag(map, "nullable") {
        node.nullable = true;
    }
    if flag(map, "x-kubernetes-preserve-unknown-fields") {
        node.preserve_unknown = true;
    }
    if let Some(default) = map.get("default") {
        node.default = Some(Arc::new(default.clone()));
    }
    match map.get("x-kubernetes-map-type").and_then(Value::as_str) {
        None => {}
        Some("atomic") => node.atomic_map = true,
        Some("granular") => node.atomic_map = false,
        Some(other) => {
            return Err(malformed(
                path,
                &format!("unknown x-kubernetes-map-type {other:?}"),
            ));
        }
    }
    match map.get("x-kubernetes-list-type").and_then(Value::as_str) {
        None => {}
        Some("atomic") => node.list = ListType::Atomic,
        Some("set") => node.list = ListType::Set,
        Some("map") => {
            let mut keys = texts(map, "x-kubernetes-list-map-keys", path)?;
            if keys.is_empty() {
                return Err(malformed(
                    path,
                    "a list of type map needs x-kubernetes-list-map-keys",
                ));
            }
            keys.sort_unstable();
            keys.dedup();
            node.list = ListType::Map(keys.into());
        }
        Some(other) => {
            return Err(malformed(
                path,
                &format!("unknown x-kubernetes-list-type {other:?}"),
            ));
        }
    }
    let strategies = map
        .get("x-kubernetes-patch-strategy")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let merge_key = map.get("x-kubernetes-patch-merge-key").and_then(Value::as_str);
    if !strategies.is_empty() || merge_key.is_some() {
        let has = |name: &str| strategies.split(',').any(|strategy| strategy.trim() == name);
        node.patch = Some(Arc::new(PatchStrategy {
            merge: has("merge"),
            replace: has("replace"),
            retain_keys: has("retainKeys"),
            merge_key: merge_key.map(Box::from),
        }));
    }
    Ok(())
}

/// Type, and whether `null` is one of several types (JSON Schema's way to say nullable).
fn json_type(map: &Map<String, Value>, path: &str) -> Result<(JsonType, bool), SchemaError> {
    if flag(map, "x-kubernetes-int-or-string") {
        return Ok((JsonType::IntOrString, false));
    }
    let named = |name: &str| match name {
        "object" => Ok(JsonType::Object),
        "array" => Ok(JsonType::Array),
        "string" => Ok(JsonType::String),
        "integer" => Ok(JsonType::Integer),
        "number" => Ok(JsonType::Number),
        "boolean" => Ok(JsonType::Boolean),
        other => Err(malformed(path, &format!("unknown type {other:?}"))),
    };
    match map.get("type") {
        None | Some(Value::Null) => Ok((JsonType::Any, false)),
        Some(Value::String(name)) if name.is_empty() => Ok((JsonType::Any, false)),
        Some(Value::String(name)) => Ok((named(name)?, false)),
        Some(Value::Array(names)) => {
            let mut names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
            let all = names.len();
            names.retain(|name| *name != "null");
            let null = names.len() < all;
            match names.as_slice() {
                [only] => Ok((named(only)?, null)),
                ["integer", "string"] | ["string", "integer"] => Ok((JsonType::IntOrString, null)),
                _ => Ok((JsonType::Any, null)),
            }
        }
        Some(_) => Err(malformed(path, "type is not a text")),
    }
}

fn flag(map: &Map<String, Value>, name: &str) -> bool {
    map.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn texts(map: &Map<String, Value>, name: &str, path: &str) -> Result<Vec<Box<str>>, SchemaError> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .map(Box::from)
                    .ok_or_else(|| malformed(path, &format!("{name} holds no text")))
            })
            .collect(),
        Some(_) => Err(malformed(path, &format!("{name} is not a list"))),
    }
}

fn malformed(path: &str, problem: &str) -> SchemaError {
    SchemaError::Malformed {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
