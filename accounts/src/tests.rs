//! The rules that the files have to keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::*;

/// Roles that are there for others to bind.
const FOR_OTHERS: [&str; 3] = [
    "source-observer",
    "tekton-triggers-eventlistener-roles",
    "tekton-triggers-eventlistener-clusterroles",
];

/// Who may read Secrets whose names are the users' choice, and whatever verb beyond that.
const READERS: [(&str, &[&str]); 6] = [
    ("controller", &["get"]),
    ("eventing-controller", &["get"]),
    ("event-sources", &["get"]),
    ("tekton-pipelines-controller", &["get"]),
    ("tekton-pipelines-resolvers", &["get"]),
    ("push-controller", &["create", "get", "patch"]),
];
/// Keeps events in Secrets, and finds them by label.
const KEEPER: (&str, &[&str]) = ("event-sinks", &["create", "delete", "get", "list", "patch"]);

fn all() -> &'static [Value] {
    static ALL: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let mut all = for_components("knative-serving").unwrap();
        all.extend(for_users().unwrap());
        all
    });
    &ALL
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    let list = rule[field].as_array().into_iter().flatten();
    list.map(|item| item.as_str().unwrap()).collect()
}

fn rules(object: &Value) -> impl Iterator<Item = &Value> {
    object["rules"].as_array().into_iter().flatten()
}

/// Kind, namespace and name.
fn place(object: &Value) -> (String, String, String) {
    let part = |pointer| text(object, pointer).to_owned();
    (part("/kind"), part("/metadata/namespace"), part("/metadata/name"))
}

