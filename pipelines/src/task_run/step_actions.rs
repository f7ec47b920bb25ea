//! StepActions: what steps do that only refer to it.

use std::collections::BTreeSet;

use crds::tekton::{ParamSpec, Step, StepActionSpec};

use crate::params;
use crate::substitution::step_action::substitute;

/// The step with what its StepAction says in place of the reference. Its params have been replaced; those of the
/// action are what the step gives, so that nothing of the task reaches the action by another way.
pub(super) fn inlined(step: &Step, action: &StepActionSpec) -> Result<Step, String> {
    let undeclared: BTreeSet<&str> = step
        .params
        .iter()
        .map(|param| param.name.as_str())
        .filter(|name| !action.params.iter().any(|declared| declared.name == *name))
        .collect();
    if !undeclared.is_empty() {
        let names: Vec<&str> = undeclared.into_iter().collect();
        return Err(format!(
            "the StepAction does not declare the params {}, it has: {}",
            names.join(", "),
            declared(&action.params)
        ));
    }
    let values = params::resolve(&action.params, &step.params).map_err(|error| error.to_string())?;
    let filled = substitute(action, &values).map_err(|error| error.to_string())?;
    Ok(Step {
        image: filled.image,
        command: filled.command,
        args: filled.args,
        env: filled.env,
        script: filled.script,
        working_dir: filled.working_dir,
        security_context: filled.security_context.or_else(|| step.security_context.clone()),
        volume_mounts: filled.volume_mounts,
        results: filled.results,
        ref_: None,
        params: Vec::new(),
        ..step.clone()
    })
}

fn declared(params: &[ParamSpec]) -> String {
    let names: Vec<&str> = params.iter().map(|param| param.name.as_str()).collect();
    match names.is_empty() {
        true => "none".to_owned(),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn inline(step: Value, action: Value) -> Result<Value, String> {
        let inlined = inlined(
            &serde_json::from_value(step).unwrap(),
            &serde_json::from_value(action).unwrap(),
        )?;
        Ok(serde_json::to_value(inlined).unwrap())
    }

    #[test]
    fn the_action_says_what_runs_and_the_step_the_rest() {
        let step = json!({
            "name": "s", "ref": {"name": "a"}, "onError": "continue", "timeout": "1m0s",
            "params": [{"name": "who", "value": "$(params.how)"}, {"name": "list", "value": ["x", "y"]}],
            "securityContext": {"runAsUser": 7},
        });
        let action = json!({
            "image": "i:$(params.tag)", "args": ["$(params.list[*])", "$(params.who)"], "workingDir": "/$(params.o.k)",
            "env": [{"name": "A", "value": "$(params.who)"}], "script": "echo $(params.who) $(step.results.r.path)",
            "volumeMounts": [{"name": "$(params.tag)", "mountPath": "/$(params.tag)"}],
            "params": [
                {"name": "who"}, {"name": "how", "default": "own"}, {"name": "tag", "default": "$(params.how)"},
                {"name": "list", "type": "array"}, {"name": "o", "properties": {"k": {}}, "default": {"k": "v"}},
            ],
            "results": [{"name": "r"}],
        });
        let expected = json!({
            "name": "s", "image": "i:own", "args": ["x", "y", "$(params.how)"], "workingDir": "/v",
            "env": [{"name": "A", "value": "$(params.how)"}], "script": "echo $(params.who) $(step.results.r.path)",
            "volumeMounts": [{"name": "own", "mountPath": "/own"}], "results": [{"name": "r"}],
            "onError": "continue", "timeout": "1m0s", "securityContext": {"runAsUser": 7},
        });
        let found = inline(step, action).unwrap();
        for (field, value) in expected.as_object().unwrap() {
            if field != "results" {
                assert_eq!(&found[field], value, "{field}");
            }
        }
        assert_eq!(found["results"][0]["name"], "r");
        assert!(
            found.get("ref").is_none() && found.get("params").is_none(),
            "{found}"
        );
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let action = json!({"image": "i", "params": [{"name": "p"}, {"name": "l", "type": "array", "default": ["x"]}],
                            "args": ["$(params.l[3])"]});
        for (params, words) in [
            (json!([]), "missing parameters which have no default values: p"),
            (
                json!([{"name": "p", "value": ["x"]}]),
                "p is array, and string is declared",
            ),
            (
                json!([{"name": "p", "value": "x"}, {"name": "z", "value": "x"}]),
                "the params z, it has: p, l",
            ),
            (
                json!([{"name": "p", "value": "x"}]),
                "there is no element 3 in an array of 1",
            ),
        ] {
            let step = json!({"name": "s", "ref": {"name": "a"}, "params": params});
            let error = inline(step, action.clone()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
