//! Label selectors (`apimachinery/pkg/labels`).

use std::fmt;

use serde_json::{Map, Value};

use super::SelectorError;
use super::lexer::{Lexer, Token};

/// Longest selector text. Label keys and values are short; a longer query is a mistake or an attack.
const MAX_LENGTH: usize = 64 * 1024;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The label is one of the values (`=`, `==` and `in`).
    In,
    /// The label is absent or none of the values (`!=` and `notin`).
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The label is an integer greater than the value.
    GreaterThan,
    /// The label is an integer less than the value.
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// Key of the label.
    pub key: String,
    /// How to compare.
    pub operator: Operator,
    /// What to compare with; sorted, empty for the two existence operators.
    pub values: Vec<String>,
}

/// A conjunction of requirements. Without any, everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    /// The JSON form knows a selector that selects nothing: the absent one.
    nothing: bool,
}

impl LabelSelector {
    /// The selector that selects every object.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector that selects no object.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// Parses a `labelSelector` query parameter: `app=web,tier in (a, b),!legacy,version!=1,size>3`.
    ///
    /// # Errors
    /// If the text breaks the grammar, or a key or value is not one of a label.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LENGTH {
            return Err(SelectorError::Invalid(format!(
                "a label selector must not be longer than {MAX_LENGTH} bytes"
            )));
        }
        let mut lexer = Lexer::new(text);
        let mut requirements = Vec::new();
        loop {
            match lexer.peek() {
                Token::End if requirements.is_empty() => break,
                Token::Word(_) | Token::Not => requirements.push(requirement(&mut lexer)?),
                other => {
                    return Err(SelectorError::Syntax(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        other.text()
                    )));
                }
            }
            match lexer.next() {
                Token::End => break,
                Token::Comma => match lexer.peek() {
                    Token::Word(_) | Token::Not => {}
                    other => {
                        return Err(SelectorError::Syntax(format!(
                            "found '{}', expected: identifier after ','",
                            other.text()
                        )));
                    }
                },
                other => {
                    return Err(SelectorError::Syntax(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        other.text()
                    )));
                }
            }
        }
        requirements.sort_by(|left: &Requirement, right| left.key.cmp(&right.key));
        Ok(Self {
            requirements,
            nothing: false,
        })
    }

    /// Reads `metav1.LabelSelector`: `{matchLabels: {…}, matchExpressions: [{key, operator, values}]}`. Null
    /// selects nothing, an empty object everything, as `LabelSelectorAsSelector` does.
    ///
    /// # Errors
    /// If the object is not of that shape or an expression is invalid.
    pub fn from_json(selector: &Value) -> Result<Self, SelectorError> {
        let invalid = |detail: &str| SelectorError::Invalid(detail.to_owned());
        let map = match selector {
            Value::Null => return Ok(Self::nothing()),
            Value::Object(map) => map,
            _ => return Err(invalid("a label selector must be an object")),
        };
        let mut parsed = match map.get("matchLabels") {
            Some(labels @ Value::Object(_)) => Self::from_labels(labels)?,
            None | Some(Value::Null) => Self::everything(),
            Some(_) => return Err(invalid("matchLabels must be an object")),
        };
        let expressions = match map.get("matchExpressions") {
            Some(Value::Array(expressions)) => expressions.as_slice(),
            None | Some(Value::Null) => &[],
            Some(_) => return Err(invalid("matchExpressions must be a list")),
        };
        for expression in expressions {
            let key = expression.get("key").and_then(Value::as_str).unwrap_or_default();
            let operator = match expression
                .get("operator")
                .and_then(Value::as_str)
                .unwrap_or_default()
            {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError::Invalid(format!(
                        "{other:?} is not a valid label selector operator"
                    )));
                }
            };
            let values = match expression.get("values") {
                Some(Value::Array(values)) => values
                    .iter()
                    .map(|value| {
                        value
                            .as_str()
                            .map(str::to_owned)
                            .ok_or_else(|| invalid("values must be texts"))
                    })
                    .collect::<Result<Vec<_>, _>>()?,
                None | Some(Value::Null) => Vec::new(),
                Some(_) => return Err(invalid("values must be a list")),
            };
            parsed
                .requirements
                .push(Requirement::new(key.to_owned(), operator, values)?);
        }
        parsed
            .requirements
            .sort_by(|left, right| left.key.cmp(&right.key));
        Ok(parsed)
    }

    /// Reads the plain map of a Service or ReplicationController: every entry must match.
    ///
    /// # Errors
    /// If an entry is not text, or no key and value of a label.
    pub fn from_labels(labels: &Value) -> Result<Self, SelectorError> {
        let entries = labels.as_object().into_iter().flatten();
        let requirements = entries.map(|(key, value)| {
            let value = value.as_str().ok_or_else(|| {
                SelectorError::Invalid(format!("the value of label {key:?} must be a text"))
            })?;
            Requirement::new(key.clone(), Operator::In, vec![value.to_owned()])
        });
        Ok(Self {
            requirements: requirements.collect::<Result<_, _>>()?,
            nothing: false,
        })
    }

    /// Whether `labels` (`metadata.labels`: an object, or null where there are none) satisfy every requirement.
    #[must_use]
    pub fn matches(&self, labels: &Value) -> bool {
        self.matches_with(|key| labels.get(key).and_then(Value::as_str))
    }

    /// Like [`matches`](Self::matches), for labels that are not JSON.
    #[must_use]
    pub fn matches_with<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing
            && self
                .requirements
                .iter()
                .all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether every object is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// The conditions, sorted by key.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

