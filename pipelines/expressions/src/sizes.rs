//! Values that spend: what goes into operators and functions, and what comes out.
//!
//! A short expression can make much of little: `a + a` in the place of another `a` is twice as long, and so on. The
//! evaluator copies values when it hands them on, so their sizes are also the time that it takes.

use std::sync::Arc;

use kube_cel::cel::common::ast::{CallExpr, Expr, IdedExpr};
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::objects::Key;
use kube_cel::cel::{Context, ExecutionError, Value};

use crate::Allowance;

/// Stands around a value; no name in an expression can be this.
const SIZE: &str = "@size";
/// Stands around a list each of whose elements will be compared with each.
const SQUARE: &str = "@square";
/// Stands around what `format` fills in: its numbers say how long a number may become.
const TEMPLATE: &str = "@template";
/// Bytes that an element of a list or a map takes, beside what it holds.
const ELEMENT: u64 = 16;

/// Operators that look at the whole of what they compare. The names with `@` are what those who evaluate put in their
/// places.
const COMPARE: [&str; 14] = [
    "_==_",
    "_!=_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "@in",
    "@equal",
    "@unequal",
    "@less",
    "@less_or_equal",
    "@greater",
    "@greater_or_equal",
    "@member",
];
/// What stands before functions without being a value.
const NAMESPACES: [&str; 9] = [
    "base64",
    "format",
    "ip",
    "jsonpatch",
    "lists",
    "math",
    "optional",
    "sets",
    "strings",
];

type Made = Result<Value, ExecutionError>;

pub(crate) fn register(context: &mut Context<'_>, allowance: &Allowance) {
    let spent = allowance.clone();
    context.add_function(SIZE, move |value: Value| -> Made {
        spent.spend_on(&value, |size| size)?;
        Ok(value)
    });
    let spent = allowance.clone();
    context.add_function(SQUARE, move |value: Value| -> Made {
        spent.spend_on(&value, |size| (size / ELEMENT).saturating_mul(size))?;
        Ok(value)
    });
    let spent = allowance.clone();
    context.add_function(TEMPLATE, move |value: Value| -> Made {
        if let Value::String(text) = &value {
            spent.spend(numbers(text))?;
        }
        Ok(value)
    });
}

impl Allowance {
    /// Replaces the functions of texts that can make much of little. They are none of the language's own: call this
    /// after those of Kubernetes are registered, where they are to be there.
    pub fn register_texts(&self, context: &mut Context<'_>) {
        let spent = self.clone();
        context.add_function(
            "replace",
            move |This(text): This<Arc<String>>, Arguments(rest): Arguments| replace(&spent, &text, &rest),
        );
        let spent = self.clone();
        context.add_function(
            "join",
            move |This(list): This<Arc<Vec<Value>>>, Arguments(rest): Arguments| join(&spent, &list, &rest),
        );
    }

    fn spend_on(&self, value: &Value, work: impl FnOnce(u64) -> u64) -> Result<(), ExecutionError> {
        let mut size = 0;
        weigh(value, self.left(), &mut size);
        match work(size) {
            // Numbers are free.
            0 => Ok(()),
            work => self.spend(work),
        }
    }
}

/// Adds the bytes of a value, and looks no further than `most`.
fn weigh(value: &Value, most: u64, size: &mut u64) {
    if *size > most {
        return;
    }
    let mut add = |bytes: usize| *size = size.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    match value {
        Value::String(text) => add(text.len()),
        Value::Bytes(bytes) => add(bytes.len()),
        Value::List(list) => {
            for element in list.iter() {
                *size = size.saturating_add(ELEMENT);
                weigh(element, most, size);
            }
        }
        Value::Map(map) => {
            for (key, element) in map.map.iter() {
                let key = match key {
                    Key::String(key) => u64::try_from(key.len()).unwrap_or(u64::MAX),
                    _ => 0,
                };
                *size = size.saturating_add(ELEMENT + key);
                weigh(element, most, size);
            }
        }
        _ => {}
    }
}

/// The sum of the numbers in a text.
fn numbers(text: &str) -> u64 {
    text.split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .fold(0, |sum: u64, digits| {
            sum.saturating_add(digits.parse().unwrap_or(u64::MAX))
        })
}

