//! The built-in functions. Lengths and positions count characters.

use std::borrow::Cow;

use crate::error::EvaluationError;
use crate::value::{MAX_STRING, Type, Value};

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Length,
    Concat,
    ConcatWs,
    Lower,
    Upper,
    Trim,
    Left,
    Right,
    Substring,
    Abs,
    Int,
    Bool,
    String,
    IsInt,
    IsBool,
}

/// Name, function, fewest and most arguments (`None`: any number).
const TABLE: [(&str, Function, usize, Option<usize>); 15] = [
    ("LENGTH", Function::Length, 1, Some(1)),
    ("CONCAT", Function::Concat, 0, None),
    ("CONCAT_WS", Function::ConcatWs, 1, None),
    ("LOWER", Function::Lower, 1, Some(1)),
    ("UPPER", Function::Upper, 1, Some(1)),
    ("TRIM", Function::Trim, 1, Some(1)),
    ("LEFT", Function::Left, 2, Some(2)),
    ("RIGHT", Function::Right, 2, Some(2)),
    ("SUBSTRING", Function::Substring, 2, Some(3)),
    ("ABS", Function::Abs, 1, Some(1)),
    ("INT", Function::Int, 1, Some(1)),
    ("BOOL", Function::Bool, 1, Some(1)),
    ("STRING", Function::String, 1, Some(1)),
    ("IS_INT", Function::IsInt, 1, Some(1)),
    ("IS_BOOL", Function::IsBool, 1, Some(1)),
];