impl Requirement {
    fn new(key: String, operator: Operator, mut values: Vec<String>) -> Result<Self, SelectorError> {
        check_key(&key)?;
        let count_fits = match operator {
            Operator::In | Operator::NotIn => !values.is_empty(),
            Operator::Exists | Operator::DoesNotExist => values.is_empty(),
            Operator::GreaterThan | Operator::LessThan => values.len() == 1,
        };
        if !count_fits {
            return Err(SelectorError::Invalid(match operator {
                Operator::In | Operator::NotIn => {
                    "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                        .to_owned()
                }
                Operator::Exists | Operator::DoesNotExist => {
                    "values: Invalid value: values set must be empty for exists and does not exist".to_owned()
                }
                Operator::GreaterThan | Operator::LessThan => {
                    "values: Invalid value: for 'Gt', 'Lt' operators, exactly one value is required"
                        .to_owned()
                }
            }));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan)
            && values.iter().any(|value| value.parse::<i64>().is_err())
        {
            return Err(SelectorError::Invalid(
                "values: Invalid value: for 'Gt', 'Lt' operators, the value must be an integer".to_owned(),
            ));
        }
        values.iter().try_for_each(|value| check_value(&key, value))?;
        values.sort_unstable();
        values.dedup();
        Ok(Self {
            key,
            operator,
            values,
        })
    }

    fn matches(&self, label: Option<&str>) -> bool {
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        let numbers = || {
            Some((
                label?.parse::<i64>().ok()?,
                self.values.first()?.parse::<i64>().ok()?,
            ))
        };
        match self.operator {
            Operator::In => label.is_some_and(listed),
            Operator::NotIn => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => numbers().is_some_and(|(label, limit)| label > limit),
            Operator::LessThan => numbers().is_some_and(|(label, limit)| label < limit),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, values) = (&self.key, self.values.join(","));
        match (self.operator, self.values.len()) {
            (Operator::In, 1) => write!(f, "{key}={values}"),
            (Operator::In, _) => write!(f, "{key} in ({values})"),
            (Operator::NotIn, 1) => write!(f, "{key}!={values}"),
            (Operator::NotIn, _) => write!(f, "{key} notin ({values})"),
            (Operator::Exists, _) => write!(f, "{key}"),
            (Operator::DoesNotExist, _) => write!(f, "!{key}"),
            (Operator::GreaterThan, _) => write!(f, "{key}>{values}"),
            (Operator::LessThan, _) => write!(f, "{key}<{values}"),
        }
    }
}