/// Makes a call, whose parts have been looked at, spend what it is given and what it makes.
pub(crate) fn charge(expression: &mut IdedExpr) {
    let Expr::Call(call) = &mut expression.expr else {
        return;
    };
    let name = call.func_name.as_str();
    if name == "_+_" {
        wrap(expression, SIZE);
    } else if COMPARE.contains(&name) {
        call.args.iter_mut().for_each(|argument| wrap(argument, SIZE));
    } else if name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        let around_target = match name {
            "distinct" => SQUARE,
            "format" => TEMPLATE,
            _ => SIZE,
        };
        let in_namespace = |root: &str| NAMESPACES.contains(&root);
        let mut namespace = String::new();
        if let Some(target) = call.target.as_deref_mut() {
            match &target.expr {
                Expr::Ident(root) if in_namespace(root) => namespace.clone_from(root),
                Expr::Select(select) if is_rooted(&select.operand, &in_namespace) => {}
                _ => wrap(target, around_target),
            }
        }
        let around = if namespace == "sets" || name.starts_with("sets.") {
            SQUARE
        } else {
            SIZE
        };
        call.args.iter_mut().for_each(|argument| wrap(argument, around));
        wrap(expression, SIZE);
    }
}

fn is_rooted(expression: &IdedExpr, in_namespace: &impl Fn(&str) -> bool) -> bool {
    match &expression.expr {
        Expr::Ident(root) => in_namespace(root),
        Expr::Select(select) => is_rooted(&select.operand, in_namespace),
        _ => false,
    }
}

/// Puts a function around an expression.
pub(crate) fn wrap_size(expression: &mut IdedExpr) {
    wrap(expression, SIZE);
}

fn wrap(expression: &mut IdedExpr, function: &str) {
    let inner = std::mem::take(expression);
    *expression = IdedExpr {
        id: inner.id,
        expr: Expr::Call(CallExpr {
            func_name: function.to_owned(),
            target: None,
            args: vec![inner],
        }),
    };
}

fn wrong(function: &str, message: &str) -> ExecutionError {
    ExecutionError::FunctionError {
        function: function.to_owned(),
        message: message.to_owned(),
    }
}

fn replace(allowance: &Allowance, text: &str, rest: &[Value]) -> Made {
    let (from, to, most) = match rest {
        [Value::String(from), Value::String(to)] => (from, to, usize::MAX),
        [Value::String(from), Value::String(to), Value::Int(most)] => {
            // Fewer than none are all, as the language has it.
            (from, to, usize::try_from(*most).unwrap_or(usize::MAX))
        }
        _ => {
            return Err(wrong(
                "replace",
                "it needs two texts, and may be told how many to replace",
            ));
        }
    };
    let found = text.matches(from.as_str()).take(most).count();
    let size = found.saturating_mul(to.len()).saturating_add(text.len());
    allowance.spend(u64::try_from(size).unwrap_or(u64::MAX))?;
    Ok(Value::String(Arc::new(text.replacen(from.as_str(), to, found))))
}

