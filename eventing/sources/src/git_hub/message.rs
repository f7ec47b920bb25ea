//! The event of a delivery.

use bytes::Bytes;
use crds::sources::{GIT_HUB_EVENT_TYPE, GitHubSourceSpec};
use event::{DataKind, Event};

use super::headers::Head;
use super::payload::Payload;

/// Extensions that every event has whose payload has such a value: name and path.
const COMMON: [(&str, &str); 5] = [
    ("owner", "repository.owner.login"),
    ("owner", "organization.login"),
    ("repository", "repository.name"),
    ("sender", "sender.login"),
    ("action", "action"),
];

/// What else an event is described by.
#[derive(Clone, Copy)]
struct Description {
    /// Path of the subject.
    subject: &'static str,
    /// Further extensions.
    extensions: &'static [(&'static str, &'static str)],
}

const fn described(
    subject: &'static str,
    extensions: &'static [(&'static str, &'static str)],
) -> Description {
    Description { subject, extensions }
}

/// A table of all events that the kind knows.
fn description(event: &str) -> Description {
    match event {
        "push" => described(
            "compare",
            &[
                ("ref", "ref"),
                ("pusher", "pusher.name"),
                ("created", "created"),
                ("deleted", "deleted"),
                ("forced", "forced"),
            ],
        ),
        "pull_request" => described(
            "number",
            &[
                ("number", "number"),
                ("label", "label.name"),
                ("assignee", "assignee.login"),
            ],
        ),
        "pull_request_review" => described(
            "pull_request.number",
            &[("number", "pull_request.number"), ("state", "review.state")],
        ),
        "pull_request_review_comment" => {
            described("pull_request.number", &[("number", "pull_request.number")])
        }
        "issues" => described(
            "issue.number",
            &[
                ("number", "issue.number"),
                ("label", "label.name"),
                ("assignee", "assignee.login"),
            ],
        ),
        "issue_comment" => described("issue.number", &[("number", "issue.number")]),
        "create" | "delete" => described("ref", &[("ref", "ref"), ("reftype", "ref_type")]),
        "check_suite" => described(
            "check_suite.id",
            &[
                ("state", "check_suite.status"),
                ("conclusion", "check_suite.conclusion"),
            ],
        ),
        "commit_comment" => described("comment.commit_id", &[]),
        "deployment" => described("deployment.id", &[("environment", "deployment.environment")]),
        "deployment_status" => described(
            "deployment.id",
            &[
                ("environment", "deployment.environment"),
                ("state", "deployment_status.state"),
            ],
        ),
        "fork" => described("forkee.full_name", &[]),
        "installation" | "integration_installation" => described("installation.id", &[]),
        "label" => described("label.name", &[("label", "label.name")]),
        "member" => described("member.login", &[]),
        "membership" => described("member.login", &[("team", "team.slug")]),
        "milestone" => described("milestone.number", &[]),
        "organization" => described("organization.login", &[]),
        "org_block" => described("blocked_user.login", &[]),
        "page_build" => described("id", &[("state", "build.status")]),
        "ping" => described("hook_id", &[]),
        "project_card" => described("project_card.id", &[]),
        "project_column" => described("project_column.id", &[]),
        "project" => described("project.number", &[]),
        "public" | "repository" | "watch" => described("repository.full_name", &[]),
        "release" => described("release.tag_name", &[("tag", "release.tag_name")]),
        "status" => described("sha", &[("state", "state"), ("context", "context")]),
        "team" | "team_add" => described("team.slug", &[("team", "team.slug")]),
        _ => described("", &[]),
    }
}

