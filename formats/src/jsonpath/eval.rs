//! Nodes and a value to values, or to text.

use serde_json::Value;

use super::{Comparison, Filter, Node, Operand, Path, RenderError, Slice, Step};

/// Most values visited for one template: `..` in a row multiplies.
const MAX_VISITED: usize = 1_000_000;

/// Longest text rendered, in bytes.
const MAX_OUTPUT: usize = 64 << 20;

pub(super) fn find<'a>(nodes: &[Node], value: &'a Value) -> Vec<&'a Value> {
    let mut eval = Eval {
        root: value,
        visited: 0,
    };
    let mut found = Vec::new();
    // A path that fails finds nothing.
    let _ = eval.collect(nodes, value, &mut found);
    found
}

pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, RenderError> {
    let mut output = String::new();
    Eval {
        root: value,
        visited: 0,
    }
    .print(nodes, value, &mut output)?;
    Ok(output)
}

struct Eval<'a> {
    root: &'a Value,
    visited: usize,
}

impl<'a> Eval<'a> {
    fn collect(
        &mut self,
        nodes: &[Node],
        value: &'a Value,
        found: &mut Vec<&'a Value>,
    ) -> Result<(), RenderError> {
        for node in nodes {
            match node {
                Node::Text(_) => {}
                Node::Path(path) => found.extend(self.path(path, value)?),
                Node::Range { over, body } => {
                    for item in self.path(over, value)? {
                        self.collect(body, item, found)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn print(&mut self, nodes: &[Node], value: &'a Value, output: &mut String) -> Result<(), RenderError> {
        for node in nodes {
            if output.len() > MAX_OUTPUT {
                return Err(RenderError::TooMuch);
            }
            match node {
                Node::Text(text) => output.push_str(text),
                Node::Path(path) => {
                    for (position, result) in self.path(path, value)?.into_iter().enumerate() {
                        if position > 0 {
                            output.push(' ');
                        }
                        match result {
                            Value::Null => {}
                            Value::String(text) => output.push_str(text),
                            other => output.push_str(&other.to_string()),
                        }
                        if output.len() > MAX_OUTPUT {
                            return Err(RenderError::TooMuch);
                        }
                    }
                }
                Node::Range { over, body } => {
                    for item in self.path(over, value)? {
                        self.visit(1)?;
                        self.print(body, item, output)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn visit(&mut self, values: usize) -> Result<(), RenderError> {
        self.visited += values;
        if self.visited > MAX_VISITED {
            Err(RenderError::TooMuch)
        } else {
            Ok(())
        }
    }

    fn path(&mut self, path: &Path, value: &'a Value) -> Result<Vec<&'a Value>, RenderError> {
        let mut current = vec![if path.from_root { self.root } else { value }];
        for step in &path.steps {
            let mut next = Vec::new();
            for value in current {
                self.visit(1)?;
                self.step(step, value, &mut next)?;
            }
            current = next;
        }
        Ok(current)
    }

    fn step(&mut self, step: &Step, value: &'a Value, next: &mut Vec<&'a Value>) -> Result<(), RenderError> {
        match step {
            Step::Field(name) => next.extend(value.get(name)),
            Step::Fields(names) => next.extend(names.iter().filter_map(|name| value.get(name))),
            Step::Wildcard => {
                let children = children(value);
                self.visit(children.len())?;
                next.extend(children);
            }
            Step::Recursive => self.recurse(value, next)?,
            Step::Items(slices) => {
                if let Value::Array(items) = value {
                    for slice in slices {
                        take(*slice, items, next)?;
                        self.visit(items.len().min(next.len()))?;
                    }
                }
            }
            Step::Filter(filter) => {
                if let Value::Array(items) = value {
                    for item in items {
                        self.visit(1)?;
                        if self.holds(filter, item)? {
                            next.push(item);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The value and every container below it. A JSON value nests at most as deep as its parser let it.
    fn recurse(&mut self, value: &'a Value, next: &mut Vec<&'a Value>) -> Result<(), RenderError> {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            self.visit(1)?;
            let children = children(value);
            if !children.is_empty() {
                next.push(value);
                open.extend(children.into_iter().rev());
            }
        }
        Ok(())
    }

    fn holds(&mut self, filter: &Filter, item: &'a Value) -> Result<bool, RenderError> {
        let left = self.operand(&filter.left, item)?;
        let Some((comparison, right)) = &filter.comparison else {
            return Ok(left.is_some());
        };
        let right = self.operand(right, item)?;
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(false);
        };
        Ok(compare(*comparison, &left, &right))
    }

    fn operand(&mut self, operand: &Operand, item: &'a Value) -> Result<Option<Value>, RenderError> {
        Ok(match operand {
            Operand::Literal(literal) => Some(literal.clone()),
            // Only scalars compare; a container merely exists.
            Operand::Path(path) => self.path(path, item)?.first().map(|found| match found {
                Value::Array(_) | Value::Object(_) => Value::Array(Vec::new()),
                scalar => (*scalar).clone(),
            }),
        })
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

fn take<'a>(slice: Slice, items: &'a [Value], next: &mut Vec<&'a Value>) -> Result<(), RenderError> {
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let absolute = |index: i64| {
        if index < 0 {
            index.saturating_add(length)
        } else {
            index
        }
    };
    if slice.single {
        let index = slice.start.unwrap_or(0);
        let found = usize::try_from(absolute(index)).ok().and_then(|at| items.get(at));
        next.push(found.ok_or(RenderError::OutOfBounds {
            index,
            length: items.len(),
        })?);
        return Ok(());
    }
    let bound = |index: i64| usize::try_from(absolute(index).clamp(0, length)).unwrap_or(0);
    let start = bound(slice.start.unwrap_or(0));
    let end = bound(slice.end.unwrap_or(length));
    let step = usize::try_from(slice.step.unwrap_or(1)).unwrap_or(1).max(1);
    next.extend(items.get(start..end).unwrap_or_default().iter().step_by(step));
    Ok(())
}

fn compare(comparison: Comparison, left: &Value, right: &Value) -> bool {
    let order = match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left.as_f64().and_then(|left| left.partial_cmp(&right.as_f64()?))
        }
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Null, Value::Null) => Some(std::cmp::Ordering::Equal),
        _ => None,
    };
    match (comparison, order) {
        (Comparison::NotEqual, order) => order.is_none_or(std::cmp::Ordering::is_ne),
        (_, None) => false,
        (Comparison::Equal, Some(order)) => order.is_eq(),
        (Comparison::Less, Some(order)) => order.is_lt(),
        (Comparison::LessOrEqual, Some(order)) => order.is_le(),
        (Comparison::Greater, Some(order)) => order.is_gt(),
        (Comparison::GreaterOrEqual, Some(order)) => order.is_ge(),
    }
}
