//! How many builds of a namespace run at the same time; the others wait, and show their place.

use crds::spindrift::annotations::{POSITION, SEQUENCE};
use crds::tekton::{PipelineRun, PipelineRunSpecStatus, RunStatus as _};
use kube::ResourceExt;

/// What is to be written to a build that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It may begin.
    Begin(String),
    /// Its place among those that wait, counted from 1.
    Wait { run: String, position: usize },
}

/// Decides about the builds of one namespace that are not over, of which `limit` may run.
pub(crate) fn turns<'a>(builds: impl IntoIterator<Item = &'a PipelineRun>, limit: usize) -> Vec<Turn> {
    let unfinished = builds.into_iter().filter(|run| !is_done(run));
    let (mut waiting, running): (Vec<&PipelineRun>, Vec<&PipelineRun>) =
        unfinished.partition(|run| is_pending(run));
    waiting.sort_by_key(|run| {
        let created = run.creation_timestamp().map(|time| time.0);
        (created, sequence(run), run.name_any())
    });
    let free = limit.saturating_sub(running.len());
    let (begin, wait) = waiting.split_at(free.min(waiting.len()));
    let begin = begin.iter().map(|run| Turn::Begin(run.name_any()));
    let wait = (1..).zip(wait).filter_map(|(position, run)| {
        let shown = run.annotations().get(POSITION);
        (shown.is_none_or(|shown| *shown != position.to_string())).then(|| Turn::Wait {
            run: run.name_any(),
            position,
        })
    });
    begin.chain(wait).collect()
}

pub(crate) fn is_done(run: &PipelineRun) -> bool {
    run.status.as_ref().is_some_and(|status| status.is_done())
}

pub(crate) fn is_pending(run: &PipelineRun) -> bool {
    run.spec.status == Some(PipelineRunSpecStatus::PipelineRunPending)
}

/// The number of the push that a run builds.
pub(crate) fn sequence(run: &PipelineRun) -> i64 {
    run.annotations()
        .get(SEQUENCE)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(
        name: &str,
        sequence: i64,
        spec_status: &str,
        succeeded: Option<&str>,
        position: &str,
    ) -> PipelineRun {
        let conditions: Vec<Value> = succeeded
            .map(|status| json!({"type": "Succeeded", "status": status}))
            .into_iter()
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "name": name, "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {"spindrift.dev/sequence": sequence.to_string(), "spindrift.dev/position": position},
            },
            "spec": {"status": spec_status}, "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    #[test]
    fn the_first_to_come_begin_and_the_others_see_their_place() {
        const PENDING: &str = "PipelineRunPending";
        let builds = [
            run("done", 1, "", Some("True"), ""),
            run("running", 2, "", Some("Unknown"), ""),
            run("begun", 3, "", None, ""),
            run("third", 6, PENDING, None, "2"),
            run("first", 4, PENDING, Some("Unknown"), "1"),
            run("second", 5, PENDING, None, "2"),
            run("cancelled", 7, "CancelledRunFinally", Some("False"), ""),
        ];
        assert_eq!(
            turns(&builds, 3),
            [
                Turn::Begin("first".to_owned()),
                Turn::Wait {
                    run: "second".to_owned(),
                    position: 1
                },
            ]
        );
        let begin = |name: &str| Turn::Begin(name.to_owned());
        assert_eq!(
            turns(&builds, 9),
            [begin("first"), begin("second"), begin("third")]
        );
        assert_eq!(
            turns(&builds, 0),
            [Turn::Wait {
                run: "third".to_owned(),
                position: 3
            }]
        );
    }
}
