//! Schemas of `sources.knative.dev` and `sinks.knative.dev`.

use serde_json::Value;

use super::build::*;
use super::duck::*;
use super::status::status;

pub(super) fn api_server_source() -> Value {
    let watched = object([
        ("apiVersion", string()),
        ("kind", string()),
        ("selector", described("Labels of the objects.", label_selector())),
    ]);
    let owner = object([("apiVersion", string()), ("kind", string())]);
    resource(
        "Sends an event for each change of the Kubernetes objects that it watches.",
        source_spec([
            (
                "resources",
                described("The kinds that are watched.", list(watched)),
            ),
            (
                "owner",
                described("Only objects whose controller is of this kind.", owner),
            ),
            (
                "mode",
                described(
                    "Reference or Resource: whether events carry the name or the whole object.",
                    string(),
                ),
            ),
            (
                "serviceAccountName",
                described("The ServiceAccount that may watch.", string()),
            ),
            (
                "namespaceSelector",
                described(
                    "The namespaces that are watched; absent: the own one, empty: all.",
                    label_selector(),
                ),
            ),
            ("filters", filters()),
        ]),
        Some(with_fields(
            status(source_fields()),
            [(
                "namespaces",
                described("The namespaces that are watched.", list(string())),
            )],
        )),
    )
}

pub(super) fn ping_source() -> Value {
    resource(
        "Sends an event by the clock.",
        source_spec([
            (
                "schedule",
                described(
                    "When: five fields as in cron, or six with the seconds first.",
                    string(),
                ),
            ),
            (
                "timezone",
                described("Time zone of the schedule, by its IANA name.", string()),
            ),
            ("contentType", described("Content type of the data.", string())),
            ("data", described("The data.", string())),
            (
                "dataBase64",
                described("The data in base64; instead of data.", string()),
            ),
        ]),
        Some(status(source_fields())),
    )
}

pub(super) fn container_source() -> Value {
    resource(
        "Runs containers that send events.",
        source_spec([("template", described("The pod.", anything()))]),
        Some(status(source_fields())),
    )
}

pub(super) fn sink_binding() -> Value {
    let subject = object([
        ("apiVersion", string()),
        ("kind", string()),
        ("namespace", string()),
        ("name", string()),
        ("selector", label_selector()),
    ]);
    resource(
        "Tells workloads where to send events, by their environment.",
        source_spec([(
            "subject",
            described("The workloads: one by name, or several by labels.", subject),
        )]),
        Some(with_fields(
            status(source_fields()),
            [("oidcTokenSecretName", string())],
        )),
    )
}

pub(super) fn git_hub_source() -> Value {
    let key = object([("name", string()), ("key", string()), ("optional", boolean())]);
    let secret = |text: &str| described(text, object([("secretKeyRef", key.clone())]));
    resource(
        "Sends an event for each webhook that GitHub calls.",
        source_spec([
            (
                "ownerAndRepository",
                described("owner/repository, or owner for a whole organisation.", string()),
            ),
            (
                "eventTypes",
                described("The events, by GitHub's names.", list(one_of(GIT_HUB_EVENTS))),
            ),
            ("accessToken", secret("Token with which the webhook is made.")),
            ("secretToken", secret("Secret with which GitHub signs.")),
            (
                "githubAPIURL",
                described("API of an installation of GitHub's software.", string()),
            ),
            (
                "secure",
                described("Whether the webhook has to be called by https.", boolean()),
            ),
            ("serviceAccountName", string()),
        ]),
        Some(with_fields(status(source_fields()), [("webhookIDKey", string())])),
    )
}

/// The names of events that GitHub sends to webhooks, as far as the kind has ever listed them.
const GIT_HUB_EVENTS: &[&str] = &[
    "check_suite",
    "commit_comment",
    "create",
    "delete",
    "deployment",
    "deployment_status",
    "fork",
    "gollum",
    "installation",
    "integration_installation",
    "issue_comment",
    "issues",
    "label",
    "member",
    "membership",
    "milestone",
    "organization",
    "org_block",
    "page_build",
    "ping",
    "project_card",
    "project_column",
    "project",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "push",
    "release",
    "repository",
    "status",
    "team",
    "team_add",
    "watch",
];

pub(super) fn job_sink() -> Value {
    resource(
        "Makes a Job for each event.",
        object([("job", described("The Job, whole.", anything()))]),
        Some(with_fields(
            status(address_fields()),
            [("job", object([("selector", string())]))],
        )),
    )
}
