//! Results that are in the logs of steps, as they did not fit into termination messages.

use entrypoint::log_results::{lines_to_read, read};
use entrypoint::message::{self, IN_LOG, Kind, MOST, Record};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{Api, LogParams};
use reconciler::Error;
use reconciler::error::is_not_found;

use super::steps;

/// Bytes of a log that are read: all results in base64, and as much again of what others have written between.
const LOG: i64 = 4 << 20;

/// Results that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    TooLarge(usize),
    Unreadable(String),
}

/// Does a step of the pod have results in its log?
pub(super) fn any(pod: &Pod) -> bool {
    !places(pod).is_empty()
}

/// The containers with results in their logs, and how many lines these have there.
fn places(pod: &Pod) -> Vec<(String, usize)> {
    let found = steps::all(pod).filter_map(|shown| {
        let told = steps::records(shown.state.as_ref()?.terminated.as_ref()?);
        let count = steps::internal(&told, IN_LOG)?.parse().ok()?;
        Some((shown.name.clone(), count))
    });
    found.collect()
}

/// The pod as if all results had been in its termination messages.
pub(super) async fn completed(client: &kube::Client, pod: &Pod) -> Result<Result<Pod, Lost>, Error> {
    let mut completed = pod.clone();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    for (container, count) in places(pod) {
        let parameters = LogParams {
            container: Some(container.clone()),
            tail_lines: i64::try_from(lines_to_read(count)).ok(),
            limit_bytes: Some(LOG),
            ..LogParams::default()
        };
        let name = pod.name_any();
        let log = match pods.logs(&name, &parameters).await {
            Ok(log) => log,
            Err(error) if is_not_found(&error) => {
                return Ok(Err(Lost::Unreadable(format!("the log of {container:?} is gone"))));
            }
            Err(error) => {
                return Err(Error::api(
                    format!("read the log of {container} of pod {name}"),
                    error,
                ));
            }
        };
        match read(&log, count) {
            Ok(records) => put(&mut completed, &container, records),
            Err(error) => {
                return Ok(Err(Lost::Unreadable(format!(
                    "the log of {container:?}: {error}"
                ))));
            }
        }
    }
    Ok(match size(&completed) {
        size if size > MOST => Err(Lost::TooLarge(size)),
        _ => Ok(completed),
    })
}

/// Bytes of all results, with their names.
fn size(pod: &Pod) -> usize {
    let ended = steps::all(pod).filter_map(|shown| shown.state.as_ref()?.terminated.as_ref());
    let told = ended.flat_map(steps::records);
    told.filter(|record| record.kind != Kind::Internal)
        .map(|record| record.key.len() + record.value.len())
        .sum()
}

/// What a container told, with these records beside its own.
fn put(pod: &mut Pod, container: &str, records: Vec<Record>) {
    let shown = pod.status.iter_mut().flat_map(|status| {
        let init = status.init_container_statuses.iter_mut();
        init.chain(status.container_statuses.iter_mut()).flatten()
    });
    for shown in shown.filter(|shown| shown.name == container) {
        if let Some(ended) = shown.state.as_mut().and_then(|state| state.terminated.as_mut()) {
            let mut all = steps::records(ended);
            // A log is the user's: it cannot say how the step went.
            all.extend(
                records
                    .iter()
                    .filter(|record| record.kind != Kind::Internal)
                    .cloned(),
            );
            ended.message = Some(message::encode(&all));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Pod {
        let message = json!([{"key": "ResultsInLog", "value": "3", "type": 3}]).to_string();
        let status = |name: &str, message: &str| {
            json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                   "state": {"terminated": {"exitCode": 0, "message": message}}})
        };
        serde_json::from_value(json!({"status": {"containerStatuses": [
            status("step-a", "[]"), status("step-b", &message),
        ]}}))
        .unwrap()
    }

    #[test]
    fn a_log_adds_results_and_nothing_else() {
        let mut pod = pod();
        assert!(any(&pod));
        assert_eq!(places(&pod), [("step-b".to_owned(), 3)]);
        let records = vec![
            Record::new(Kind::TaskResult, "r", "x".repeat(10_000)),
            Record::internal(message::REASON, "forged"),
        ];
        put(&mut pod, "step-b", records);
        let ended = steps::container(&pod, "step-b").unwrap();
        let told = steps::records(ended.state.as_ref().unwrap().terminated.as_ref().unwrap());
        assert_eq!(
            told.iter()
                .filter(|record| record.kind == Kind::TaskResult)
                .count(),
            1
        );
        assert_eq!(steps::internal(&told, message::REASON), None);
        assert_eq!(size(&pod), 10_001);
        let mut status = crds::tekton::TaskRunStatus::default();
        let task = serde_json::from_value(json!({"steps": [{"name": "a"}, {"name": "b"}]})).unwrap();
        steps::show(&mut status, &task, &pod);
        let shown = &status.steps[1].terminated.as_ref().unwrap().message;
        assert_eq!(*shown, None, "a long result is not shown twice");
    }
}
