//! One operation of a path: parameters, bodies, and the extensions that clients look for.

use serde_json::{Value, json};

/// What an operation does, as `x-kubernetes-action` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    List,
    Post,
    DeleteCollection,
    Get,
    Put,
    Patch,
    Delete,
    Connect,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Post => "post",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Connect => "connect",
        }
    }

    /// First word of the operation's id.
    pub(super) fn id_verb(self) -> &'static str {
        match self {
            Self::Post => "create",
            Self::DeleteCollection => "deleteCollection",
            Self::Get => "read",
            Self::Put => "replace",
            other => other.name(),
        }
    }

    /// Names of the query parameters.
    fn parameters(self) -> &'static [&'static str] {
        match self {
            Self::List => &[
                "allowWatchBookmarks",
                "continue",
                "fieldSelector",
                "labelSelector",
                "limit",
                "resourceVersion",
                "resourceVersionMatch",
                "sendInitialEvents",
                "timeoutSeconds",
                "watch",
            ],
            Self::Post | Self::Put => &["dryRun", "fieldManager", "fieldValidation"],
            Self::Patch => &["dryRun", "fieldManager", "fieldValidation", "force"],
            Self::Delete => &[
                "dryRun",
                "gracePeriodSeconds",
                "orphanDependents",
                "propagationPolicy",
            ],
            Self::DeleteCollection => &[
                "continue",
                "dryRun",
                "fieldSelector",
                "gracePeriodSeconds",
                "labelSelector",
                "limit",
                "orphanDependents",
                "propagationPolicy",
                "resourceVersion",
                "resourceVersionMatch",
                "sendInitialEvents",
                "timeoutSeconds",
            ],
            Self::Get | Self::Connect => &[],
        }
    }
}

/// The kind an operation is about, and its schemas.
pub(super) struct Target<'a> {
    pub group: &'a str,
    pub version: &'a str,
    pub kind: &'a str,
    /// Definition of the request's object; `None` for kinds that have no schema.
    pub request: Option<&'a str>,
    /// Definition of the response's object.
    pub response: Option<&'a str>,
}

const PATCH_TYPES: [&str; 5] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+cbor",
];

const OBJECT_TYPES: [&str; 3] = [
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
];

/// Builds an operation object.
pub(super) fn operation(action: Action, id: String, target: &Target<'_>) -> Value {
    let parameters: Vec<Value> = action
        .parameters()
        .iter()
        .map(|name| query_parameter(name))
        .collect();
    let mut operation = json!({
        "operationId": id,
        "parameters": parameters,
        "responses": responses(action, target.response),
        "x-kubernetes-action": action.name(),
        "x-kubernetes-group-version-kind": {
            "group": target.group, "version": target.version, "kind": target.kind,
        },
    });
    if let Some(body) = request_body(action, target.request)
        && let Some(fields) = operation.as_object_mut()
    {
        fields.insert("requestBody".to_owned(), body);
    }
    operation
}

fn request_body(action: Action, definition: Option<&str>) -> Option<Value> {
    match action {
        Action::Post | Action::Put => {
            Some(json!({"required": true, "content": {"*/*": content(definition?)}}))
        }
        Action::Patch => {
            let patch = content("io.k8s.apimachinery.pkg.apis.meta.v1.Patch");
            let types = PATCH_TYPES
                .iter()
                .map(|media| ((*media).to_owned(), patch.clone()));
            Some(json!({"required": true, "content": types.collect::<serde_json::Map<_, _>>()}))
        }
        Action::Delete | Action::DeleteCollection => {
            Some(json!({"content": {"*/*": content("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions")}}))
        }
        _ => None,
    }
}

fn responses(action: Action, definition: Option<&str>) -> Value {
    let ok = match definition {
        Some(definition) => {
            let types = OBJECT_TYPES
                .iter()
                .map(|media| ((*media).to_owned(), content(definition)));
            json!({"description": "OK", "content": types.collect::<serde_json::Map<_, _>>()})
        }
        None => json!({"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}}),
    };
    let unauthorized = json!({"description": "Unauthorized"});
    match action {
        Action::Post => json!({"200": ok, "201": ok, "202": ok, "401": unauthorized}),
        Action::Put | Action::Patch => json!({"200": ok, "201": ok, "401": unauthorized}),
        Action::Delete => json!({"200": ok, "202": ok, "401": unauthorized}),
        _ => json!({"200": ok, "401": unauthorized}),
    }
}

fn content(definition: &str) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{definition}")}})
}

/// Builds a path parameter.
pub(super) fn path_parameter(name: &str, description: &str) -> Value {
    json!({
        "name": name, "in": "path", "required": true, "description": description,
        "schema": {"type": "string", "uniqueItems": true},
    })
}

/// Builds a query parameter; the descriptions are what `--help` of generated clients shows.
pub(super) fn query_parameter(name: &str) -> Value {
    let (kind, description) = match name {
        "allowWatchBookmarks" => (
            "boolean",
            "Asks a watch for bookmarks, which carry no object but a version.",
        ),
        "continue" => ("string", "Token of the previous page of a list."),
        "dryRun" => (
            "string",
            "`All` processes the request without storing its result.",
        ),
        "fieldManager" => (
            "string",
            "Name of the client in the ownership of fields; required for apply patches.",
        ),
        "fieldSelector" => ("string", "Restricts the objects by their fields."),
        "fieldValidation" => (
            "string",
            "What to do about unknown and duplicate fields: `Ignore`, `Warn` (default) or `Strict`.",
        ),
        "force" => (
            "boolean",
            "Takes fields over from other managers; for apply patches only.",
        ),
        "gracePeriodSeconds" => (
            "integer",
            "Seconds before the object is deleted; zero deletes at once.",
        ),
        "labelSelector" => ("string", "Restricts the objects by their labels."),
        "limit" => ("integer", "Most objects in one page of a list."),
        "orphanDependents" => ("boolean", "Superseded by `propagationPolicy`."),
        "pretty" => ("string", "`true` formats the answer for people."),
        "propagationPolicy" => (
            "string",
            "What happens to dependents: `Orphan`, `Background` or `Foreground`.",
        ),
        "resourceVersion" => ("string", "Version that the answer must be at, or start from."),
        "resourceVersionMatch" => (
            "string",
            "How `resourceVersion` is meant: `Exact` or `NotOlderThan`.",
        ),
        "sendInitialEvents" => (
            "boolean",
            "Begins a watch with the present objects, ended by a bookmark.",
        ),
        "timeoutSeconds" => ("integer", "Seconds after which a list or watch ends."),
        "watch" => ("boolean", "Streams changes instead of listing."),
        _ => ("string", ""),
    };
    json!({
        "name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": true},
    })
}
