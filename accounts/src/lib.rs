//! Who the platform's components are to the Kubernetes API, and what each of them may do there.
//!
//! One file in `yaml/` for each component: its account, its roles and their bindings. [`COMPONENTS`] names them. Beside them
//! are roles that nobody of ours is bound to: [`for_users`].

#[cfg(test)]
mod tests;

use serde_json::Value;

/// The namespace that is chosen at install, as the files have it.
const SYSTEM_NAMESPACE: &str = "knative-serving";

/// A component that runs as a process of its own on a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// The command of the server binary that runs it.
    pub command: &'static str,
    /// Namespace of its account; that of serving may be another one in an install.
    pub namespace: &'static str,
    /// Name of its account.
    pub account: &'static str,
    yaml: &'static str,
}

/// A component with the file of its name.
macro_rules! component {
    ($command:literal, $namespace:literal, $account:literal) => {
        Component {
            command: $command,
            namespace: $namespace,
            account: $account,
            yaml: include_str!(concat!("../yaml/", $command, ".yaml")),
        }
    };
}

/// Every component that runs as a process of its own. The account of an EventListener is made by who makes the listener.
pub const COMPONENTS: [Component; 13] = [
    component!("controller", "knative-serving", "controller"),
    component!("autoscaler", "knative-serving", "autoscaler"),
    component!("activator", "knative-serving", "activator"),
    component!("gateway", "knative-serving", "gateway"),
    component!("webhook", "knative-serving", "webhook"),
    component!("eventing-controller", "knative-eventing", "eventing-controller"),
    component!("broker", "knative-eventing", "broker"),
    component!("event-sources", "knative-eventing", "event-sources"),
    component!("event-sinks", "knative-eventing", "event-sinks"),
    component!(
        "pipelines-controller",
        "tekton-pipelines",
        "tekton-pipelines-controller"
    ),
    component!(
        "resolvers",
        "tekton-pipelines-resolvers",
        "tekton-pipelines-resolvers"
    ),
    component!("run-archive", "tekton-pipelines", "run-archive"),
    component!("push-controller", "tekton-pipelines", "push-controller"),
];

/// What the roles of components are put together from, so that extensions can add to them.
const DUCKS: &str = include_str!("../yaml/ducks.yaml");
const USERS: &str = include_str!("../yaml/users.yaml");
const EVENT_LISTENER: &str = include_str!("../yaml/event-listener.yaml");

/// A file is no list of objects.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the roles: {0}")]
pub struct Unreadable(#[from] serde_saphyr::Error);

/// The accounts of all components, their roles and bindings, for an install of serving in `system_namespace`.
///
/// # Errors
/// If a file is damaged, which the tests of this crate rule out.
pub fn for_components(system_namespace: &str) -> Result<Vec<Value>, Unreadable> {
    let mut all = read(DUCKS)?;
    for component in COMPONENTS {
        all.extend(read(component.yaml)?);
    }
    for object in &mut all {
        settle(object, system_namespace);
    }
    Ok(all)
}

/// Roles for people and what they run: what `view`, `edit` and `admin` say about the platform's kinds, and what accounts of
/// EventListeners are given.
///
/// # Errors
/// As [`for_components`].
pub fn for_users() -> Result<Vec<Value>, Unreadable> {
    let mut all = read(USERS)?;
    all.extend(read(EVENT_LISTENER)?);
    Ok(all)
}

fn read(yaml: &str) -> Result<Vec<Value>, Unreadable> {
    Ok(serde_saphyr::from_multiple(yaml)?)
}

/// Moves an object, and the accounts it names, from the usual system namespace to the one of this install.
fn settle(object: &mut Value, system_namespace: &str) {
    if let Some(namespace) = object.pointer_mut("/metadata/namespace") {
        replace(namespace, system_namespace);
    }
    let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        if let Some(namespace) = subject.get_mut("namespace") {
            replace(namespace, system_namespace);
        }
    }
}

fn replace(namespace: &mut Value, system_namespace: &str) {
    if namespace == SYSTEM_NAMESPACE {
        *namespace = system_namespace.into();
    }
}