fn join(allowance: &Allowance, list: &[Value], rest: &[Value]) -> Made {
    let between = match rest {
        [] => "",
        [Value::String(between)] => between.as_str(),
        _ => return Err(wrong("join", "what stands between is one text")),
    };
    let texts: Option<Vec<&str>> = list
        .iter()
        .map(|element| match element {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let texts = texts.ok_or_else(|| wrong("join", "it joins texts"))?;
    let size = texts.iter().fold(0usize, |size, text| {
        size.saturating_add(text.len()).saturating_add(between.len())
    });
    allowance.spend(u64::try_from(size).unwrap_or(u64::MAX))?;
    Ok(Value::String(Arc::new(texts.join(between))))
}

#[cfg(test)]
mod tests {
    use kube_cel::KubeCelExt as _;
    use kube_cel::cel::parser::Parser;

    use super::*;

    const MUCH: u64 = 1 << 20;

    /// As those who evaluate do, with a stack for deep recursion.
    fn evaluate(expression: &str) -> Made {
        let expression = expression.to_owned();
        let deep = std::thread::Builder::new().stack_size(256 << 20);
        deep.spawn(move || evaluated(&expression))
            .unwrap()
            .join()
            .unwrap()
    }

    fn evaluated(expression: &str) -> Made {
        let mut parsed = Parser::default().parse(expression).unwrap();
        crate::count(&mut parsed);
        let mut context = Context::default();
        context.register_all();
        let allowance = Allowance::new(MUCH);
        allowance.register(&mut context);
        allowance.register_texts(&mut context);
        context.add_variable_from_value("text", Value::String(Arc::new("some text".to_owned())));
        Value::resolve(&parsed, &context)
    }

    #[test]
    fn functions_and_operators_give_what_they_gave_before() {
        for expression in [
            "'a' + 'b' == 'ab' && [1] + [2] == [1, 2] && 1 + 1 == 2",
            "text.replace('e', 'EE') == 'somEE tEExt' && text.replace('e', 'E', 1) == 'somE text'",
            "'aaa'.replace('a', 'b', -1) == 'bbb' && 'ab'.replace('', '-') == '-a-b-'",
            "['a', 'b'].join('/') == 'a/b' && ['a', 'b'].join() == 'ab'",
            "text.split(' ')[1].upperAscii() == 'TEXT'",
            "[1, 1, 2].distinct() == [1, 2] && sets.contains([1, 2], [2])",
            "math.greatest(1, 2) == 2 && math.abs(-1) == 1 && lists.range(3) == [0, 1, 2]",
            "base64.encode(b'hello') == 'aGVsbG8='",
            "'%s is %d'.format(['it', 3]) == 'it is 3' && '%.2f'.format([1.5]) == '1.50'",
            "optional.of('a').orValue('b') == 'a' && optional.none().orValue('b') == 'b'",
            "quantity('1Ki').isGreaterThan(quantity('1k'))",
            "url('https://h/p').getHost() == 'h' && ip('127.0.0.1').family() == 4",
            "has({'a': 1}.a) && {'a': {'b': 'c'}}.a.b == 'c' && size(text) == 9 && text.size() == 9",
            "['b', 'a'].sort() == ['a', 'b'] && 'a' in ['a'] && !('b' in ['a'])",
            "[3, 4].map(x, x + 1).filter(x, x > 4) == [5]",
        ] {
            assert_eq!(evaluate(expression), Ok(Value::Bool(true)), "{expression}");
        }
    }

    /// `before`, then `step` so often, each in the place of `x` of the one before.
    fn nested(before: &str, step: &str, times: usize) -> String {
        (0..times).fold(before.to_owned(), |inner, _| {
            format!("[{inner}].map(x, {step})[0]")
        })
    }

    #[test]
    fn what_grows_without_end_ends() {
        let deep = nested("[text]", "[x, x]", 30);
        for expression in [
            nested("text", "x + x", 40),
            nested("[text]", "x + x", 40),
            nested("text", "x.replace('', x)", 20),
            nested("text", "[x, x, x].join(x)", 20),
            nested("text", "'%s%s'.format([x, x])", 40),
            nested("text", "{'a': x, 'b': x}", 40),
            format!("{deep} == {deep}"),
            "'%.1000000000f'.format([1.5]) == ''".to_owned(),
            nested("['a', 'b', 'c', 'd']", "(x + x).distinct() + x + x", 12),
        ] {
            let begun = std::time::Instant::now();
            let problem = evaluate(&expression).unwrap_err();
            assert!(
                problem.to_string().contains("too much"),
                "{expression}: {problem}"
            );
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(20),
                "{expression}"
            );
        }
        // The evaluator has words of its own for an argument that cannot be had.
        assert!(evaluate(&format!("size({deep}) > 0")).is_err());
    }

    #[test]
    fn a_large_value_costs_each_time_that_it_is_looked_at() {
        let once = format!("'{}' == text", "x".repeat(3000));
        assert_eq!(evaluate(&once), Ok(Value::Bool(false)));
        let often = format!(
            "[{}].all(a, [{}].exists(b, {once}) || true)",
            ["1"; 100].join(","),
            ["1"; 100].join(",")
        );
        assert!(evaluate(&often).is_err());
    }
}
