//! Comparisons between numbers of different types.
//!
//! All numbers of an event are doubles, and people compare them with whole ones, as the language allows. The
//! evaluator's own operators know only equal types, so they are replaced by functions.

use std::cmp::Ordering;

use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr};
use kube_cel::cel::objects::Key;
use kube_cel::cel::{Context, ExecutionError, Value as Cel};

/// Operators, and the functions that take their places; no name in an expression can be one of these.
const FUNCTIONS: [(&str, &str); 7] = [
    ("_==_", "@equal"),
    ("_!=_", "@unequal"),
    ("_<_", "@less"),
    ("_<=_", "@less_or_equal"),
    ("_>_", "@greater"),
    ("_>=_", "@greater_or_equal"),
    ("@in", "@member"),
];

pub(super) fn register(context: &mut Context<'_>) {
    context.add_function("@equal", |one: Cel, other: Cel| one == other);
    context.add_function("@unequal", |one: Cel, other: Cel| one != other);
    context.add_function("@less", |one: Cel, other: Cel| {
        compare(&one, &other).map(Ordering::is_lt)
    });
    context.add_function("@less_or_equal", |one: Cel, other: Cel| {
        compare(&one, &other).map(Ordering::is_le)
    });
    context.add_function("@greater", |one: Cel, other: Cel| {
        compare(&one, &other).map(Ordering::is_gt)
    });
    context.add_function("@greater_or_equal", |one: Cel, other: Cel| {
        compare(&one, &other).map(Ordering::is_ge)
    });
    context.add_function("@member", member);
}

fn compare(one: &Cel, other: &Cel) -> Result<Ordering, ExecutionError> {
    one.partial_cmp(other)
        .ok_or_else(|| ExecutionError::ValuesNotComparable(one.clone(), other.clone()))
}

fn member(one: Cel, of: Cel) -> Result<bool, ExecutionError> {
    match &of {
        Cel::List(list) => Ok(list.contains(&one)),
        Cel::Map(map) => Ok(match &one {
            Cel::String(name) => map.map.contains_key(&Key::String(name.clone())),
            Cel::Int(number) => map.map.contains_key(&Key::Int(*number)),
            Cel::UInt(number) => map.map.contains_key(&Key::Uint(*number)),
            Cel::Bool(value) => map.map.contains_key(&Key::Bool(*value)),
            _ => false,
        }),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// Puts the functions in the places of the operators.
pub(super) fn loosen(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            let operator = FUNCTIONS.iter().find(|(operator, _)| *operator == call.func_name);
            if let Some((_, function)) = operator {
                (*function).clone_into(&mut call.func_name);
            }
            call.target.iter_mut().for_each(|target| loosen(target));
            call.args.iter_mut().for_each(loosen);
        }
        Expr::Select(select) => loosen(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(loosen),
        Expr::Map(map) => map.entries.iter_mut().for_each(entry),
        Expr::Struct(of) => of.entries.iter_mut().for_each(entry),
        Expr::Comprehension(comprehension) => {
            for part in [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ] {
                loosen(part);
            }
        }
        _ => {}
    }
}

fn entry(of: &mut IdedEntryExpr) {
    match &mut of.expr {
        EntryExpr::MapEntry(entry) => {
            loosen(&mut entry.key);
            loosen(&mut entry.value);
        }
        EntryExpr::StructField(field) => loosen(&mut field.value),
    }
}