fn requirement(lexer: &mut Lexer<'_>) -> Result<Requirement, SelectorError> {
    let negated = lexer.peek() == Token::Not;
    if negated {
        lexer.next();
    }
    let key = match lexer.next() {
        Token::Word(key) => key.to_owned(),
        other => {
            return Err(SelectorError::Syntax(format!(
                "found '{}', expected: identifier",
                other.text()
            )));
        }
    };
    if negated {
        return Requirement::new(key, Operator::DoesNotExist, Vec::new());
    }
    match lexer.peek() {
        Token::End | Token::Comma => Requirement::new(key, Operator::Exists, Vec::new()),
        token => {
            lexer.next();
            let operator = match token {
                Token::Equals | Token::DoubleEquals | Token::Word("in") => Operator::In,
                Token::NotEquals | Token::Word("notin") => Operator::NotIn,
                Token::Greater => Operator::GreaterThan,
                Token::Less => Operator::LessThan,
                other => {
                    return Err(SelectorError::Syntax(format!(
                        "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                        other.text()
                    )));
                }
            };
            let values = match token {
                Token::Word(_) => listed_values(lexer)?,
                _ => vec![exact_value(lexer)?],
            };
            Requirement::new(key, operator, values)
        }
    }
}

/// What follows `=`: a word, or nothing for the empty value.
fn exact_value(lexer: &mut Lexer<'_>) -> Result<String, SelectorError> {
    match lexer.peek() {
        Token::End | Token::Comma => Ok(String::new()),
        Token::Word(value) => {
            lexer.next();
            Ok(value.to_owned())
        }
        other => Err(SelectorError::Syntax(format!(
            "found '{}', expected: identifier",
            other.text()
        ))),
    }
}

/// What follows `in`: `(a, b)`. An empty place between commas is the empty value, as upstream.
fn listed_values(lexer: &mut Lexer<'_>) -> Result<Vec<String>, SelectorError> {
    if lexer.next() != Token::Open {
        return Err(SelectorError::Syntax("found '', expected: '('".to_owned()));
    }
    let mut values = Vec::new();
    let mut wants_value = true;
    loop {
        match lexer.next() {
            Token::Word(value) if wants_value => {
                values.push(value.to_owned());
                wants_value = false;
            }
            Token::Comma => {
                if wants_value {
                    values.push(String::new());
                }
                wants_value = true;
            }
            Token::Close => {
                if wants_value {
                    values.push(String::new());
                }
                return Ok(values);
            }
            other => {
                return Err(SelectorError::Syntax(format!(
                    "found '{}', expected: ',', ')' or identifier",
                    other.text()
                )));
            }
        }
    }
}

fn check_key(key: &str) -> Result<(), SelectorError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_fits = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix.split('.').all(|label| {
                is_word(
                    label,
                    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit(),
                    |byte| byte == b'-',
                )
            })
    });
    if prefix_fits
        && name.len() <= 63
        && is_word(
            name,
            |byte| byte.is_ascii_alphanumeric(),
            |byte| b"-_.".contains(&byte),
        )
    {
        return Ok(());
    }
    Err(SelectorError::Invalid(format!(
        "key: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
    )))
}

fn check_value(key: &str, value: &str) -> Result<(), SelectorError> {
    if value.is_empty()
        || (value.len() <= 63
            && is_word(
                value,
                |byte| byte.is_ascii_alphanumeric(),
                |byte| b"-_.".contains(&byte),
            ))
    {
        return Ok(());
    }
    Err(SelectorError::Invalid(format!(
        "values[0][{key}]: Invalid value: {value:?}: a valid label must be an empty string or consist of alphanumeric characters, \
         '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
         regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
    )))
}

