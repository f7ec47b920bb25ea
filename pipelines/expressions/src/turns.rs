//! Loops that spend.

use kube_cel::cel::Context;
use kube_cel::cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr};

use crate::{Allowance, sizes};

/// Stands around the condition of each loop; no name in an expression can be this.
const TURN: &str = "@turn";

pub(crate) fn register(context: &mut Context<'_>, allowance: &Allowance) {
    let spent = allowance.clone();
    context.add_function(TURN, move |goes_on: bool| spent.spend(1).map(|()| goes_on));
}

/// Makes every loop of an expression spend at each turn, and every value by its size, in a context with which an
/// [`Allowance`] is registered.
pub fn count(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| count(target));
            call.args.iter_mut().for_each(count);
            sizes::charge(expression);
        }
        Expr::Select(select) => count(&mut select.operand),
        Expr::List(list) => {
            list.elements.iter_mut().for_each(count);
            if !list.elements.is_empty() {
                sizes::wrap_size(expression);
            }
        }
        Expr::Map(map) => {
            map.entries.iter_mut().for_each(entry);
            sizes::wrap_size(expression);
        }
        Expr::Struct(made) => made.entries.iter_mut().for_each(entry),
        Expr::Comprehension(found) => {
            for part in [
                &mut found.iter_range,
                &mut found.accu_init,
                &mut found.loop_cond,
                &mut found.result,
            ] {
                count(part);
            }
            step(&mut found.loop_step, &found.accu_var);
            let condition = std::mem::take(&mut found.loop_cond);
            found.loop_cond = IdedExpr {
                id: condition.id,
                expr: Expr::Call(CallExpr {
                    func_name: TURN.to_owned(),
                    target: None,
                    args: vec![condition],
                }),
            };
        }
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
    }
}

/// What a turn does. That it adds to what the loop has made so far is no reason to pay for all of that once more: the
/// evaluator adds in place.
fn step(expression: &mut IdedExpr, made: &str) {
    match &mut expression.expr {
        Expr::Call(call) if call.func_name == "_?_:_" => {
            if let [condition, branches @ ..] = call.args.as_mut_slice() {
                count(condition);
                branches.iter_mut().for_each(|branch| step(branch, made));
            }
        }
        Expr::Call(call)
            if call.func_name == "_+_" && call.args.first().is_some_and(|first| is(first, made)) =>
        {
            call.args.iter_mut().for_each(count);
        }
        _ => count(expression),
    }
}

fn is(expression: &IdedExpr, name: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(found) if found == name)
}

fn entry(of: &mut IdedEntryExpr) {
    match &mut of.expr {
        EntryExpr::MapEntry(entry) => {
            count(&mut entry.key);
            count(&mut entry.value);
        }
        EntryExpr::StructField(field) => count(&mut field.value),
    }
}

#[cfg(test)]
mod tests {
    use kube_cel::KubeCelExt as _;
    use kube_cel::cel::parser::Parser;
    use kube_cel::cel::{ExecutionError, Value};

    use super::*;
    use crate::patterns::NEW;

    /// What the expression gives with so much to spend, and how much it needed at least, by trying.
    fn evaluate(expression: &str, work: u64) -> Result<Value, ExecutionError> {
        let mut parsed = Parser::default().parse(expression).unwrap();
        count(&mut parsed);
        let mut context = Context::default();
        context.register_all();
        Allowance::new(work).register(&mut context);
        Value::resolve(&parsed, &context)
    }

    #[test]
    fn expressions_give_what_they_gave_before() {
        for expression in [
            "[1, 2, 3].all(x, x > 0)",
            "[1, 2, 3].exists(x, x == 2) && ![1].exists(x, x == 2)",
            "[1, 2, 3].exists_one(x, x > 2)",
            "[1, 2].map(x, [x, 5].map(y, x * y)) == [[1, 5], [4, 10]]",
            "[1, 2, 3].filter(x, x != 2) == [1, 3]",
            "{'a': 1}.all(key, key.matches('^[a-z]$'))",
            "'release-1.2'.matches('[0-9]') && !'x'.matches('[0-9]')",
            "'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == ''",
            "'1 2 3'.findAll('[0-9]') == ['1', '2', '3'] && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
        ] {
            assert_eq!(
                evaluate(expression, 1 << 20).unwrap(),
                Value::Bool(true),
                "{expression}"
            );
        }
        assert!(evaluate("'x'.matches('(')", 1 << 20).is_err());
        assert!(evaluate("'x'.findAll(1)", 1 << 20).is_err());
    }

    #[test]
    fn what_does_too_much_ends() {
        let list = format!("[{}]", vec!["1"; 100].join(","));
        let nested = format!("{list}.all(a, {list}.all(b, a + b > 0))");
        // The turns, and the list each time that it is made.
        let needed = 100 * 100 + 100 + 101 * 100 * 16;
        assert!(evaluate(&nested, needed).is_ok());
        let problem = evaluate(&nested, needed - 1).unwrap_err();
        assert!(problem.to_string().contains("too much"), "{problem}");

        // A pattern is paid for once, and by the text each time.
        let same = format!("{list}.all(a, 'xx'.matches('y*'))");
        let needed = NEW + 100 * 16 + 100 * (1 + 2 + "xx".len() as u64 + "y*".len() as u64);
        assert!(evaluate(&same, needed).is_ok());
        assert!(evaluate(&same, needed - 1).is_err());
        let others = format!("{list}.all(a, {list}.all(b, 'x'.matches('x(' + string(a + b) + ')?')))");
        assert!(evaluate(&others, 1 << 20).is_ok(), "there is one pattern only");
        let many: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        let many = format!(
            "[{}].all(a, 'x'.matches('(' + string(a) + ')?x'))",
            many.join(",")
        );
        assert!(evaluate(&many, 1 << 20).is_err());
        // What would be large is no pattern.
        assert!(evaluate("'x'.matches('(\\\\w{100}){100}')", 1 << 20).is_err());
    }
}
