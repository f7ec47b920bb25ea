//! Defaults, which may refer to other params.

use crds::tekton::{ParamSpec, ParamValue};

use super::{Error, Values};
use crate::substitution::{Scope, Template};

/// How many defaults may refer to each other in a row.
pub(super) const DEPTH: usize = 10;

/// Adds the defaults of params that have no value, and the keys that an object's value leaves to its default.
pub(super) fn fill(declared: &[ParamSpec], given: Values) -> Result<Values, Error> {
    let mut filled = Filled {
        declared,
        values: given.clone(),
        given,
        path: Vec::new(),
    };
    for spec in declared {
        filled.fill(spec)?;
    }
    Ok(filled.values)
}

struct Filled<'a> {
    declared: &'a [ParamSpec],
    given: Values,
    values: Values,
    /// The params whose defaults are being filled, each because of the one before.
    path: Vec<&'a str>,
}

impl<'a> Filled<'a> {
    fn fill(&mut self, spec: &'a ParamSpec) -> Result<(), Error> {
        let Some(default) = &spec.default else {
            return Ok(());
        };
        let given = self.given.get(&spec.name);
        // Only of an object can a value be a part of it.
        let done = match (given, default) {
            (Some(ParamValue::Object(given)), ParamValue::Object(default)) => {
                default.keys().all(|key| given.contains_key(key))
            }
            (given, _) => given.is_some(),
        };
        if done || (given.is_none() && self.values.contains_key(&spec.name)) {
            return Ok(());
        }
        if self.path.contains(&spec.name.as_str()) {
            let circle = self.path.iter().copied().chain([spec.name.as_str()]);
            return Err(Error::DefaultsInACircle(circle.map(str::to_owned).collect()));
        }
        if self.path.len() >= DEPTH {
            return Err(Error::DefaultsTooDeep(spec.name.clone()));
        }
        self.path.push(&spec.name);
        let scope = self.scope(default)?;
        let value = scope.value(default).map_err(|source| Error::IndexOutOfBounds {
            name: spec.name.clone(),
            source,
        })?;
        self.path.pop();
        let value = match (self.given.get(&spec.name), value) {
            (Some(ParamValue::Object(given)), ParamValue::Object(mut default)) => {
                default.extend(given.clone());
                ParamValue::Object(default)
            }
            (_, value) => value,
        };
        self.values.insert(spec.name.clone(), value);
        Ok(())
    }

    /// The values that a default refers to, which are filled first.
    fn scope(&mut self, default: &ParamValue) -> Result<Scope, Error> {
        let texts: Vec<&str> = match default {
            ParamValue::String(text) => vec![text],
            ParamValue::Array(list) => list.iter().map(String::as_str).collect(),
            ParamValue::Object(map) => map.values().map(String::as_str).collect(),
        };
        let mut scope = Scope::new();
        for text in texts {
            for variable in Template::parse(text).variables() {
                let Some(name) = self.named(&variable.path) else {
                    continue;
                };
                if let Some(spec) = self.declared.iter().find(|spec| spec.name == name) {
                    self.fill(spec)?;
                }
                if let Some(value) = self.values.get(&name) {
                    scope.set_named(&["params"], &name, value);
                }
            }
        }
        Ok(scope)
    }

    /// The param that a variable's path means: its name may have dots without quotes, or be followed by a key.
    fn named(&self, path: &[&str]) -> Option<String> {
        let (&"params", name) = path.split_first()? else {
            return None;
        };
        let known =
            |name: &str| self.values.contains_key(name) || self.declared.iter().any(|spec| spec.name == name);
        let whole = name.join(".");
        let first = (*name.first()?).to_owned();
        if known(&whole) {
            Some(whole)
        } else {
            known(&first).then_some(first)
        }
    }
}
