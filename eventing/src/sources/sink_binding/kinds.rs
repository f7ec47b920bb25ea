//! The kinds of which a binding may have bound workloads, as its status keeps them.

use crds::annotations::BOUND_KINDS;
use crds::sources::SinkBinding;

use crate::tracker::Kind;

/// More are not remembered: a binding whose subject changes this often in a row, without a moment's rest, is no use.
const MOST: usize = 8;

/// The kind of the subject.
pub(super) fn present(binding: &SinkBinding) -> Kind {
    let subject = &binding.spec.subject;
    Kind::new(&subject.api_version, &subject.kind)
}

/// Those in the status.
pub(super) fn recorded(binding: &SinkBinding) -> Vec<Kind> {
    let annotations = binding
        .status
        .as_ref()
        .and_then(|status| status.annotations.as_ref());
    let text = annotations
        .and_then(|all| all.get(BOUND_KINDS))
        .map(String::as_str);
    text.map(read).unwrap_or_default()
}

/// Those in the status, and that of the subject.
pub(super) fn with_present(binding: &SinkBinding) -> Vec<Kind> {
    let mut kinds = recorded(binding);
    let present = present(binding);
    if !kinds.contains(&present) {
        kinds.push(present);
    }
    let surplus = kinds.len().saturating_sub(MOST);
    kinds.split_off(surplus)
}

fn read(text: &str) -> Vec<Kind> {
    let kinds = text.split(',').filter_map(|kind| kind.trim().split_once(' '));
    kinds
        .map(|(api_version, kind)| Kind::new(api_version, kind))
        .collect()
}

/// The text that [`recorded`] reads.
pub(super) fn written(kinds: &[Kind]) -> String {
    let texts: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn binding(recorded: Option<&str>) -> SinkBinding {
        serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding", "metadata": {"name": "b"},
            "spec": {"subject": {"apiVersion": "apps/v1", "kind": "Deployment"}},
            "status": {"annotations": recorded.map(|text| json!({BOUND_KINDS: text}))},
        }))
        .unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let (deployment, job) = (Kind::new("apps/v1", "Deployment"), Kind::new("batch/v1", "Job"));
        assert_eq!(recorded(&binding(None)), []);
        assert_eq!(with_present(&binding(None)), std::slice::from_ref(&deployment));
        assert_eq!(recorded(&binding(Some("nonsense"))), []);
        let text = written(&[job.clone(), deployment.clone()]);
        assert_eq!(text, "batch/v1 Job, apps/v1 Deployment");
        assert_eq!(recorded(&binding(Some(&text))), [job.clone(), deployment.clone()]);
        assert_eq!(
            with_present(&binding(Some("batch/v1 Job"))),
            [job, deployment.clone()]
        );
        let many: Vec<Kind> = (0..20)
            .map(|index| Kind::new("v1", format!("K{index}")))
            .collect();
        let kept = with_present(&binding(Some(&written(&many))));
        assert_eq!((kept.len(), kept.last()), (MOST, Some(&deployment)));
    }
}
