//! Steps of a path into an object, as server-side apply tells them apart
//! (`structured-merge-diff/fieldpath/element.go`).

use std::cmp::Ordering;
use std::fmt;

use serde_json::Value;

/// A scalar that identifies a list item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(Float),
    Text(Box<str>),
}

/// A finite number with a total order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Float(f64);

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Float {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Scalar {
    /// The scalar, unless the value is a list or a map. Whole numbers are integers however they are written, so
    /// that `80` and `80.0` name the same item.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::Int(integer),
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the guard keeps it within 53 bits"
                )]
                (None, Some(float)) if float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0 => {
                    Self::Int(float as i64)
                }
                (None, float) => Self::Float(Float(float?)),
            },
            Value::Array(_) | Value::Object(_) => return None,
        })
    }
}

/// As JSON: quoted texts, plain numbers.
impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(number) => write!(f, "{number}"),
            Self::Float(number) => write!(f, "{}", number.0),
            Self::Text(text) => match serde_json::to_string(text) {
                Ok(quoted) => f.write_str(&quoted),
                Err(_) => Err(fmt::Error),
            },
        }
    }
}

/// One step. The order is upstream's: fields, then keyed items, values, positions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PathElement {
    /// Field of an object or entry of a map: `f:name`.
    Field(Box<str>),
    /// Item of a list of type map, by its key fields in order of their names: `k:{"name":"x"}`.
    Key(Box<[(Box<str>, Scalar)]>),
    /// Item of a list of type set: `v:"x"`.
    Value(Scalar),
    /// Item by position: `i:0`.
    Index(u64),
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                f.write_str("[")?;
                for (position, (name, value)) in fields.iter().enumerate() {
                    let comma = if position > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={value}")?;
                }
                f.write_str("]")
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(position) => write!(f, "[{position}]"),
        }
    }
}

/// Whether two values are the same to Kubernetes: numbers by amount, everything else exactly.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.as_f64() == right.as_f64() && (left.is_f64() || right.is_f64()))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}