/// A value, and an error beside it.
pub type Total = (Value<'static>, Option<EvaluationError>);

impl Function {
    /// The function `name` (upper case) of `count` arguments.
    ///
    /// # Errors
    /// What to write instead.
    pub fn find(name: &str, count: usize) -> Result<Self, String> {
        let Some((_, function, least, most)) = TABLE.iter().find(|(own, ..)| *own == name) else {
            let all: Vec<_> = TABLE.iter().map(|(name, ..)| *name).collect();
            return Err(format!("there is no function {name}, only {}", all.join(", ")));
        };
        if count >= *least && most.is_none_or(|most| count <= most) {
            return Ok(*function);
        }
        let takes = match most {
            Some(most) if most == least => format!("{least}"),
            Some(most) => format!("{least} to {most}"),
            None => format!("at least {least}"),
        };
        Err(format!("{name} takes {takes} arguments, not {count}"))
    }

    pub fn name(self) -> &'static str {
        TABLE
            .iter()
            .find(|(_, function, ..)| *function == self)
            .map_or("", |(name, ..)| name)
    }

    pub fn result(self) -> Type {
        match self {
            Self::Concat
            | Self::ConcatWs
            | Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Left
            | Self::Right
            | Self::Substring
            | Self::String => Type::String,
            Self::Length | Self::Abs | Self::Int => Type::Integer,
            Self::Bool | Self::IsInt | Self::IsBool => Type::Boolean,
        }
    }

    /// What the argument number `index` is cast to first; `None` takes any type.
    pub fn parameter(self, index: usize) -> Option<Type> {
        match self {
            Self::Left | Self::Right | Self::Substring if index > 0 => Some(Type::Integer),
            Self::Abs | Self::Int => Some(Type::Integer),
            Self::Bool => Some(Type::Boolean),
            Self::IsInt | Self::IsBool => None,
            _ => Some(Type::String),
        }
    }

    /// The value for `arguments`, whose types are those of [`Function::parameter`] and whose number is right.
    pub fn call(self, arguments: &[Value<'_>]) -> Total {
        let text = |index: usize| match arguments.get(index) {
            Some(Value::String(text)) => text.as_ref(),
            _ => "",
        };
        let number = |index: usize| match arguments.get(index) {
            Some(Value::Integer(number)) => *number,
            _ => 0,
        };
        let any = arguments.first();
        match self {
            Self::Length => {
                let count = i32::try_from(text(0).chars().count()).unwrap_or(i32::MAX);
                (Value::Integer(count), None)
            }
            Self::Concat => self.join("", arguments),
            Self::ConcatWs => self.join(text(0), arguments.get(1..).unwrap_or_default()),
            Self::Lower => self.made(text(0).to_lowercase()),
            Self::Upper => self.made(text(0).to_uppercase()),
            Self::Trim => owned(text(0).trim()),
            Self::Left => self.end_of(text(0), number(1), |text, count| text.get(..at(text, count))),
            Self::Right => self.end_of(text(0), number(1), |text, count| {
                let skipped = text.chars().count().saturating_sub(count);
                text.get(at(text, skipped)..)
            }),
            Self::Substring => self.substring(text(0), number(1), arguments.get(2).map(|_| number(2))),
            Self::Abs => match number(0).checked_abs() {
                Some(number) => (Value::Integer(number), None),
                None => (
                    Value::Integer(i32::MAX),
                    Some(EvaluationError::Math(
                        "the absolute value does not fit an integer of 32 bits",
                    )),
                ),
            },
            // The cast of the argument is all that these do.
            Self::Int => (Value::Integer(number(0)), None),
            Self::Bool => (Value::Boolean(any == Some(&Value::Boolean(true))), None),
            Self::String => owned(text(0)),
            Self::IsInt => (
                Value::Boolean(any.is_some_and(|value| value.to_integer().is_some())),
                None,
            ),
            Self::IsBool => (
                Value::Boolean(any.is_some_and(|value| value.to_boolean().is_some())),
                None,
            ),
        }
    }

    fn fail(self, value: Value<'static>, message: &'static str) -> Total {
        let function = self.name();
        (value, Some(EvaluationError::Function { function, message }))
    }

    /// A text that may have become longer than its arguments.
    fn made(self, text: String) -> Total {
        if text.len() > MAX_STRING {
            return self.fail(Type::String.zero(), "the result would be longer than 1 MiB");
        }
        (text.into(), None)
    }

    fn join(self, separator: &str, arguments: &[Value<'_>]) -> Total {
        let mut joined = String::new();
        for (index, argument) in arguments.iter().enumerate() {
            if index > 0 {
                joined.push_str(separator);
            }
            if let Value::String(text) = argument {
                joined.push_str(text);
            }
            if joined.len() > MAX_STRING {
                break;
            }
        }
        self.made(joined)
    }

    fn end_of(self, text: &str, count: i32, cut: fn(&str, usize) -> Option<&str>) -> Total {
        match usize::try_from(count) {
            Ok(count) => owned(cut(text, count).unwrap_or(text)),
            Err(_) => self.fail(text.to_owned().into(), "the number of characters is negative"),
        }
    }

    /// `position` counts from 1, or from the end if it is negative.
    fn substring(self, text: &str, position: i32, length: Option<i32>) -> Total {
        if length.is_some_and(i32::is_negative) {
            return self.fail(Type::String.zero(), "the length is negative");
        }
        if position == 0 {
            return owned("");
        }
        let characters = text.chars().count();
        let from_edge = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
        if from_edge > characters {
            return self.fail(Type::String.zero(), "the position is outside of the text");
        }
        let skipped = if position > 0 {
            from_edge - 1
        } else {
            characters - from_edge
        };
        let rest = text.get(at(text, skipped)..).unwrap_or_default();
        match length.and_then(|length| usize::try_from(length).ok()) {
            None => owned(rest),
            Some(length) => owned(rest.get(..at(rest, length)).unwrap_or_default()),
        }
    }
}

fn owned(text: &str) -> Total {
    (Value::String(Cow::Owned(text.to_owned())), None)
}

/// Where in `text` the character number `index`, from 0, begins; its end if there are fewer.
fn at(text: &str, index: usize) -> usize {
    text.char_indices()
        .nth(index)
        .map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value, and whether there is an error beside it.
    fn call(name: &str, arguments: &[Value<'_>]) -> (Value<'static>, bool) {
        let (value, error) = Function::find(name, arguments.len()).unwrap().call(arguments);
        (value, error.is_some())
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let text = Value::from("zoë👍x");
        let table: [(&str, Vec<Value<'_>>, Value<'_>, bool); 13] = [
            ("LENGTH", vec![], 5.into(), false),
            ("LEFT", vec![3.into()], "zoë".into(), false),
            ("LEFT", vec![0.into()], "".into(), false),
            ("LEFT", vec![9.into()], "zoë👍x".into(), false),
            ("LEFT", vec![(-1).into()], "zoë👍x".into(), true),
            ("RIGHT", vec![2.into()], "👍x".into(), false),
            ("RIGHT", vec![(-1).into()], "zoë👍x".into(), true),
            ("SUBSTRING", vec![3.into(), 2.into()], "ë👍".into(), false),
            ("SUBSTRING", vec![(-2).into(), 9.into()], "👍x".into(), false),
            ("SUBSTRING", vec![i32::MIN.into()], "".into(), true),
            ("SUBSTRING", vec![0.into(), (-1).into()], "".into(), true),
            ("SUBSTRING", vec![1.into(), (-1).into()], "".into(), true),
            ("UPPER", vec![], "ZOË👍X".into(), false),
        ];
        for (name, rest, value, fails) in table {
            let arguments: Vec<_> = std::iter::once(text.clone()).chain(rest).collect();
            assert_eq!(call(name, &arguments), (value, fails), "{name} {arguments:?}");
        }
    }

    #[test]
    fn strings_that_are_made_are_bounded() {
        let long = "x".repeat(MAX_STRING / 2 + 1);
        let arguments = [Value::from(long.as_str()), Value::from(long.as_str())];
        assert_eq!(call("CONCAT", &arguments), ("".into(), true));
        assert!(!call("CONCAT", &arguments[..1]).1);
        // Every one of these characters becomes two.
        let grows = "ŉ".repeat(MAX_STRING / 2);
        assert_eq!(call("UPPER", &[grows.into()]), ("".into(), true));
    }

    #[test]
    fn wrong_calls_say_what_is_right() {
        for (name, count, message) in [
            ("LEFT", 1, "LEFT takes 2 arguments, not 1"),
            ("SUBSTRING", 4, "SUBSTRING takes 2 to 3 arguments, not 4"),
            ("CONCAT_WS", 0, "CONCAT_WS takes at least 1 arguments, not 0"),
        ] {
            assert_eq!(Function::find(name, count), Err(message.to_owned()));
        }
        assert!(
            Function::find("LEN", 1)
                .unwrap_err()
                .starts_with("there is no function LEN, only LENGTH, ")
        );
        assert_eq!(Function::find("CONCAT", 0), Ok(Function::Concat));
    }
}
