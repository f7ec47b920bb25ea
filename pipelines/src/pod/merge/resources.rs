//! What a step needs: what the run says of it, a share of what the run says of all, or what the Task says.

use std::collections::BTreeMap;

use crds::tekton::{Step, TaskSpec};
use formats::quantity::Quantity;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

use super::super::Attempt;
use super::unless_empty;

pub(in super::super) fn resources(
    attempt: &Attempt<'_>,
    task: &TaskSpec,
    step: &Step,
) -> Option<ResourceRequirements> {
    let spec = &attempt.run.spec;
    if let Some(of_run) = &spec.compute_resources {
        return unless_empty(shared(of_run, task.steps.len()));
    }
    let own = spec
        .step_specs
        .iter()
        .find(|own| own.name == step.name && !step.name.is_empty());
    match own {
        Some(own) => unless_empty(own.compute_resources.clone()),
        None => step.compute_resources.clone(),
    }
}

/// All steps count at once, so they divide the requests; a limit holds for one at a time, so each gets it whole.
fn shared(of_run: &ResourceRequirements, steps: usize) -> ResourceRequirements {
    let requests = of_run.requests.as_ref().map(|requests| {
        let divided = requests
            .iter()
            .map(|(name, amount)| (name.clone(), divide(name, amount, steps)));
        divided.collect::<BTreeMap<_, _>>()
    });
    ResourceRequirements {
        requests,
        ..of_run.clone()
    }
}

/// An amount that cannot be read stays, and the API server says what is wrong with it.
pub(in super::super) fn divide(name: &str, amount: &Amount, steps: usize) -> Amount {
    let (Ok(whole), Ok(steps)) = (amount.0.parse::<Quantity>(), i128::try_from(steps.max(1))) else {
        return amount.clone();
    };
    let share = match name {
        "cpu" => i64::try_from(whole.milli() / steps).map(Quantity::from_milli),
        _ => i64::try_from(whole.value() / steps).map(Quantity::from_bytes),
    };
    share.map_or_else(|_| amount.clone(), |share| Amount(share.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_are_divided_and_limits_are_not() {
        let of_run = serde_json::from_value(json!({
            "requests": {"cpu": "1", "memory": "3Gi", "strange": "x"}, "limits": {"cpu": "2"},
        }))
        .unwrap();
        let expected: ResourceRequirements = serde_json::from_value(json!({
            "requests": {"cpu": "333m", "memory": "1Gi", "strange": "x"}, "limits": {"cpu": "2"},
        }))
        .unwrap();
        assert_eq!(shared(&of_run, 3), expected);
        assert_eq!(shared(&of_run, 0), of_run);
    }
}
