//! The paths of a resource and its subresources.

use serde_json::{Map, Value, json};

use super::operation::{Action, Target, operation, path_parameter, query_parameter};
use crate::kind::Kind;
use crate::schema::definition_name;

/// A resource as its paths need it, built-in or custom.
pub(super) struct Resource<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub plural: &'a str,
    pub namespaced: bool,
    pub verbs: Vec<&'a str>,
    /// Definition of the kind; the list's is the same with `List` after it.
    pub definition: &'a str,
    pub subresources: Vec<Sub<'a>>,
}

/// A subresource and the kind it answers with.
pub(super) struct Sub<'a> {
    pub name: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    pub verbs: Vec<&'a str>,
    pub definition: Option<String>,
}

impl<'a> Resource<'a> {
    pub(super) fn builtin(kind: &'a Kind, definition: &'a str) -> Self {
        let subresources = kind.subresources.iter().map(|sub| Sub {
            name: sub.name,
            group: sub.group,
            version: sub.version,
            kind: sub.kind,
            verbs: sub.verbs.to_vec(),
            definition: definition_name(&sub.api_version(), sub.kind),
        });
        Self {
            group: kind.group,
            version: kind.version,
            kind: kind.kind,
            plural: kind.plural,
            namespaced: kind.namespaced(),
            verbs: kind.verbs.to_vec(),
            definition,
            subresources: subresources.collect(),
        }
    }

    fn root(&self) -> String {
        match self.group {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }

    /// Builds an operation if the resource has the verb.
    fn entry(&self, verb: &str, method: &str, action: Action, scope: &str) -> Option<(String, Value)> {
        let list = format!("{}List", self.definition);
        let response = match action {
            Action::List => list.as_str(),
            Action::Delete | Action::DeleteCollection => "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
            _ => self.definition,
        };
        let target = Target {
            group: self.group,
            version: self.version,
            kind: self.kind,
            request: Some(self.definition),
            response: Some(response),
        };
        let id = self.id(action.id_verb(), scope, "");
        self.verbs
            .contains(&verb)
            .then(|| (method.to_owned(), operation(action, id, &target)))
    }

    /// Names an operation: `createAppsV1NamespacedDeployment`.
    fn id(&self, verb: &str, scope: &str, suffix: &str) -> String {
        let group: String = match self.group {
            "" => "Core".to_owned(),
            group => group
                .trim_end_matches(".k8s.io")
                .split('.')
                .map(capitalised)
                .collect(),
        };
        format!(
            "{verb}{group}{}{scope}{}{suffix}",
            capitalised(self.version),
            self.kind
        )
    }
}

/// Builds all paths of a resource.
pub(super) fn paths(resource: &Resource<'_>) -> Map<String, Value> {
    let mut paths = Map::new();
    let root = resource.root();
    let scope = if resource.namespaced { "Namespaced" } else { "" };
    let base = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    let collection = [
        resource.entry("list", "get", Action::List, scope),
        resource.entry("create", "post", Action::Post, scope),
        resource.entry("deletecollection", "delete", Action::DeleteCollection, scope),
    ];
    insert(&mut paths, base.clone(), resource.namespaced, false, collection);
    if resource.namespaced {
        let everywhere = [resource.entry("list", "get", Action::List, "ForAllNamespaces")];
        insert(
            &mut paths,
            format!("{root}/{}", resource.plural),
            false,
            false,
            everywhere,
        );
    }
    let item = format!("{base}/{{name}}");
    let single = [
        resource.entry("get", "get", Action::Get, scope),
        resource.entry("update", "put", Action::Put, scope),
        resource.entry("patch", "patch", Action::Patch, scope),
        resource.entry("delete", "delete", Action::Delete, scope),
    ];
    insert(&mut paths, item.clone(), resource.namespaced, true, single);
    for sub in &resource.subresources {
        insert(
            &mut paths,
            format!("{item}/{}", sub.name),
            resource.namespaced,
            true,
            sub_operations(resource, sub, scope),
        );
    }
    paths
}

fn sub_operations(resource: &Resource<'_>, sub: &Sub<'_>, scope: &str) -> Vec<Option<(String, Value)>> {
    let connect = matches!(sub.name, "exec" | "attach" | "portforward" | "proxy");
    let target = Target {
        group: sub.group,
        version: sub.version,
        kind: sub.kind,
        request: sub.definition.as_deref(),
        // Streams and logs answer with text.
        response: sub.definition.as_deref().filter(|_| sub.name != "log"),
    };
    let methods = [
        ("get", "get", Action::Get),
        ("create", "post", Action::Post),
        ("update", "put", Action::Put),
        ("patch", "patch", Action::Patch),
        ("delete", "delete", Action::Delete),
    ];
    let operations = methods.into_iter().map(|(verb, method, action)| {
        let (action, id_verb) = if connect {
            (Action::Connect, format!("connect{}", capitalised(method)))
        } else {
            (action, action.id_verb().to_owned())
        };
        let id = resource.id(&id_verb, scope, &capitalised(sub.name));
        sub.verbs
            .contains(&verb)
            .then(|| (method.to_owned(), operation(action, id, &target)))
    });
    operations.collect()
}

/// Adds a path unless it has no operation.
fn insert(
    paths: &mut Map<String, Value>,
    path: String,
    namespaced: bool,
    named: bool,
    operations: impl IntoIterator<Item = Option<(String, Value)>>,
) {
    let mut item: Map<String, Value> = operations.into_iter().flatten().collect();
    if item.is_empty() {
        return;
    }
    let mut parameters = Vec::new();
    if named {
        parameters.push(path_parameter("name", "name of the object"));
    }
    if namespaced {
        parameters.push(path_parameter("namespace", "namespace of the object"));
    }
    parameters.push(query_parameter("pretty"));
    item.insert("parameters".to_owned(), Value::Array(parameters));
    paths.insert(path, Value::Object(item));
}

/// Builds the definition of a kind's list.
pub(super) fn list_schema(definition: &str, group: &str, version: &str, kind: &str) -> Value {
    json!({
        "description": format!("{kind}List is a list of {kind} objects."),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the schema of this list."},
            "kind": {"type": "string", "description": "Kind of this list."},
            "items": {
                "type": "array",
                "description": format!("The {kind} objects."),
                "items": {"$ref": format!("#/components/schemas/{definition}")},
            },
            "metadata": {
                "description": "Standard list metadata.",
                "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"}],
            },
        },
        "x-kubernetes-group-version-kind": [{"group": group, "version": version, "kind": format!("{kind}List")}],
    })
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => String::new(),
    }
}
