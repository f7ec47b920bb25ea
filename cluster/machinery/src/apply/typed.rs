//! How server-side apply looks at a value: as a leaf, or as a container whose parts are owned one by one.

use serde_json::Value;

use super::path::{PathElement, Scalar};
use crate::schema::{JsonType, ListType, NodeId, Schema};

/// A place in the schema. Without a node (below preserved unknown fields) the shape is deduced from the value:
/// maps are granular, lists atomic.
#[derive(Clone, Copy)]
pub(super) struct Typed<'a> {
    schema: &'a Schema,
    node: Option<NodeId>,
}

/// How the parts of a value are owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// As a whole: scalars, null, atomic lists and maps.
    Leaf,
    /// Field by field.
    Map,
    /// Item by item, each its own name.
    Set,
    /// Item by item, named by these fields.
    Keyed(&'a [Box<str>]),
}

/// What is known about one field of an object.
pub(super) struct Field<'a> {
    pub(super) typed: Typed<'a>,
    /// The field is part of the type, not an entry of a map.
    pub(super) named: bool,
    /// The schema allows the field.
    pub(super) declared: bool,
}

impl<'a> Typed<'a> {
    pub(super) fn root(schema: &'a Schema) -> Self {
        Self {
            schema,
            node: Some(schema.root()),
        }
    }

    pub(super) fn shape(self, value: &Value) -> Shape<'a> {
        let node = self.node.map(|node| self.schema.node(node));
        match (value, node) {
            (Value::Object(_), None) => Shape::Map,
            (Value::Object(_), Some(node)) => {
                let granular = node.describes_object() || node.preserve_unknown;
                if granular && !node.atomic_map {
                    Shape::Map
                } else {
                    Shape::Leaf
                }
            }
            (Value::Array(_), Some(node)) if node.kind == JsonType::Array => match &node.list {
                ListType::Atomic => Shape::Leaf,
                ListType::Set => Shape::Set,
                ListType::Map(keys) => Shape::Keyed(keys),
            },
            _ => Shape::Leaf,
        }
    }

    /// Whether the type alone says that nothing below can be owned on its own.
    pub(super) fn is_atomic(self) -> bool {
        let Some(node) = self.node.map(|node| self.schema.node(node)) else {
            return false;
        };
        match node.kind {
            JsonType::Any => false,
            JsonType::Object => node.atomic_map,
            JsonType::Array => node.list == ListType::Atomic,
            _ => true,
        }
    }

    pub(super) fn field(self, name: &str) -> Field<'a> {
        let at = |node| Self {
            schema: self.schema,
            node,
        };
        let Some(node) = self.node.map(|node| self.schema.node(node)) else {
            return Field {
                typed: at(None),
                named: false,
                declared: true,
            };
        };
        match (node.property(name), node.additional) {
            (Some(known), _) => Field {
                typed: at(Some(known)),
                named: true,
                declared: true,
            },
            (None, Some(entry)) => Field {
                typed: at(Some(entry)),
                named: false,
                declared: true,
            },
            (None, None) => {
                let declared = node.preserve_unknown || !node.describes_object();
                Field {
                    typed: at(None),
                    named: false,
                    declared,
                }
            }
        }
    }

    pub(super) fn items(self) -> Self {
        Self {
            node: self.node.and_then(|node| self.schema.node(node).items),
            ..self
        }
    }

    /// The type behind one step of a path.
    pub(super) fn below(self, element: &PathElement) -> Self {
        match element {
            PathElement::Field(name) => self.field(name).typed,
            _ => self.items(),
        }
    }

    /// The name of a list item. The error is the key field it lacks, empty if the item cannot have one.
    pub(super) fn element(self, shape: Shape<'_>, item: &Value) -> Result<PathElement, String> {
        match shape {
            Shape::Keyed(keys) => {
                let map = item.as_object().ok_or_else(String::new)?;
                let mut fields = Vec::with_capacity(keys.len());
                for key in keys {
                    let default = || {
                        let field = self
                            .items()
                            .node
                            .and_then(|items| self.schema.node(items).property(key))?;
                        self.schema.node(field).default.as_deref()
                    };
                    // An omitted key has its default: manifests rarely say `protocol: TCP`.
                    let value = map
                        .get(key.as_ref())
                        .or_else(default)
                        .ok_or_else(|| key.to_string())?;
                    fields.push((key.clone(), Scalar::of(value).ok_or_else(|| key.to_string())?));
                }
                Ok(PathElement::Key(fields.into()))
            }
            _ => Scalar::of(item).map(PathElement::Value).ok_or_else(String::new),
        }
    }

    /// The name of an item of an object that is already stored: one without a key is known by its position.
    pub(super) fn stored_element(self, shape: Shape<'_>, position: usize, item: &Value) -> PathElement {
        self.element(shape, item)
            .unwrap_or(PathElement::Index(position as u64))
    }
}
