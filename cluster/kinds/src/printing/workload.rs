//! Workloads: replica counts, completions, and the containers they run.

use jiff::Timestamp;
use serde_json::Value;

use super::age::{age_since, human_duration};
use super::text::{NONE, condition, containers, int_or_string, labels, or, selector};
use super::{age, name};
use crate::json::{at, flag, integer, items, text};

fn count(object: &Value, path: &[&str]) -> i64 {
    integer(object, path).unwrap_or_default()
}

/// Appends the wide cells about a pod template.
fn template(cells: &mut Vec<Value>, spec: Option<&Value>) {
    let (names, images) = containers(spec);
    cells.extend([names.into(), images.into()]);
}

fn pod_spec(object: &Value) -> Option<&Value> {
    at(object, &["spec", "template", "spec"])
}

/// ReplicaSets, and ReplicationControllers, whose selector is a plain map.
pub(super) fn replicas(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![
        name(object),
        count(object, &["spec", "replicas"]).into(),
        count(object, &["status", "replicas"]).into(),
        count(object, &["status", "readyReplicas"]).into(),
        age(object, now),
    ];
    template(&mut cells, pod_spec(object));
    let wanted = at(object, &["spec", "selector"]);
    let structured = wanted.is_some_and(|selector| {
        ["matchLabels", "matchExpressions"]
            .iter()
            .any(|field| selector.get(field).is_some())
    });
    cells.push(
        if structured {
            selector(wanted)
        } else {
            labels(wanted)
        }
        .into(),
    );
    cells
}

pub(super) fn deployment(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = format!(
        "{}/{}",
        count(object, &["status", "readyReplicas"]),
        count(object, &["spec", "replicas"])
    );
    let mut cells = vec![
        name(object),
        ready.into(),
        count(object, &["status", "updatedReplicas"]).into(),
        count(object, &["status", "availableReplicas"]).into(),
        age(object, now),
    ];
    template(&mut cells, pod_spec(object));
    cells.push(selector(at(object, &["spec", "selector"])).into());
    cells
}

pub(super) fn stateful_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let ready = format!(
        "{}/{}",
        count(object, &["status", "readyReplicas"]),
        count(object, &["spec", "replicas"])
    );
    let mut cells = vec![name(object), ready.into(), age(object, now)];
    template(&mut cells, pod_spec(object));
    cells
}

pub(super) fn daemon_set(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![name(object)];
    for field in [
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    ] {
        cells.push(count(object, &["status", field]).into());
    }
    cells.push(labels(pod_spec(object).and_then(|spec| spec.get("nodeSelector"))).into());
    cells.push(age(object, now));
    template(&mut cells, pod_spec(object));
    cells.push(selector(at(object, &["spec", "selector"])).into());
    cells
}

pub(super) fn job(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = [("Complete", "Complete"), ("Failed", "Failed")]
        .into_iter()
        .find(|(kind, _)| condition(object, kind))
        .or_else(|| at(object, &["metadata", "deletionTimestamp"]).map(|_| ("", "Terminating")))
        .or_else(|| {
            ["Suspended", "FailureTarget"]
                .into_iter()
                .find(|kind| condition(object, kind))
                .map(|kind| (kind, kind))
        })
        .map_or("Running", |(_, status)| status);
    let succeeded = count(object, &["status", "succeeded"]);
    let completions = match (
        integer(object, &["spec", "completions"]),
        count(object, &["spec", "parallelism"]),
    ) {
        (Some(wanted), _) => format!("{succeeded}/{wanted}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    };
    let mut cells = vec![
        name(object),
        status.into(),
        completions.into(),
        job_duration(object, now).into(),
        age(object, now),
    ];
    template(&mut cells, pod_spec(object));
    cells.push(selector(at(object, &["spec", "selector"])).into());
    cells
}

fn job_duration(object: &Value, now: Timestamp) -> String {
    let time = |field: &str| text(object, &["status", field]).parse::<Timestamp>().ok();
    match time("startTime") {
        Some(start) => human_duration(time("completionTime").unwrap_or(now).duration_since(start)),
        None => String::new(),
    }
}

pub(super) fn cron_job(object: &Value, now: Timestamp) -> Vec<Value> {
    let last = match text(object, &["status", "lastScheduleTime"]) {
        "" => NONE.to_owned(),
        last => age_since(last, now),
    };
    let suspend = match at(object, &["spec", "suspend"]) {
        Some(_) if flag(object, &["spec", "suspend"]) => "True",
        Some(_) => "False",
        None => "<unset>",
    };
    let mut cells = vec![
        name(object),
        text(object, &["spec", "schedule"]).into(),
        or(text(object, &["spec", "timeZone"]), NONE).into(),
        suspend.into(),
        items(object, &["status", "active"]).len().into(),
        last.into(),
        age(object, now),
    ];
    template(
        &mut cells,
        at(object, &["spec", "jobTemplate", "spec", "template", "spec"]),
    );
    cells.push(selector(at(object, &["spec", "jobTemplate", "spec", "selector"])).into());
    cells
}

pub(super) fn pod_template(object: &Value) -> Vec<Value> {
    let mut cells = vec![name(object)];
    template(&mut cells, at(object, &["template", "spec"]));
    cells.push(labels(at(object, &["template", "metadata", "labels"])).into());
    cells
}

pub(super) fn controller_revision(object: &Value, now: Timestamp) -> Vec<Value> {
    let owner = items(object, &["metadata", "ownerReferences"])
        .iter()
        .find(|owner| flag(owner, &["controller"]));
    let controller = owner.map_or_else(
        || NONE.to_owned(),
        |owner| {
            let version = text(owner, &["apiVersion"]);
            let kind = text(owner, &["kind"]).to_lowercase();
            match version.split_once('/') {
                Some((group, _)) => format!("{kind}.{group}/{}", text(owner, &["name"])),
                None => format!("{kind}/{}", text(owner, &["name"])),
            }
        },
    );
    vec![
        name(object),
        controller.into(),
        count(object, &["revision"]).into(),
        age(object, now),
    ]
}

pub(super) fn disruption_budget(object: &Value, now: Timestamp) -> Vec<Value> {
    let bound = |field: &str| at(object, &["spec", field]).map_or_else(|| "N/A".to_owned(), int_or_string);
    vec![
        name(object),
        bound("minAvailable").into(),
        bound("maxUnavailable").into(),
        count(object, &["status", "disruptionsAllowed"]).into(),
        age(object, now),
    ]
}