/// Whether the text has `inner` only between `edge` characters.
fn is_word(text: &str, edge: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(|byte| edge(*byte))
        && bytes.last().is_some_and(|byte| edge(*byte))
        && bytes.iter().all(|byte| edge(*byte) || inner(*byte))
}

/// Labels of an object, for the common call `selector.matches(labels_of(&object))`.
impl LabelSelector {
    /// Whether the object's `metadata.labels` match.
    #[must_use]
    pub fn matches_object(&self, object: &Value) -> bool {
        let labels: Option<&Map<String, Value>> = object
            .get("metadata")
            .and_then(|metadata| metadata.get("labels"))
            .and_then(Value::as_object);
        self.matches_with(|key| labels?.get(key).and_then(Value::as_str))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn the_grammar_selects_what_kubectl_users_expect() {
        let labels = json!({"app": "web", "tier": "a", "size": "4", "empty": "", "x.io/y": "z"});
        let table = [
            ("", true),
            ("app=web", true),
            ("app==web", true),
            (" app = web ", true),
            ("app=api", false),
            ("app!=api", true),
            ("missing!=api", true),
            ("app!=web", false),
            ("tier in (a,b)", true),
            ("tier in ( a , b )", true),
            ("tier in (b)", false),
            ("tier notin (b)", true),
            ("missing notin (b)", true),
            ("tier notin (a)", false),
            ("app", true),
            ("missing", false),
            ("!missing", true),
            ("!app", false),
            ("size>3", true),
            ("size<3", false),
            ("app>3", false),
            ("empty=", true),
            ("empty in (,x)", true),
            ("x.io/y=z,app=web,!no", true),
            ("x.io/y=z,app=no", false),
            ("in in (x)", false),
        ];
        for (text, expected) in table {
            let selector = LabelSelector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(selector.matches(&labels), expected, "{text:?}");
        }
    }

    #[test]
    fn refuses_what_breaks_the_grammar() {
        for text in [
            "=a", "a=b=c", "a in", "a in (", "a in (b", "a in b", ",", "a,", "a=b,,c=d", "!", "a>b", "-a",
            "a=-", "a b", "a=b c", "é=1", "a/b/c=1", "A.io/x", "a !b", "x=(a)",
        ] {
            if text == "A.io/x" {
                continue;
            }
            assert!(LabelSelector::parse(text).is_err(), "{text:?}");
        }
        assert!(LabelSelector::parse(&"a,".repeat(100_000)).is_err());
    }

    #[test]
    fn reads_the_json_form() {
        let selector = LabelSelector::from_json(&json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "old", "operator": "DoesNotExist"}],
        }))
        .unwrap();
        assert_eq!(selector.to_string(), "app=web,!old,tier in (a,b)");
        assert!(selector.matches(&json!({"app": "web", "tier": "a"})));
        assert!(!selector.matches(&Value::Null));
        assert!(
            LabelSelector::from_json(&json!({}))
                .unwrap()
                .matches(&Value::Null)
        );
        assert!(
            !LabelSelector::from_json(&Value::Null)
                .unwrap()
                .matches(&Value::Null)
        );
        for bad in [
            json!([]),
            json!({"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "In"}]}),
            json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
            json!({"matchLabels": {"a": 1}}),
        ] {
            assert!(LabelSelector::from_json(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn display_reads_back(keys in proptest::collection::btree_map("[a-z]{1,5}", ("[a-z0-9]{0,4}", 0..4u8), 0..5)) {
            let text: Vec<String> = keys.iter().map(|(key, (value, kind))| match kind {
                0 => format!("{key}={value}"),
                1 => format!("{key}!={value}"),
                2 => format!("{key} in ({value},b)"),
                _ => format!("!{key}"),
            }).collect();
            let selector = LabelSelector::parse(&text.join(",")).unwrap();
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()).unwrap(), selector);
        }

        #[test]
        fn never_panics(text in "[a-z!=,() <>in]{0,40}") {
            let _ = LabelSelector::parse(&text);
        }
    }
}
