//! What variables stand for, and replacing them.

use std::collections::BTreeMap;
use std::ops::Range;

use super::template::{Piece, Selector, Template, Variable};
use crds::tekton::ParamValue;

/// Joins the words of a path; no name has it, as the parser refuses control characters.
const SEPARATOR: &str = "\0";

/// The variables of one pass.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    values: BTreeMap<String, ParamValue>,
}

/// A variable that is known, and asks for what is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{variable} at bytes {}..{}: there is no element {index} in an array of {length}", span.start, span.end)]
    IndexOutOfBounds {
        variable: String,
        span: Range<usize>,
        index: usize,
        length: usize,
    },
}

/// What a variable stands for.
enum Found<'a> {
    Unknown,
    Text(&'a str),
    Array(&'a [String]),
    Object(&'a BTreeMap<String, String>),
}

impl Scope {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the variable of these words stand for `value`.
    pub fn set(&mut self, path: &[&str], value: impl Into<ParamValue>) {
        self.values.insert(path.join(SEPARATOR), value.into());
    }

    /// Like [`Scope::set`] for the name of a param or result, which may have dots, and may be written without quotes
    /// nevertheless.
    pub fn set_named(&mut self, prefix: &[&str], name: &str, value: &ParamValue) {
        let mut path = prefix.to_vec();
        if name.contains('.') {
            path.extend(name.split('.'));
            self.set(&path, value.clone());
            path.truncate(prefix.len());
        }
        path.push(name);
        self.set(&path, value.clone());
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Replaces the variables in a text. Those that stand for a list or an object stay as written: a text has no place
    /// for them.
    ///
    /// # Errors
    /// If an index is out of bounds.
    pub fn text(&self, text: &str) -> Result<String, Error> {
        self.fill(&Template::parse(text))
    }

    /// Replaces the variables in the elements of a list. An element that is a variable, and no more, which stands for
    /// a list becomes the elements of that.
    ///
    /// # Errors
    /// If an index is out of bounds.
    pub fn list(&self, list: &[String]) -> Result<Vec<String>, Error> {
        let mut filled = Vec::with_capacity(list.len());
        for element in list {
            let template = Template::parse(element);
            match self.whole(&template)? {
                Some(Found::Array(elements)) => filled.extend_from_slice(elements),
                _ => filled.push(self.fill(&template)?),
            }
        }
        Ok(filled)
    }

    /// Replaces the variables in a value. A text that is a variable, and no more, becomes the list or the object that
    /// it stands for; an object has to be asked for with `[*]`.
    ///
    /// # Errors
    /// If an index is out of bounds.
    pub fn value(&self, value: &ParamValue) -> Result<ParamValue, Error> {
        Ok(match value {
            ParamValue::String(text) => {
                let template = Template::parse(text);
                match self.whole(&template)? {
                    Some(Found::Array(elements)) => ParamValue::Array(elements.to_vec()),
                    Some(Found::Object(fields)) => ParamValue::Object(fields.clone()),
                    _ => ParamValue::String(self.fill(&template)?),
                }
            }
            ParamValue::Array(elements) => ParamValue::Array(self.list(elements)?),
            ParamValue::Object(fields) => ParamValue::Object(
                fields
                    .iter()
                    .map(|(key, text)| Ok((key.clone(), self.text(text)?)))
                    .collect::<Result<_, Error>>()?,
            ),
        })
    }

    /// The text that a variable stands for, if it is known and does.
    pub(super) fn text_of(&self, variable: &Variable<'_>) -> Result<Option<&str>, Error> {
        Ok(match self.find(variable)? {
            Found::Text(text) => Some(text),
            Found::Unknown | Found::Array(_) | Found::Object(_) => None,
        })
    }

    fn fill(&self, template: &Template<'_>) -> Result<String, Error> {
        let mut filled = String::new();
        for piece in template.pieces() {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Variable(variable) => filled.push_str(match self.find(variable)? {
                    Found::Text(text) => text,
                    Found::Unknown | Found::Array(_) | Found::Object(_) => variable.source,
                }),
            }
        }
        Ok(filled)
    }

    fn whole(&self, template: &Template<'_>) -> Result<Option<Found<'_>>, Error> {
        template.whole().map(|variable| self.find(variable)).transpose()
    }

    fn find(&self, variable: &Variable<'_>) -> Result<Found<'_>, Error> {
        let Some(value) = self.values.get(&variable.path.join(SEPARATOR)) else {
            return Ok(self.field(variable).map_or(Found::Unknown, Found::Text));
        };
        Ok(match (value, variable.selector) {
            (ParamValue::String(text), Selector::None) => Found::Text(text),
            (ParamValue::Array(elements), Selector::None | Selector::All) => Found::Array(elements),
            (ParamValue::Object(fields), Selector::All) => Found::Object(fields),
            (ParamValue::Array(elements), Selector::At(index)) => {
                let out_of_bounds = || Error::IndexOutOfBounds {
                    variable: variable.source.to_owned(),
                    span: variable.span.clone(),
                    index,
                    length: elements.len(),
                };
                elements
                    .get(index)
                    .map(|element| Found::Text(element))
                    .ok_or_else(out_of_bounds)?
            }
            (ParamValue::String(_) | ParamValue::Object(_), _) => Found::Unknown,
        })
    }

    /// The field of an object.
    fn field(&self, variable: &Variable<'_>) -> Option<&str> {
        let (field, object) = variable.path.split_last()?;
        match self.values.get(&object.join(SEPARATOR))? {
            ParamValue::Object(fields) if variable.selector == Selector::None => {
                fields.get(*field).map(String::as_str)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope() -> Scope {
        let mut scope = Scope::new();
        let array =
            |elements: &[&str]| ParamValue::Array(elements.iter().map(|&text| text.to_owned()).collect());
        let text = |text: &str| ParamValue::String(text.to_owned());
        scope.set_named(&["params"], "s", &text("S"));
        scope.set_named(&["params"], "tricky", &text("$(params.s)$(params.tricky)"));
        scope.set_named(&["params"], "dollar", &text("$"));
        scope.set_named(&["params"], "dotted.name", &text("D"));
        scope.set_named(&["params"], "a", &array(&["1", "$(params.s)", "3"]));
        scope.set_named(&["params"], "empty", &array(&[]));
        let fields = [("k".to_owned(), "v".to_owned())];
        scope.set_named(&["params"], "o", &ParamValue::Object(fields.into()));
        scope
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("no variable", "no variable"),
            ("$(params.s)", "S"),
            ("a $(params.s)$(params['s'])$(params[\"s\"])", "a SSS"),
            ("$(params['dotted.name']) $(params.dotted.name)", "D D"),
            ("$(params.tricky)", "$(params.s)$(params.tricky)"),
            ("$(params.dollar)(params.s)", "$(params.s)"),
            ("$$(params.s) $(params.s)", "$$(params.s) S"),
            ("$(params.a[0])$(params.a[2])", "13"),
            ("$(params.o.k)", "v"),
            (
                "$(params.unknown) $(tasks.t.results.r)",
                "$(params.unknown) $(tasks.t.results.r)",
            ),
            (
                "$(params.a[*]) $(params.a) $(params.o[*])",
                "$(params.a[*]) $(params.a) $(params.o[*])",
            ),
            (
                "$(params.s[0]) $(params.s[*]) $(params.o.missing)",
                "$(params.s[0]) $(params.s[*]) $(params.o.missing)",
            ),
            ("$(echo $(params.s))", "$(echo S)"),
        ] {
            assert_eq!(scope().text(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn lists() {
        for (list, expected) in [
            (&["$(params.a[*])"][..], &["1", "$(params.s)", "3"][..]),
            (
                &["x", "$(params.a)", "$(params.s)"],
                &["x", "1", "$(params.s)", "3", "S"],
            ),
            (&["$(params.empty[*])"], &[]),
            (&["x$(params.a[*])"], &["x$(params.a[*])"]),
            (&["$(params.o[*])"], &["$(params.o[*])"]),
        ] {
            let list: Vec<String> = list.iter().map(|&text| text.to_owned()).collect();
            assert_eq!(scope().list(&list).unwrap(), expected, "{list:?}");
        }
    }

    #[test]
    fn a_value_becomes_what_its_variable_is() {
        let whole = |text: &str| scope().value(&ParamValue::String(text.to_owned())).unwrap();
        assert!(matches!(whole("$(params.a[*])"), ParamValue::Array(elements) if elements.len() == 3));
        assert!(matches!(whole("$(params.o[*])"), ParamValue::Object(fields) if fields.len() == 1));
        assert_eq!(whole("$(params.o)"), ParamValue::String("$(params.o)".to_owned()));
        assert_eq!(whole("$(params.s)"), ParamValue::String("S".to_owned()));
    }

    #[test]
    fn an_index_out_of_bounds_is_told() {
        let error = scope().text("ab $(params.a[3])").unwrap_err();
        assert_eq!(
            error.to_string(),
            "$(params.a[3]) at bytes 3..17: there is no element 3 in an array of 3"
        );
    }

    proptest! {
        #[test]
        fn text_without_known_variables_stays(text in "(\\PC|\\$\\(|results\\.|\\[|\\]|\\*|'|\\)|[0-9]){0,40}") {
            prop_assert_eq!(scope().text(&text).unwrap(), text);
        }

        #[test]
        fn what_was_put_in_is_not_read_again(value in "(\\$\\(params\\.[a-c]\\)|x|\\$){0,6}", around in "[a-z ]{0,5}") {
            let mut scope = Scope::new();
            for name in ["a", "b", "c"] {
                scope.set_named(&["params"], name, &ParamValue::String(value.clone()));
            }
            let text = format!("{around} $(params.a) {around}");
            prop_assert_eq!(scope.text(&text).unwrap(), format!("{around} {value} {around}"));
        }
    }
}
