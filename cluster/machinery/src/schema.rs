//! Compact structural schemas: what the API server knows about the shape of a kind.
//!
//! A [`Schema`] is made once from an OpenAPI v3 document with the `x-kubernetes-*` extensions and is then read on
//! every write: unknown fields, pruning, defaults, validation, patch keys, list types of server-side apply. It is
//! an arena of small nodes without descriptions, shared by reference count. `$ref`s become indices into the arena,
//! so a recursive type (`JSONSchemaProps`) costs one node per type and walks are bounded by the value, never by
//! the schema.

mod build;
mod default;
mod format;
mod go_regex;
mod node;
mod object_meta;
mod prune;
mod structural;
mod unknown;
mod validate;
mod validate_value;

use std::sync::Arc;

use serde_json::Value;

use node::Node;
pub(crate) use node::{JsonType, ListType, NodeId, PatchStrategy};
pub use structural::structural_errors;

use crate::FieldError;

/// Why a document cannot be made into a [`Schema`].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SchemaError {
    /// A part of the document is not what OpenAPI says it is.
    #[error("schema at {path:?}: {problem}")]
    Malformed {
        /// Where, as a dotted path into the document.
        path: String,
        /// What is wrong there.
        problem: String,
    },
    /// A `$ref` names a schema that nobody has.
    #[error("schema at {path:?} refers to {name:?}, which does not exist")]
    UnknownReference {
        /// Where the reference stands.
        path: String,
        /// The last segment of the reference.
        name: String,
    },
    /// The document has more nodes than any real kind.
    #[error("the schema has more than {0} nodes")]
    TooLarge(usize),
}

/// The shape of one kind. Cheap to clone; safe to share between threads.
#[derive(Clone, Debug)]
pub struct Schema {
    arena: Arc<Arena>,
    root: NodeId,
}

#[derive(Debug)]
struct Arena {
    nodes: Box<[Node]>,
    /// Custom resources check the uniqueness of `set` and `map` lists on every write; built-in kinds, whose
    /// objects predate list types, do not (upstream: only `apiextensions` calls `ValidateListSetsAndMaps`).
    custom: bool,
}

impl Schema {
    /// Reads the schema of a built-in kind that needs no `$ref`.
    ///
    /// # Errors
    /// If the document is malformed.
    pub fn from_openapi(document: &Value) -> Result<Self, SchemaError> {
        Self::from_openapi_with(document, &|_| None)
    }

    /// Reads the schema of a built-in kind. `lookup` answers the schema behind a `$ref`, by the last segment of
    /// the reference (`io.k8s.api.core.v1.PodSpec`); it is asked once per name.
    ///
    /// An object without properties is free-form here, as in Kubernetes' own types (`RawExtension`, `FieldsV1`).
    /// A reference to `…resource.Quantity` gets the format `quantity`: a number or the text of one.
    ///
    /// # Errors
    /// If a document is malformed or a reference unknown.
    pub fn from_openapi_with(
        document: &Value,
        lookup: &dyn Fn(&str) -> Option<Value>,
    ) -> Result<Self, SchemaError> {
        build::Builder::new(lookup, build::Mode::BuiltIn).finish(document)
    }

    /// Reads `openAPIV3Schema` of a CustomResourceDefinition's version. `apiVersion`, `kind` and `metadata` of the
    /// resource and of each embedded resource get their full schema; objects without properties are closed.
    ///
    /// # Errors
    /// If the document is malformed. Call [`structural_errors`] first for errors in the words of Kubernetes.
    pub fn for_custom_resource(document: &Value) -> Result<Self, SchemaError> {
        build::Builder::new(&|_| None, build::Mode::Custom).finish(document)
    }

    /// The schema of one field of a custom resource, to judge its default by.
    fn for_default(document: &Value) -> Result<Self, SchemaError> {
        build::Builder::new(&|_| None, build::Mode::CustomField).finish(document)
    }

    /// Lists the fields of `value` that the schema does not know, in the order they stand: `spec.foo`,
    /// `spec.containers[0].bar`. The API server answers `unknown field "spec.foo"`.
    #[must_use]
    pub fn unknown_fields(&self, value: &Value) -> Vec<String> {
        unknown::unknown_fields(self, value)
    }

    /// Removes the fields that the schema does not know.
    pub fn prune(&self, value: &mut Value) {
        prune::prune(self, self.root, value);
    }

    /// Removes nulls where null is not a value, then sets absent fields to their defaults, also inside lists and
    /// maps that exist.
    pub fn default(&self, value: &mut Value) {
        default::default(self, self.root, value);
    }

    /// Checks every rule of the schema. With `old`, parts that did not change are not checked again, so that
    /// objects from before a rule can still be updated ("ratcheting").
    #[must_use]
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        validate::validate(self, new, old)
    }

    /// Number of nodes: a measure of the memory the schema holds (some 150 bytes each).
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.arena.nodes.len()
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        // Ids are made by the builder of the same arena; an id of another arena would be a defect, and then the
        // permissive node is the harmless answer.
        self.arena.nodes.get(id.index()).unwrap_or(&node::ANY)
    }

    /// The node of one field of an object, if the schema knows it.
    pub(crate) fn child(&self, id: NodeId, name: &str) -> Option<NodeId> {
        let node = self.node(id);
        node.property(name).or(node.additional)
    }

    pub(crate) fn is_custom(&self) -> bool {
        self.arena.custom
    }
}

#[cfg(test)]
mod tests;
