//! Puts the sink into the environment of a pod's containers, and takes it out again.

use crds::annotations::SINK_BINDING;
use crds::sources::SinkBinding;
use serde_json::{Map, Value, json};

/// URL of the sink.
const SINK: &str = "K_SINK";
/// Certificate authorities of the sink, PEM.
const CA_CERTS: &str = "K_CA_CERTS";
/// What is changed in each event, JSON; empty for nothing.
const OVERRIDES: &str = "K_CE_OVERRIDES";
const VARIABLES: [&str; 3] = [SINK, CA_CERTS, OVERRIDES];

const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// What the containers are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Injection {
    pub sink: String,
    pub ca_certs: Option<String>,
    /// Empty, or an object with `extensions`.
    pub overrides: String,
}

/// What the containers of a pod know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Present {
    Nothing,
    /// All of them the same, each variable once.
    Exactly(Injection),
    /// Anything else.
    Other,
}

impl Injection {
    /// What a binding tells, if its sink is known.
    pub(crate) fn of(binding: &SinkBinding) -> Option<Self> {
        let status = binding.status.as_ref()?;
        Some(Self {
            sink: status.sink_uri.clone()?,
            ca_certs: status.sink_ca_certs.clone(),
            overrides: overrides(binding),
        })
    }

    fn variables(&self) -> impl Iterator<Item = Value> + '_ {
        let all = [
            Some((SINK, self.sink.as_str())),
            self.ca_certs.as_deref().map(|certs| (CA_CERTS, certs)),
            Some((OVERRIDES, self.overrides.as_str())),
        ];
        all.into_iter().flatten().map(|(name, value)| {
            // As the API server stores it: an empty value is none.
            if value.is_empty() {
                json!({ "name": name })
            } else {
                json!({ "name": name, "value": value })
            }
        })
    }
}

/// The value of [`OVERRIDES`] for a binding.
pub(crate) fn overrides(binding: &SinkBinding) -> String {
    let overrides = binding.spec.ce_overrides.as_ref();
    overrides
        .and_then(|overrides| serde_json::to_string(overrides).ok())
        .unwrap_or_default()
}

/// Binds a workload: marks it as bound by the binding called `name`, and tells the containers of its pods. Values that
/// users gave the variables are overwritten. Something without pods stays as it is.
pub(crate) fn bind(workload: &mut Value, name: &str, injection: &Injection) {
    let Some(pod) = pod_mut(workload) else {
        return;
    };
    inject(pod, injection);
    if let Some(annotations) = annotations(workload) {
        annotations.insert(SINK_BINDING.to_owned(), name.into());
    }
}

/// Undoes [`bind`].
pub(crate) fn unbind(workload: &mut Value) {
    if let Some(pod) = pod_mut(workload) {
        remove(pod);
    }
    if let Some(annotations) = annotations(workload) {
        annotations.remove(SINK_BINDING);
    }
}

/// The name of the binding that a workload is marked with.
pub(crate) fn bound_by(workload: &Value) -> Option<&str> {
    workload
        .get("metadata")?
        .get("annotations")?
        .get(SINK_BINDING)?
        .as_str()
}

/// What the pods of a workload know; `None` if it has none.
pub(crate) fn present(workload: &Value) -> Option<Present> {
    let pod = workload
        .pointer("/spec/template/spec")
        .filter(|pod| is_pod(pod))?;
    let mut containers = CONTAINERS
        .iter()
        .filter_map(|list| pod.get(list)?.as_array())
        .flatten();
    let Some(first) = containers.next().map(known) else {
        return Some(Present::Nothing);
    };
    let all_alike = containers.all(|container| known(container) == first);
    Some(if all_alike { first } else { Present::Other })
}

fn known(container: &Value) -> Present {
    let (mut sink, mut ca_certs, mut overrides) = (None, None, None);
    for variable in container
        .get("env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let place = match name_of(variable) {
            SINK => &mut sink,
            CA_CERTS => &mut ca_certs,
            OVERRIDES => &mut overrides,
            _ => continue,
        };
        let value = variable.get("value").and_then(Value::as_str).unwrap_or_default();
        let twice = place.replace(value.to_owned()).is_some();
        if twice || variable.get("valueFrom").is_some_and(|from| !from.is_null()) {
            return Present::Other;
        }
    }
    match (sink, ca_certs, overrides) {
        (None, None, None) => Present::Nothing,
        (Some(sink), ca_certs, Some(overrides)) => Present::Exactly(Injection {
            sink,
            ca_certs,
            overrides,
        }),
        _ => Present::Other,
    }
}