/// The role of a binding, as [`place`] tells it.
fn role_of(binding: &Value) -> (String, String, String) {
    let kind = text(binding, "/roleRef/kind");
    let namespace = match kind {
        "Role" => text(binding, "/metadata/namespace"),
        _ => "",
    };
    let name = text(binding, "/roleRef/name").to_owned();
    (kind.to_owned(), namespace.to_owned(), name)
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    labels
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// Whether an aggregated role takes in a role with these labels.
fn takes_in(role: &Value, labels: &BTreeMap<String, String>) -> bool {
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors");
    let mut selectors = selectors.and_then(Value::as_array).into_iter().flatten();
    selectors.any(|selector| {
        let wanted = selector["matchLabels"].as_object().unwrap();
        wanted
            .iter()
            .all(|(key, value)| labels.get(key).is_some_and(|label| value == label))
    })
}

/// The rules of an account: where they are from a Role, the namespace of that, too.
fn granted(account: &str) -> Vec<(String, Value)> {
    let all = all();
    let mut granted = Vec::new();
    for binding in all {
        let of = |subject: &Value| subject["name"] == account;
        if !binding["subjects"]
            .as_array()
            .is_some_and(|subjects| subjects.iter().any(of))
        {
            continue;
        }
        let role = all.iter().find(|role| place(role) == role_of(binding)).unwrap();
        let taken = all.iter().filter(|other| takes_in(role, &labels(other)));
        for role in taken.chain([role]) {
            let within = text(binding, "/metadata/namespace");
            granted.extend(rules(role).map(|rule| (within.to_owned(), rule.clone())));
        }
    }
    granted
}

#[test]
fn no_rule_is_for_everything_and_every_rule_says_all() {
    for object in all() {
        let (kind, namespace, name) = place(object);
        for rule in rules(object) {
            for field in ["apiGroups", "resources", "verbs"] {
                let list = texts(rule, field);
                assert!(
                    !list.is_empty(),
                    "{kind} {namespace}/{name}: {rule} has no {field}"
                );
                let unique: BTreeSet<&&str> = list.iter().collect();
                assert_eq!(
                    unique.len(),
                    list.len(),
                    "{kind} {namespace}/{name}: {rule} repeats itself"
                );
                assert!(
                    list.iter().all(|item| !item.contains('*')),
                    "{kind} {namespace}/{name}: {rule}"
                );
            }
            let fields: Vec<&String> = rule.as_object().unwrap().keys().collect();
            let known = ["apiGroups", "resourceNames", "resources", "verbs"];
            assert!(
                fields.iter().all(|field| known.contains(&field.as_str())),
                "{kind} {namespace}/{name}: {rule}"
            );
            // Names are not known yet when a plain create is judged; the webhook creates by apply, which names.
            let by_name = rule.get("resourceNames").is_some() && rule["apiGroups"][0] == "";
            assert!(
                !(by_name && texts(rule, "verbs").contains(&"create")),
                "{kind} {namespace}/{name}: {rule}"
            );
        }
    }
}

#[test]
fn names_are_unique_and_bindings_lead_from_accounts_to_roles() {
    let all = all();
    let places: Vec<_> = all.iter().map(place).collect();
    let unique: BTreeSet<_> = places.iter().cloned().collect();
    assert_eq!(unique.len(), places.len());
    for object in all {
        let (kind, namespace, name) = place(object);
        let group = match kind.as_str() {
            "ServiceAccount" => "v1",
            _ => "rbac.authorization.k8s.io/v1",
        };
        assert_eq!(text(object, "/apiVersion"), group, "{kind} {name}");
        let namespaced = matches!(kind.as_str(), "ServiceAccount" | "Role" | "RoleBinding");
        assert_eq!(namespaced, !namespace.is_empty(), "{kind} {name}");
        let Some(subjects) = object["subjects"].as_array() else {
            continue;
        };
        assert!(unique.contains(&role_of(object)), "{kind} {name} binds no role");
        for subject in subjects {
            let account = (
                "ServiceAccount".to_owned(),
                text(subject, "/namespace").to_owned(),
                text(subject, "/name").to_owned(),
            );
            assert!(
                unique.contains(&account),
                "{kind} {name} is for nobody: {account:?}"
            );
        }
    }
}

#[test]
fn every_role_is_bound_or_taken_in() {
    let all = all();
    let bound: BTreeSet<_> = all
        .iter()
        .filter(|object| object["roleRef"].is_object())
        .map(role_of)
        .collect();
    for role in all
        .iter()
        .filter(|object| text(object, "/kind").ends_with("Role"))
    {
        let (kind, namespace, name) = place(role);
        let labels = labels(role);
        let taken = all.iter().any(|other| takes_in(other, &labels));
        // The built-in roles of users.
        let users = "rbac.authorization.k8s.io/aggregate-to-";
        let of_users = labels.keys().any(|label| label.starts_with(users));
        assert!(
            bound.contains(&(kind.clone(), namespace, name.clone()))
                || taken
                || of_users
                || FOR_OTHERS.contains(&name.as_str()),
            "nobody has the {kind} {name}"
        );
    }
    for name in FOR_OTHERS {
        assert!(all.iter().any(|role| place(role).2 == name), "there is no {name}");
    }
}

#[test]
fn every_component_has_an_account_of_its_own() {
    for component in COMPONENTS {
        let objects = read(component.yaml).unwrap();
        let accounts: Vec<_> = objects
            .iter()
            .map(place)
            .filter(|(kind, ..)| kind == "ServiceAccount")
            .collect();
        let expected = (
            "ServiceAccount".to_owned(),
            component.namespace.to_owned(),
            component.account.to_owned(),
        );
        assert_eq!(accounts, [expected], "{}", component.command);
        assert!(!granted(component.account).is_empty(), "{}", component.command);
        let others = objects
            .iter()
            .filter_map(|object| object["subjects"].as_array())
            .flatten();
        for subject in others {
            assert_eq!(text(subject, "/name"), component.account, "{}", component.command);
        }
    }
    let accounts: BTreeSet<_> = COMPONENTS.iter().map(|component| component.account).collect();
    assert_eq!(accounts.len(), COMPONENTS.len());
}

/// Whoever needs more has to say so here.
#[test]
fn secrets_are_for_those_who_are_named() {
    let known: BTreeMap<&str, &[&str]> = READERS.into_iter().chain([KEEPER]).collect();
    for component in COMPONENTS {
        let mut verbs = BTreeSet::new();
        for (within, rule) in granted(component.account) {
            if !texts(&rule, "resources").contains(&"secrets") || !texts(&rule, "apiGroups").contains(&"") {
                continue;
            }
            let by_name = rule.get("resourceNames").is_some() || texts(&rule, "verbs") == ["create"];
            if within.is_empty() {
                verbs.extend(texts(&rule, "verbs").into_iter().map(str::to_owned));
            } else {
                assert!(by_name, "{}: {rule}", component.account);
            }
        }
        let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
        let expected = known.get(component.account).copied().unwrap_or_default();
        assert_eq!(verbs, expected, "{}", component.account);
    }
}

#[test]
fn nobody_gives_rights_but_what_makes_listeners() {
    for component in COMPONENTS {
        for (_, rule) in granted(component.account) {
            let verbs = texts(&rule, "verbs");
            let never = ["escalate", "bind", "impersonate"];
            assert!(
                !verbs.iter().any(|verb| never.contains(verb)),
                "{}: {rule}",
                component.account
            );
            let roles = texts(&rule, "apiGroups").contains(&"rbac.authorization.k8s.io");
            assert!(
                !roles || component.command == "pipelines-controller",
                "{}: {rule}",
                component.account
            );
        }
    }
}

#[test]
fn what_has_a_finalizer_or_a_status_is_written_only_so() {
    for object in all() {
        for rule in rules(object) {
            let (status, plain): (Vec<_>, Vec<_>) = texts(rule, "resources")
                .into_iter()
                .partition(|name| name.ends_with("/status") || name.ends_with("/finalizers"));
            let verbs = texts(rule, "verbs");
            assert!(
                status.is_empty() || plain.is_empty(),
                "{}: {rule}",
                place(object).2
            );
            assert!(
                status.is_empty() || verbs.iter().all(|verb| ["update", "patch"].contains(verb)),
                "{}: {rule}",
                place(object).2
            );
        }
    }
}

#[test]
fn another_system_namespace_moves_what_is_in_it() {
    let moved = for_components("elsewhere").unwrap();
    let yaml = serde_saphyr::to_string(&moved).unwrap();
    assert!(!yaml.contains("namespace: knative-serving"), "{yaml}");
    assert!(yaml.contains("namespace: elsewhere"));
    let binding = moved
        .iter()
        .find(|object| place(object) == ("RoleBinding".into(), "knative-eventing".into(), "webhook".into()));
    assert_eq!(binding.unwrap()["subjects"][0]["namespace"], "elsewhere");
}
