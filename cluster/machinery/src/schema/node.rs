//! One node of a schema.

use std::sync::{Arc, LazyLock, OnceLock};

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::format::Format;

/// Largest compiled pattern: a hostile CRD must not make the server hold megabytes per field.
const MAX_PATTERN_SIZE: usize = 1 << 20;

/// The node that allows everything.
pub(super) static ANY: LazyLock<Node> = LazyLock::new(Node::default);

/// Position of a node in its arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// JSON type a value must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum JsonType {
    #[default]
    Any,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
}

impl JsonType {
    /// As printed in type errors.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::IntOrString => "integer,string",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// Known fields of an object and their nodes.
pub(crate) type Properties = Arc<[(Box<str>, NodeId)]>;

/// How server-side apply merges a list (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are told apart by these fields (`x-kubernetes-list-map-keys`), sorted.
    Map(Arc<[Box<str>]>),
}

/// How strategic merge patch treats a field (`x-kubernetes-patch-strategy`, `-merge-key`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PatchStrategy {
    /// Lists merge instead of being replaced.
    pub(crate) merge: bool,
    /// Maps are replaced instead of being merged.
    pub(crate) replace: bool,
    /// Fields that `$retainKeys` does not name are dropped.
    pub(crate) retain_keys: bool,
    /// Items of a merged list of objects are told apart by this field.
    pub(crate) merge_key: Option<Box<str>>,
}

/// Structure, extensions and rules of one place in a document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Node {
    pub(crate) kind: JsonType,
    pub(crate) nullable: bool,
    /// Fields the schema does not name are kept.
    pub(crate) preserve_unknown: bool,
    /// `x-kubernetes-map-type: atomic`.
    pub(crate) atomic_map: bool,
    /// Sorted by name.
    pub(crate) properties: Properties,
    /// Schema of the entries that are no property.
    pub(crate) additional: Option<NodeId>,
    pub(crate) items: Option<NodeId>,
    pub(crate) list: ListType,
    pub(crate) required: Arc<[Box<str>]>,
    pub(crate) format: Option<Format>,
    pub(crate) default: Option<Arc<Value>>,
    pub(crate) patch: Option<Arc<PatchStrategy>>,
    /// Value validations; most nodes have none.
    pub(crate) rules: Option<Arc<Rules>>,
}

impl Node {
    pub(crate) fn property(&self, name: &str) -> Option<NodeId> {
        let at = self
            .properties
            .binary_search_by(|(known, _)| known.as_ref().cmp(name))
            .ok()?;
        self.properties.get(at).map(|(_, id)| *id)
    }

    /// Whether the schema says anything about the entries of an object that stands here.
    pub(crate) fn describes_object(&self) -> bool {
        self.kind == JsonType::Object || !self.properties.is_empty() || self.additional.is_some()
    }

    /// Whether null is a value of its own here, not another way to say "absent".
    pub(crate) fn accepts_null(&self) -> bool {
        self.nullable || self.kind == JsonType::Any
    }
}

/// Value validations of one node.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) enumeration: Vec<Value>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<f64>,
    pub(crate) min_length: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) min_items: Option<u64>,
    pub(crate) max_items: Option<u64>,
    pub(crate) unique_items: bool,
    pub(crate) min_properties: Option<u64>,
    pub(crate) max_properties: Option<u64>,
    /// `additionalProperties: false`.
    pub(crate) closed: bool,
    pub(crate) all_of: Vec<NodeId>,
    pub(crate) any_of: Vec<NodeId>,
    pub(crate) one_of: Vec<NodeId>,
    pub(crate) not: Option<NodeId>,
}

impl Rules {
    pub(super) fn is_empty(&self) -> bool {
        self.enumeration.is_empty()
            && self.pattern.is_none()
            && self.minimum.is_none()
            && self.maximum.is_none()
            && self.multiple_of.is_none()
            && self.min_length.is_none()
            && self.max_length.is_none()
            && self.min_items.is_none()
            && self.max_items.is_none()
            && !self.unique_items
            && self.min_properties.is_none()
            && self.max_properties.is_none()
            && !self.closed
            && self.all_of.is_empty()
            && self.any_of.is_empty()
            && self.one_of.is_empty()
            && self.not.is_none()
    }
}

/// `minimum` or `maximum`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bound {
    pub(crate) limit: f64,
    pub(crate) exclusive: bool,
}

/// A regular expression, compiled when first needed: kinds have hundreds, a server uses few.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) text: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            compiled: OnceLock::new(),
        }
    }

    /// Compiles the expression only to learn whether it is one.
    pub(super) fn check(text: &str) -> Result<(), String> {
        compile(text).map(|_| ()).map_err(|error| error.to_string())
    }

    /// An expression that does not compile matches nothing: it was refused when the CRD was created.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.compiled
            .get_or_init(|| compile(&self.text).ok())
            .as_ref()
            .is_some_and(|regex| regex.is_match(text))
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&super::go_regex::translate(text))
        .size_limit(MAX_PATTERN_SIZE)
        .build()
}
