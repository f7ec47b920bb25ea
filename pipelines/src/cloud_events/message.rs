//! The event that tells of a run.

use bytes::Bytes;
use crds::tekton::v1beta1;
use event::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::run::Run;
use super::word::Word;

/// What kubectl remembers of the manifest: a second copy of the spec.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The data of all events about a state of a run: the run in the shape of v1beta1, by the name of its kind.
///
/// # Errors
/// If it cannot be written as JSON.
pub(super) fn data(run: &dyn Run) -> serde_json::Result<Bytes> {
    let mut object = run.value()?;
    v1beta1::from_stored(run.kind().resource(), &mut object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove(LAST_APPLIED);
        }
    }
    let data = Map::from_iter([(run.kind().field().to_owned(), object)]);
    serde_json::to_vec(&data).map(Bytes::from)
}

/// The event that says `word` of a run.
pub(super) fn event(run: &dyn Run, word: Word, data: &Bytes) -> Event {
    let metadata = run.metadata();
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let (kind, api) = run.kind().name();
    let source = format!("/apis/{api}/namespaces/{namespace}/{kind}/{name}");
    let mut event = Event::new(id(run, word), source, type_(run, word));
    event.set_extension("subject", name);
    if let Some(Time(time)) = since(run) {
        event.set_extension("time", time.to_string());
    }
    event.set_extension("datacontenttype", "application/json");
    event.data = Some(data.clone());
    event
}

pub(super) fn type_(run: &dyn Run, word: Word) -> String {
    let kind = run.kind().field().to_ascii_lowercase();
    format!("dev.tekton.event.{kind}.{}.v1", word.as_str())
}

/// Since when the run has been as it is.
pub(super) fn since(run: &dyn Run) -> Option<&Time> {
    match run.succeeded() {
        Some(condition) => condition.last_transition_time.as_ref(),
        None => run.metadata().creation_timestamp.as_ref(),
    }
}

/// The same for the same news, whoever sends them and how often. A run has each word once in each attempt, but may be
/// unknown in many ways.
fn id(run: &dyn Run, word: Word) -> String {
    let uid = run.metadata().uid.as_deref().unwrap_or_default();
    let told = format!("{uid}-{}", word.as_str());
    match (word, run.succeeded(), run.retries()) {
        (Word::Unknown, Some(condition), _) => {
            let time = since(run).map_or(0, |time| time.0.as_second());
            let reason = condition.reason.as_deref().unwrap_or_default();
            let message = condition.message.as_deref().unwrap_or_default();
            let digest = Sha256::digest(format!("{time}\n{reason}\n{message}"));
            let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("{told}-{digest}")
        }
        (_, _, 0) => told,
        (_, _, retries) => format!("{told}-{retries}"),
    }
}

#[cfg(test)]
mod tests {
    use crds::tekton::{CustomRun, PipelineRun, TaskRun};
    use serde_json::json;

    use super::*;

    fn task_run(status: Value) -> TaskRun {
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {
                "name": "build", "namespace": "team", "uid": "u", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {LAST_APPLIED: "{}", "a": "b"},
                "managedFields": [{"manager": "m", "operation": "Update"}],
            },
            "spec": {"taskSpec": {"steps": [{"name": "s", "image": "i", "computeResources": {"limits": {"cpu": "1"}}}]}},
            "status": status,
        }))
        .unwrap()
    }

    fn status(reason: &str, message: &str, time: &str, retries: usize) -> Value {
        let condition = json!({"type": "Succeeded", "status": "Unknown", "reason": reason, "message": message,
                               "lastTransitionTime": time});
        json!({"conditions": [condition], "retriesStatus": vec![json!({}); retries],
               "results": [{"name": "r", "type": "string", "value": "v"}]})
    }

    #[test]
    fn an_event_has_the_attributes_and_the_data_of_its_run() {
        let run = task_run(status("Running", "m", "2026-01-01T00:00:05Z", 0));
        let event = event(&run, Word::Running, &data(&run).unwrap());
        let text = |name| event.get(name).map(|value| value.text().into_owned());
        for (name, wanted) in [
            ("id", "u-running"),
            ("type", "dev.tekton.event.taskrun.running.v1"),
            ("source", "/apis/tekton.dev/v1/namespaces/team/TaskRun/build"),
            ("subject", "build"),
            ("time", "2026-01-01T00:00:05Z"),
            ("datacontenttype", "application/json"),
        ] {
            assert_eq!(text(name).as_deref(), Some(wanted), "{name}");
        }
        let told: Value = serde_json::from_slice(event.data.as_ref().unwrap()).unwrap();
        let told = &told["taskRun"];
        assert_eq!(told["apiVersion"], "tekton.dev/v1beta1");
        assert_eq!(told["metadata"]["annotations"], json!({"a": "b"}));
        assert!(told["metadata"].get("managedFields").is_none());
        let step = &told["spec"]["taskSpec"]["steps"][0];
        assert_eq!(step["resources"], json!({"limits": {"cpu": "1"}}), "{step}");
        assert_eq!(told["status"]["taskResults"][0]["value"], "v");
    }

    #[test]
    fn kinds_have_their_own_versions() {
        let meta =
            json!({"name": "n", "namespace": "ns", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"});
        let custom: CustomRun = serde_json::from_value(
            json!({"apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun", "metadata": meta, "spec": {"retries": 1}}),
        )
        .unwrap();
        let pipeline: PipelineRun = serde_json::from_value(
            json!({"apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": meta,
                   "spec": {"taskRunTemplate": {"serviceAccountName": "s"}}}),
        )
        .unwrap();
        let runs: [(&dyn Run, Word, &str, &str, Value); 2] = [
            (
                &custom,
                Word::Started,
                "/apis/tekton.dev/v1beta1/namespaces/ns/CustomRun/n",
                "dev.tekton.event.customrun.started.v1",
                json!({"retries": 1}),
            ),
            (
                &pipeline,
                Word::Queued,
                "/apis/tekton.dev/v1/namespaces/ns/PipelineRun/n",
                "dev.tekton.event.pipelinerun.queued.v1",
                json!({"serviceAccountName": "s"}),
            ),
        ];
        for (run, word, source, type_, spec) in runs {
            let event = event(run, word, &data(run).unwrap());
            assert_eq!((&*event.source, &*event.type_), (source, type_));
            let time = event.get("time").map(|value| value.text().into_owned());
            assert_eq!(time.as_deref(), Some("2026-01-01T00:00:00Z"), "when it was made");
            let told: Value = serde_json::from_slice(event.data.as_ref().unwrap()).unwrap();
            assert_eq!(told[run.kind().field()]["spec"], spec);
        }
    }

    #[test]
    fn the_same_news_have_the_same_id() {
        let ids = |word, status: Value| id(&task_run(status), word);
        let at = "2026-01-01T00:00:05Z";
        let first = ids(Word::Unknown, status("Pending", "m", at, 0));
        assert_eq!(first, ids(Word::Unknown, status("Pending", "m", at, 0)));
        for other in [
            status("Pending", "n", at, 0),
            status("ToBeRetried", "m", at, 0),
            status("Pending", "m", "2026-01-01T00:00:06Z", 0),
        ] {
            assert_ne!(first, ids(Word::Unknown, other));
        }
        // The message of what runs changes while it does.
        let running = ids(Word::Running, status("Running", "m", at, 0));
        assert_eq!(running, ids(Word::Running, status("Running", "n", at, 0)));
        assert_eq!(ids(Word::Running, status("Running", "m", at, 2)), "u-running-2");
        assert_eq!(ids(Word::Queued, json!({})), "u-queued");
    }
}