/// The event of a delivery to a source with this spec. The body is its data as it came.
///
/// # Errors
/// If the body is not one JSON object.
pub(crate) fn event(spec: &GitHubSourceSpec, head: &Head, body: Bytes) -> Result<Event, serde_json::Error> {
    let Description { subject, extensions } = description(&head.event);
    let all = COMMON.iter().chain(extensions);
    let wanted: Vec<&'static str> = all.clone().map(|(_, path)| *path).chain([subject]).collect();
    let payload = Payload::read(&body, &wanted)?;
    let mut event = Event::new(
        head.id.clone(),
        spec.event_source(),
        format!("{GIT_HUB_EVENT_TYPE}{}", head.event),
    );
    event.set_extension("datacontenttype", "application/json".to_owned());
    // A push has no number: the commits that it compares are what tells it from others.
    let subject = payload.get(subject).map(|text| match head.event.as_str() {
        "push" => text.rsplit('/').next().unwrap_or_default(),
        _ => text,
    });
    if let Some(subject) = subject.filter(|subject| !subject.is_empty()) {
        event.set_extension("subject", subject.to_owned());
    }
    for (name, path) in all {
        if let Some(value) = payload.get(path).filter(|_| event.get(name).is_none()) {
            event.set_extension(*name, value.to_owned());
        }
    }
    let overrides = spec
        .ce_overrides
        .iter()
        .flat_map(|overrides| &overrides.extensions);
    for (name, value) in overrides {
        event.set_extension(name.clone(), value.clone());
    }
    event.data = Some(body);
    event.data_kind = DataKind::Binary;
    Ok(event)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The attributes of the event of a payload, but for those that are alike in all.
    fn attributes(name: &str, payload: &Value) -> Vec<String> {
        let head = Head {
            event: name.to_owned(),
            id: "d-1".to_owned(),
            signature: [0; 32],
        };
        let spec: GitHubSourceSpec = serde_json::from_value(json!({"ownerAndRepository": "me/web"})).unwrap();
        let body = Bytes::from(payload.to_string());
        let event = event(&spec, &head, body.clone()).unwrap();
        assert_eq!(event.type_, format!("dev.knative.source.github.{name}").as_str());
        assert_eq!((&*event.source, &*event.id), ("https://github.com/me/web", "d-1"));
        assert_eq!(event.data_content_type(), Some("application/json"));
        assert_eq!(event.data, Some(body), "the data is what came");
        let all = event
            .attributes
            .iter()
            .filter(|(name, _)| name != "datacontenttype");
        all.map(|(name, value)| format!("{name}={}", value.borrow().text()))
            .collect()
    }

    #[test]
    fn each_event_is_described_by_its_payload() {
        let (web, me) = (
            json!({"id": 1, "name": "web", "full_name": "me/web", "owner": {"login": "me"}}),
            json!({"login": "you"}),
        );
        let rows: &[(&str, Value, &[&str])] = &[
            (
                "push",
                json!({"ref": "refs/heads/main", "compare": "https://github.com/me/web/compare/abc...def", "created": false,
                    "deleted": false, "forced": true, "pusher": {"name": "you"}, "commits": [{"id": "def"}]}),
                &[
                    "subject=abc...def",
                    "ref=refs/heads/main",
                    "pusher=you",
                    "created=false",
                    "deleted=false",
                    "forced=true",
                ],
            ),
            (
                "pull_request",
                json!({"action": "labeled", "number": 5, "label": {"name": "bug"}, "assignee": {"login": "x"}}),
                &[
                    "subject=5",
                    "action=labeled",
                    "number=5",
                    "label=bug",
                    "assignee=x",
                ],
            ),
            (
                "pull_request",
                json!({"action": "opened", "number": 5, "label": null, "assignee": null}),
                &["subject=5", "action=opened", "number=5"],
            ),
            (
                "pull_request_review",
                json!({"action": "submitted", "review": {"state": "approved"}, "pull_request": {"number": 6}}),
                &["subject=6", "action=submitted", "number=6", "state=approved"],
            ),
            (
                "pull_request_review_comment",
                json!({"pull_request": {"number": 6}}),
                &["subject=6", "number=6"],
            ),
            (
                "issues",
                json!({"action": "opened", "issue": {"number": 7, "title": "t"}, "assignee": {"login": "x"}}),
                &["subject=7", "action=opened", "number=7", "assignee=x"],
            ),
            (
                "issue_comment",
                json!({"issue": {"number": 7}}),
                &["subject=7", "number=7"],
            ),
            (
                "create",
                json!({"ref": "v1", "ref_type": "tag"}),
                &["subject=v1", "ref=v1", "reftype=tag"],
            ),
            (
                "delete",
                json!({"ref": "b", "ref_type": "branch"}),
                &["subject=b", "ref=b", "reftype=branch"],
            ),
            (
                "check_suite",
                json!({"check_suite": {"id": 118578147, "status": "completed", "conclusion": "success"}}),
                &["subject=118578147", "state=completed", "conclusion=success"],
            ),
            (
                "commit_comment",
                json!({"comment": {"commit_id": "abc"}}),
                &["subject=abc"],
            ),
            (
                "deployment",
                json!({"deployment": {"id": 1, "environment": "p"}}),
                &["subject=1", "environment=p"],
            ),
            (
                "deployment_status",
                json!({"deployment": {"id": 1, "environment": "p"}, "deployment_status": {"state": "success"}}),
                &["subject=1", "environment=p", "state=success"],
            ),
            (
                "fork",
                json!({"forkee": {"full_name": "you/web"}}),
                &["subject=you/web"],
            ),
            ("gollum", json!({"pages": [{"page_name": "Home"}]}), &[]),
            ("installation", json!({"installation": {"id": 2}}), &["subject=2"]),
            (
                "integration_installation",
                json!({"installation": {"id": 2}}),
                &["subject=2"],
            ),
            (
                "label",
                json!({"label": {"name": "bug"}}),
                &["subject=bug", "label=bug"],
            ),
            ("member", json!({"member": {"login": "x"}}), &["subject=x"]),
            (
                "membership",
                json!({"member": {"login": "x"}, "team": {"slug": "t"}}),
                &["subject=x", "team=t"],
            ),
            ("milestone", json!({"milestone": {"number": 3}}), &["subject=3"]),
            (
                "org_block",
                json!({"blocked_user": {"login": "x"}}),
                &["subject=x"],
            ),
            (
                "page_build",
                json!({"id": 9, "build": {"status": "built"}}),
                &["subject=9", "state=built"],
            ),
            ("ping", json!({"hook_id": 4, "zen": "z"}), &["subject=4"]),
            ("project", json!({"project": {"number": 1}}), &["subject=1"]),
            ("project_card", json!({"project_card": {"id": 1}}), &["subject=1"]),
            (
                "project_column",
                json!({"project_column": {"id": 1}}),
                &["subject=1"],
            ),
            ("public", json!({}), &["subject=me/web"]),
            (
                "repository",
                json!({"action": "created"}),
                &["subject=me/web", "action=created"],
            ),
            (
                "watch",
                json!({"action": "started"}),
                &["subject=me/web", "action=started"],
            ),
            (
                "release",
                json!({"release": {"tag_name": "v1"}}),
                &["subject=v1", "tag=v1"],
            ),
            (
                "status",
                json!({"sha": "abc", "state": "success", "context": "ci"}),
                &["subject=abc", "state=success", "context=ci"],
            ),
            ("team", json!({"team": {"slug": "t"}}), &["subject=t", "team=t"]),
            (
                "team_add",
                json!({"team": {"slug": "t"}}),
                &["subject=t", "team=t"],
            ),
            ("of_tomorrow", json!({"action": "x"}), &["action=x"]),
        ];
        for (name, payload, expected) in rows {
            let mut payload = payload.clone();
            payload["repository"] = web.clone();
            payload["sender"] = me.clone();
            let mut found = attributes(name, &payload);
            let mut wanted: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
            wanted.extend(["owner=me", "repository=web", "sender=you"].map(str::to_owned));
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{name}");
        }
        let organisation = json!({"action": "member_added", "organization": {"login": "corp"}});
        assert_eq!(
            attributes("organization", &organisation),
            ["subject=corp", "owner=corp", "action=member_added"]
        );
    }

    #[test]
    fn overrides_come_last_and_nonsense_is_refused() {
        let head = Head {
            event: "push".to_owned(),
            id: "d".to_owned(),
            signature: [0; 32],
        };
        let overrides = json!({"extensions": {"action": "mine", "room": "7"}});
        let spec: GitHubSourceSpec =
            serde_json::from_value(json!({"ownerAndRepository": "me/web", "ceOverrides": overrides}))
                .unwrap();
        let made = event(&spec, &head, Bytes::from_static(br#"{"action": "x"}"#)).unwrap();
        let text = |name| made.get(name).map(|value| value.text().into_owned());
        assert_eq!(
            (text("action").as_deref(), text("room").as_deref()),
            (Some("mine"), Some("7"))
        );
        assert!(event(&spec, &head, Bytes::from_static(b"[]")).is_err());
    }
}
