//! What was found out, in words.

use serde_json::Value;

use crate::conditions;

/// The container that probes the application.
const SIDECAR: &str = "queue-proxy";

/// All that could be found out; any part may be missing.
#[derive(Debug, Default)]
pub struct Found {
    pub service: Value,
    pub revision: Option<Value>,
    pub container: Option<Container>,
    /// The end of the container's log.
    pub log: Vec<String>,
    /// `Reason: Message` of the pod's warnings.
    pub warnings: Vec<String>,
}

/// A container that has a problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Container {
    pub pod: String,
    pub name: String,
    /// What became of it.
    pub state: State,
    pub restarts: i64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// It cannot start: reason and message.
    Waiting(String, String),
    /// It ended: reason and exit code.
    Ended(String, i64),
    /// It runs and is not ready.
    NotReady,
}

/// The container that is worst off: one that ended, then one that cannot start, then one that is not ready.
pub fn troubled(pods: &[Value]) -> Option<Container> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut worst: Option<(u8, Container)> = None;
    for pod in pods {
        let status = &pod["status"];
        let all = [
            list(&status["initContainerStatuses"]),
            list(&status["containerStatuses"]),
        ]
        .concat();
        for container in &all {
            let Some(state) = state(container) else { continue };
            let mut rank = match state {
                State::Ended(..) => 0,
                State::Waiting(..) => 2,
                State::NotReady => 4,
            };
            // The sidecar is not ready as long as the application is not.
            if container["name"] == SIDECAR {
                rank += 1;
            }
            if worst.as_ref().is_some_and(|(other, _)| *other <= rank) {
                continue;
            }
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let found = Container {
                pod: word(&pod["metadata"]["name"]),
                name: word(&container["name"]),
                state,
                restarts: container["restartCount"].as_i64().unwrap_or(0),
            };
            worst = Some((rank, found));
        }
    }
    let mut container = worst.map(|(_, container)| container)?;
    // A sidecar that is not ready says that the application does not answer; that one's log is worth reading.
    if container.name == SIDECAR && container.state == State::NotReady {
        let pod = pods
            .iter()
            .find(|pod| pod["metadata"]["name"] == container.pod.as_str())?;
        let statuses = list(&pod["status"]["containerStatuses"]);
        let other = statuses.iter().find(|status| status["name"] != SIDECAR);
        if let Some(name) = other.and_then(|status| status["name"].as_str()) {
            container.name = name.to_owned();
        }
    }
    Some(container)
}

fn state(container: &Value) -> Option<State> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ended = |state: &Value| {
        let code = state["terminated"]["exitCode"].as_i64()?;
        (code != 0 || !container["ready"].as_bool().unwrap_or(false))
            .then(|| State::Ended(word(&state["terminated"]["reason"]), code))
    };
    let waiting = &container["state"]["waiting"];
    let reason = word(&waiting["reason"]);
    if let Some(ended) = ended(&container["state"]) {
        return Some(ended);
    }
    if container["ready"] == true {
        return None;
    }
    if let Some(ended) = ended(&container["lastState"]) {
        return Some(ended);
    }
    match reason.as_str() {
        "" => Some(State::NotReady),
        "ContainerCreating" | "PodInitializing" => None,
        _ => Some(State::Waiting(reason, word(&waiting["message"]))),
    }
}

impl Found {
    /// The blocks that follow the error.
    pub fn render(&self) -> String {
        let mut blocks = Vec::new();
        // A service only repeats what its revision says, unless that is ready.
        let revision = self
            .revision
            .as_ref()
            .filter(|revision| conditions::ready(revision) != "True");
        let (noun, object) = revision.map_or(("Service", &self.service), |revision| ("Revision", revision));
        let lines = conditions::not_true(object);
        if !lines.is_empty() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            blocks.push(format!(
                "{noun} '{name}':\n{}",
                conditions::indent(&lines.join("\n"))
            ));
        }
        if let Some(container) = &self.container {
            blocks.push(container.to_string());
        }
        if !self.warnings.is_empty() {
            blocks.push(format!(
                "Warnings about the pod:\n{}",
                conditions::indent(&self.warnings.join("\n"))
            ));
        }
        if let (Some(container), false) = (&self.container, self.log.is_empty()) {
            blocks.push(format!(
                "Last lines that container '{}' has logged:\n{}",
                container.name,
                conditions::indent(&self.log.join("\n"))
            ));
        }
        blocks.join("\n")
    }

    /// The command to try next.
    pub fn next_step(&self, namespace: &str, name: &str) -> String {
        let place = if namespace == "default" {
            String::new()
        } else {
            format!(" -n {namespace}")
        };
        let update = format!("kn service update {name}{place}");
        let describe = format!("kn service describe {name}{place} --verbose");
        let reason = self
            .revision
            .as_ref()
            .and_then(|revision| conditions::get(revision, "Ready"))
            .and_then(|ready| ready["reason"].as_str())
            .unwrap_or_default();
        let state = self.container.as_ref().map(|container| &container.state);
        let bad_image = |reason: &str| {
            [
                "ContainerMissing",
                "ErrImagePull",
                "ImagePullBackOff",
                "InvalidImageName",
                "ErrImageNeverPull",
            ]
            .contains(&reason)
        };
        match state {
            Some(State::Waiting(waiting, _)) if bad_image(waiting) => image_step(&update),
            _ if bad_image(reason) => image_step(&update),
            Some(State::Waiting(waiting, _)) if waiting == "CreateContainerConfigError" => format!(
                "create what the message names, or take it away with the flag that named it and a dash at the end, such as `{update} --env-from config-map:NAME-`"
            ),
            Some(State::Ended(..)) => format!(
                "mend the application, its --env, --cmd or --arg, and run `{update} --image IMAGE` (or the flag in question); `{describe}` shows what it runs with"
            ),
            Some(State::NotReady) => format!(
                "the application has to listen on the port in $PORT and its probe has to succeed: `{update} --port PORT` or `{update} --probe-readiness http::PORT:/PATH`; `{describe}` shows what it runs with"
            ),
            _ => format!("`{describe}` shows the cause, `kn service wait {name}{place}` goes on waiting"),
        }
    }
}