fn inject(pod: &mut Value, injection: &Injection) {
    let told = Present::Exactly(injection.clone());
    for container in containers(pod) {
        if known(&Value::Object(container.clone())) == told {
            continue;
        }
        clean(container);
        let env = container.entry("env").or_insert_with(|| json!([]));
        if !env.is_array() {
            *env = json!([]);
        }
        if let Some(env) = env.as_array_mut() {
            env.extend(injection.variables());
        }
    }
}

/// Takes the variables out of a pod, whoever put them in.
pub(crate) fn remove(pod: &mut Value) {
    for container in containers(pod) {
        clean(container);
    }
}

fn clean(container: &mut Map<String, Value>) {
    let is_empty = match container.get_mut("env") {
        Some(Value::Array(env)) => {
            env.retain(|variable| !VARIABLES.contains(&name_of(variable)));
            env.is_empty()
        }
        Some(env) => env.is_null(),
        None => false,
    };
    if is_empty {
        container.remove("env");
    }
}

fn containers(pod: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let lists = pod.as_object_mut().into_iter().flat_map(|pod| pod.iter_mut());
    lists
        .filter(|(name, _)| CONTAINERS.contains(&name.as_str()))
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
        .filter_map(Value::as_object_mut)
}

fn name_of(variable: &Value) -> &str {
    variable.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The pod of a template (`duck.knative.dev` calls the shape PodSpecable).
fn pod_mut(workload: &mut Value) -> Option<&mut Value> {
    workload
        .pointer_mut("/spec/template/spec")
        .filter(|pod| is_pod(pod))
}

fn is_pod(spec: &Value) -> bool {
    spec.get("containers").is_some_and(Value::is_array)
}

fn annotations(workload: &mut Value) -> Option<&mut Map<String, Value>> {
    let meta = workload
        .as_object_mut()?
        .entry("metadata")
        .or_insert_with(|| json!({}));
    let annotations = meta
        .as_object_mut()?
        .entry("annotations")
        .or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations.as_object_mut()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn workload(pod: Value) -> Value {
        json!({"metadata": {"name": "w"}, "spec": {"template": {"spec": pod}}})
    }

    fn injection() -> Injection {
        Injection {
            sink: "http://sink".to_owned(),
            ..Injection::default()
        }
    }

    #[test]
    fn every_container_is_told_and_what_users_said_is_overwritten() {
        let mut bound = workload(json!({
            "initContainers": [{"name": "i"}],
            "containers": [
                {"name": "a", "env": [
                    {"name": "K_SINK", "value": "mine"}, {"name": "X", "value": "1"},
                    {"name": "K_CA_CERTS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                ]},
                {"name": "b", "env": null},
            ],
        }));
        bind(&mut bound, "hook", &injection());
        let (sink, overrides) = (
            json!({"name": "K_SINK", "value": "http://sink"}),
            json!({"name": "K_CE_OVERRIDES"}),
        );
        assert_eq!(
            bound["spec"]["template"]["spec"],
            json!({
                "initContainers": [{"name": "i", "env": [sink, overrides]}],
                "containers": [
                    {"name": "a", "env": [{"name": "X", "value": "1"}, sink, overrides]},
                    {"name": "b", "env": [sink, overrides]},
                ],
            })
        );
        assert_eq!(bound_by(&bound), Some("hook"));
        assert_eq!(present(&bound), Some(Present::Exactly(injection())));
    }

    #[test]
    fn authorities_and_overrides_are_told_and_taken_back() {
        let whole = Injection {
            ca_certs: Some("pem".to_owned()),
            overrides: r#"{"extensions":{"a":"b"}}"#.to_owned(),
            ..injection()
        };
        let mut bound = workload(json!({"containers": [{"name": "a"}]}));
        bind(&mut bound, "hook", &whole);
        assert_eq!(present(&bound), Some(Present::Exactly(whole)));
        let names = |bound: &Value| {
            let env = bound["spec"]["template"]["spec"]["containers"][0]["env"].clone();
            let env = env.as_array().cloned().unwrap_or_default();
            env.iter()
                .map(|variable| name_of(variable).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&bound), ["K_SINK", "K_CA_CERTS", "K_CE_OVERRIDES"]);
        bind(&mut bound, "hook", &injection());
        assert_eq!(names(&bound), ["K_SINK", "K_CE_OVERRIDES"]);
        unbind(&mut bound);
        assert_eq!(
            bound,
            json!({"metadata": {"name": "w", "annotations": {}}, "spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}})
        );
    }

    #[test]
    fn what_differs_between_containers_or_is_incomplete_is_seen() {
        let env = |names: &[&str]| {
            names
                .iter()
                .map(|name| json!({"name": name, "value": "v"}))
                .collect::<Vec<_>>()
        };
        let two = env(&["K_SINK", "K_CE_OVERRIDES"]);
        for (pod, expected) in [
            (json!({"containers": []}), Some(Present::Nothing)),
            (
                json!({"containers": [{"env": env(&["X"])}]}),
                Some(Present::Nothing),
            ),
            (
                json!({"containers": [{"env": env(&["K_SINK"])}]}),
                Some(Present::Other),
            ),
            (json!({"containers": [{"env": two}, {}]}), Some(Present::Other)),
            (
                json!({"containers": [{"env": two}], "initContainers": [{}]}),
                Some(Present::Other),
            ),
            (
                json!({"containers": [{"env": env(&["K_SINK", "K_SINK", "K_CE_OVERRIDES"])}]}),
                Some(Present::Other),
            ),
            (
                json!({"containers": [{"env": [{"name": "K_SINK", "valueFrom": {}}, {"name": "K_CE_OVERRIDES"}]}]}),
                Some(Present::Other),
            ),
            (json!({}), None),
            (json!(7), None),
        ] {
            assert_eq!(present(&workload(pod.clone())), expected, "{pod}");
        }
    }

    #[test]
    fn what_has_no_pods_stays_as_it_is() {
        for object in [
            json!({}),
            json!(null),
            json!({"spec": {"template": {"spec": {}}}}),
            json!({"metadata": 1}),
        ] {
            let mut bound = object.clone();
            bind(&mut bound, "hook", &injection());
            assert_eq!(bound, object);
        }
    }

    #[test]
    fn overrides_are_empty_or_an_object() {
        for (spec, expected) in [
            (json!({}), ""),
            (json!({"ceOverrides": {}}), "{}"),
            (
                json!({"ceOverrides": {"extensions": {"a": "b"}}}),
                r#"{"extensions":{"a":"b"}}"#,
            ),
        ] {
            let binding: SinkBinding = serde_json::from_value(json!({
                "apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding", "metadata": {"name": "b"}, "spec": spec,
            }))
            .unwrap();
            assert_eq!(overrides(&binding), expected);
            assert_eq!(Injection::of(&binding), None, "its sink is not known");
        }
    }

    fn any_env() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec!["K_SINK", "K_CA_CERTS", "K_CE_OVERRIDES", "A", "B"]);
        let variable = (name, prop::option::of("[a-z]{0,2}")).prop_map(|(name, value)| match value {
            Some(value) => json!({"name": name, "value": value}),
            None => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "p"}}}),
        });
        prop_oneof![
            4 => prop::collection::vec(variable, 0..5).prop_map(Value::from),
            1 => Just(Value::Null),
            1 => Just(json!(["odd", 1])),
        ]
    }

    fn any_pod() -> impl Strategy<Value = Value> {
        let list = || {
            let container = prop::option::of(any_env()).prop_map(|env| match env {
                Some(env) => json!({"name": "c", "env": env}),
                None => json!({"name": "c"}),
            });
            prop::collection::vec(container, 0..3)
        };
        (list(), prop::option::of(list())).prop_map(|(containers, init)| match init {
            Some(init) => json!({"containers": containers, "initContainers": init}),
            None => json!({"containers": containers}),
        })
    }

    fn any_injection() -> impl Strategy<Value = Injection> {
        let text = || "[a-z]{0,3}";
        (text(), prop::option::of(text()), text()).prop_map(|(sink, ca_certs, overrides)| Injection {
            sink,
            ca_certs,
            overrides,
        })
    }

    proptest! {
        #[test]
        fn binding_twice_is_binding_once_and_unbinding_undoes_it(pod in any_pod(), injection in any_injection()) {
            let mut once = workload(pod.clone());
            bind(&mut once, "b", &injection);
            let mut twice = once.clone();
            bind(&mut twice, "b", &injection);
            prop_assert_eq!(&once, &twice);
            let has_containers = CONTAINERS.iter().any(|list| pod[list].as_array().is_some_and(|list| !list.is_empty()));
            let expected = if has_containers { Present::Exactly(injection) } else { Present::Nothing };
            prop_assert_eq!(present(&once), Some(expected));

            let mut plain = pod.clone();
            remove(&mut plain);
            unbind(&mut once);
            prop_assert_eq!(&once["spec"]["template"]["spec"], &plain);
            prop_assert_eq!(bound_by(&once), None);
        }
    }
}