fn image_step(update: &str) -> String {
    format!(
        "check the image's name and tag, and whether its registry can be reached; then `{update} --image IMAGE`"
    )
}

impl std::fmt::Display for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Container '{}' of pod '{}' ", self.name, self.pod)?;
        match &self.state {
            State::Waiting(reason, message) if message.is_empty() => write!(f, "cannot start: {reason}")?,
            State::Waiting(reason, message) => write!(f, "cannot start: {reason}: {message}")?,
            State::Ended(reason, code) => write!(f, "ended with exit code {code} ({reason})")?,
            State::NotReady => write!(f, "runs, but does not answer on its port or to its probe")?,
        }
        match self.restarts {
            0 => Ok(()),
            1 => write!(f, ", restarted once"),
            count => write!(f, ", restarted {count} times"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(statuses: Value) -> Value {
        json!({ "metadata": { "name": "web-pod" }, "status": { "containerStatuses": statuses } })
    }

    #[test]
    fn the_worst_container_is_found() {
        let sidecar = json!({ "name": "queue-proxy", "ready": false, "state": { "running": {} } });
        let cases = [
            (
                json!({ "name": "user-container", "ready": false, "restartCount": 3, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                     "lastState": { "terminated": { "exitCode": 7, "reason": "Error" } } }),
                State::Ended("Error".into(), 7),
            ),
            (
                json!({ "name": "user-container", "ready": false, "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } }),
                State::Ended("Completed".into(), 0),
            ),
            (
                json!({ "name": "user-container", "ready": false, "state": { "waiting": { "reason": "ErrImagePull", "message": "no" } } }),
                State::Waiting("ErrImagePull".into(), "no".into()),
            ),
            (
                json!({ "name": "user-container", "ready": false, "state": { "running": {} } }),
                State::NotReady,
            ),
        ];
        for (status, expected) in cases {
            let found = troubled(&[pod(json!([sidecar, status]))]).unwrap();
            assert_eq!((found.name.as_str(), found.state), ("user-container", expected));
        }
        let running = json!({ "name": "app", "ready": true, "state": { "running": {} } });
        let found = troubled(&[pod(json!([sidecar, running]))]).unwrap();
        assert_eq!(
            (found.name.as_str(), found.state),
            ("app", State::NotReady),
            "the log is the application's"
        );
        let fine = json!({ "name": "user-container", "ready": true, "state": { "running": {} }, "lastState": { "terminated": { "exitCode": 1 } } });
        let starting = json!({ "name": "user-container", "ready": false, "state": { "waiting": { "reason": "ContainerCreating" } } });
        assert_eq!(troubled(&[pod(json!([fine, starting]))]), None);
    }

    #[test]
    fn the_report_has_conditions_container_and_log() {
        let conditions = |reason: &str| json!([{ "type": "Ready", "status": "False", "reason": reason, "message": "it broke" }, { "type": "Active", "status": "True" }]);
        let found = Found {
            service: json!({ "metadata": { "name": "web" }, "status": { "conditions": conditions("RevisionFailed") } }),
            revision: Some(
                json!({ "metadata": { "name": "web-00001" }, "status": { "conditions": conditions("ExitCode7") } }),
            ),
            container: Some(Container {
                pod: "p".into(),
                name: "user-container".into(),
                state: State::Ended("Error".into(), 7),
                restarts: 2,
            }),
            log: vec!["boom".into()],
            warnings: vec!["BackOff: restarting".into()],
        };
        assert_eq!(
            found.render(),
            "Revision 'web-00001':\n  Ready is False: ExitCode7: it broke\n\
             Container 'user-container' of pod 'p' ended with exit code 7 (Error), restarted 2 times\n\
             Warnings about the pod:\n  BackOff: restarting\nLast lines that container 'user-container' has logged:\n  boom"
        );
        assert!(
            found
                .next_step("team", "web")
                .contains("kn service update web -n team --image")
        );
    }

    #[test]
    fn the_next_step_fits_the_trouble() {
        let revision = |reason: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": "False", "reason": reason }] } });
        let step = |reason: &str, state: Option<State>| {
            let found = Found {
                revision: Some(revision(reason)),
                container: state.map(|state| Container {
                    pod: String::new(),
                    name: String::new(),
                    state,
                    restarts: 0,
                }),
                ..Found::default()
            };
            found.next_step("default", "web")
        };
        assert!(step("ContainerMissing", None).contains("image's name"));
        assert!(
            step("", Some(State::Waiting("ImagePullBackOff".into(), String::new()))).contains("image's name")
        );
        assert!(step("", Some(State::NotReady)).contains("--port PORT"));
        assert!(step("Deploying", None).contains("kn service wait web"));
        assert_eq!(Found::default().render(), "");
    }
}
