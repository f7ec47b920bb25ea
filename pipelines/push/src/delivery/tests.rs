use http::{HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn a() -> String {
    "a".repeat(40)
}
fn b() -> String {
    "b".repeat(40)
}
fn zeros() -> String {
    "0".repeat(40)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

fn read(pairs: &[(&'static str, &str)], body: &[u8]) -> Result<Event, DeliveryError> {
    Head::read(&headers(pairs))?.event(body)
}

fn pushes(pairs: &[(&'static str, &str)], body: &Value) -> Vec<Push> {
    match read(pairs, body.to_string().as_bytes()).unwrap() {
        Event::Pushes(pushes) => pushes,
        other => panic!("{other:?}"),
    }
}

fn paths(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn hosts_are_told_apart_by_their_headers() {
    for (pairs, host, event, id) in [
        (
            &[("x-github-event", "push"), ("x-github-delivery", "g")][..],
            Host::GitHub,
            "push",
            "g",
        ),
        (
            &[
                ("x-gitea-event", "push"),
                ("x-github-event", "push"),
                ("x-gitea-delivery", "t"),
            ],
            Host::Gitea,
            "push",
            "t",
        ),
        (
            &[
                ("x-forgejo-event", "push"),
                ("x-gitea-event", "push"),
                ("x-gitea-delivery", "t"),
            ],
            Host::Gitea,
            "push",
            "t",
        ),
        (
            &[
                ("x-gitlab-event", "Push Hook"),
                ("x-gitlab-event-uuid", "u"),
                ("idempotency-key", "i"),
            ],
            Host::GitLab,
            "Push Hook",
            "i",
        ),
        (
            &[("x-event-key", "repo:push"), ("x-request-uuid", "r")],
            Host::Bitbucket,
            "repo:push",
            "r",
        ),
        (&[("x-spindrift-event", "push")], Host::Plain, "push", ""),
    ] {
        let head = Head::read(&headers(pairs)).unwrap();
        assert_eq!(
            (head.host, head.event.as_str(), head.id.as_str()),
            (host, event, id)
        );
    }
    assert_eq!(Head::read(&headers(&[])), Err(DeliveryError::NoHost));
    let twice = headers(&[("x-github-event", "push"), ("x-github-event", "ping")]);
    assert_eq!(Head::read(&twice), Err(DeliveryError::Header("x-github-event")));
}

#[test]
fn a_push_to_github() {
    let body = json!({
        "ref": "refs/heads/main", "before": a(), "after": b(), "created": false, "deleted": false, "forced": false,
        "commits": [
            {"id": "c", "added": ["new.txt"], "removed": [], "modified": []},
            {"id": b(), "tree_id": a(), "message": "x", "author": {"name": "n"}, "added": [], "removed": ["old"], "modified": ["src/main.rs"]},
        ],
        "head_commit": {"id": b(), "tree_id": a(), "message": "Subject\n\nBody", "author": {"name": "Jane", "username": "jane"}},
        "repository": {"full_name": "me/web"},
    });
    let push = Push {
        git_ref: "refs/heads/main".to_owned(),
        before: a(),
        after: b(),
        forced: false,
        paths: paths(&["new.txt", "old", "src/main.rs"]),
        author: "Jane".to_owned(),
        message: "Subject\n\nBody".to_owned(),
        tree: a(),
    };
    let head = [("x-github-event", "push")];
    assert_eq!(pushes(&head, &body), std::slice::from_ref(&push));
    let form = format!(
        "payload={}",
        url::form_urlencoded::byte_serialize(body.to_string().as_bytes()).collect::<String>()
    );
    let as_form = [
        ("x-github-event", "push"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(
        read(&as_form, form.as_bytes()),
        Ok(Event::Pushes(vec![push.clone()]))
    );

    let mut other_head = body.clone();
    other_head["head_commit"]["id"] = json!(a());
    assert_eq!(pushes(&head, &other_head)[0].message, "x");

    let mut forced = body.clone();
    forced["forced"] = json!(true);
    assert_eq!(pushes(&head, &forced)[0].paths, None);

    let mut deleted = body;
    (deleted["after"], deleted["head_commit"]) = (json!(zeros()), Value::Null);
    assert_eq!(pushes(&head, &deleted)[0].after, "");
}

#[test]
fn a_long_list_of_commits_may_be_cut() {
    let commits: Vec<Value> = (0..2048).map(|_| json!({"id": "x", "added": ["f"]})).collect();
    let body = json!({"ref": "refs/heads/main", "before": a(), "after": b(), "commits": commits});
    assert_eq!(pushes(&[("x-github-event", "push")], &body)[0].paths, None);
}

#[test]
fn a_push_to_gitlab() {
    let body = json!({
        "object_kind": "push", "ref": "refs/heads/main", "before": a(), "after": b(), "checkout_sha": b(),
        "user_name": "Jane", "total_commits_count": 1,
        "commits": [{"id": b(), "message": "Do\n", "author": {"name": "Joe"}, "added": ["x"], "modified": [], "removed": []}],
    });
    let head = [("x-gitlab-event", "Push Hook")];
    let found = &pushes(&head, &body)[0];
    assert_eq!(
        (found.author.as_str(), &found.after, found.paths.clone()),
        ("Joe", &b(), paths(&["x"]))
    );
    let mut cut = body.clone();
    cut["total_commits_count"] = json!(21);
    assert_eq!(pushes(&head, &cut)[0].paths, None);
    let tag = json!({"ref": "refs/tags/v1", "before": zeros(), "after": a(), "checkout_sha": b(), "user_name": "Jane"});
    let found = &pushes(&[("x-gitlab-event", "Tag Push Hook")], &tag)[0];
    assert_eq!(
        (&found.after, found.before.as_str(), found.author.as_str()),
        (&b(), "", "Jane")
    );
    let deleted = json!({"ref": "refs/heads/x", "before": a(), "after": zeros(), "checkout_sha": null});
    assert_eq!(pushes(&head, &deleted)[0].after, "");
}

#[test]
fn a_push_to_gitea() {
    let body = json!({
        "ref": "refs/heads/main", "before": a(), "after": b(), "total_commits": 1,
        "commits": [{"id": b(), "message": "Do", "author": {"name": "Joe"}, "added": null, "removed": [], "modified": ["x"]}],
        "head_commit": {"id": b(), "message": "Do", "author": {"name": "Joe"}},
    });
    let head = [("x-gitea-event", "push"), ("x-github-event", "push")];
    let found = &pushes(&head, &body)[0];
    assert_eq!(
        (found.author.as_str(), found.paths.clone()),
        ("Joe", paths(&["x"]))
    );
    let mut more = body;
    more["total_commits"] = json!(7);
    assert_eq!(pushes(&head, &more)[0].paths, None);
    let deletion = json!({"ref": "feature/x", "ref_type": "branch"});
    let found = &pushes(&[("x-gitea-event", "delete")], &deletion)[0];
    assert_eq!(
        (found.git_ref.as_str(), found.after.as_str()),
        ("refs/heads/feature/x", "")
    );
}

#[test]
fn pushes_to_bitbucket() {
    let target = |hash: &str| json!({"hash": hash, "message": "Do", "author": {"raw": "Joe <joe@x>"}});
    let body = json!({"push": {"changes": [
        {"old": {"type": "branch", "name": "main", "target": target(&a())}, "new": {"type": "branch", "name": "main", "target": target(&b())}, "forced": true},
        {"old": {"type": "branch", "name": "gone", "target": target(&a())}, "new": null},
        {"old": null, "new": {"type": "tag", "name": "v1", "target": target(&b())}},
    ]}});
    let found = pushes(&[("x-event-key", "repo:push")], &body);
    let short: Vec<_> = found
        .iter()
        .map(|push| {
            (
                push.git_ref.as_str(),
                !push.before.is_empty(),
                !push.after.is_empty(),
                push.forced,
            )
        })
        .collect();
    assert_eq!(
        short,
        [
            ("refs/heads/main", true, true, true),
            ("refs/heads/gone", true, false, false),
            ("refs/tags/v1", false, true, false),
        ]
    );
    assert_eq!(
        (found[0].author.as_str(), found[0].message.as_str()),
        ("Joe", "Do")
    );
    let body = json!({"changes": [{"ref": {"id": "refs/heads/main"}, "fromHash": a(), "toHash": b(), "type": "UPDATE"}]});
    assert_eq!(
        pushes(&[("x-event-key", "repo:refs_changed")], &body)[0].after,
        b()
    );
}

#[test]
fn pushes_of_a_hook() {
    let head = [("x-spindrift-event", "push")];
    let body = format!(
        "push {} {} refs/heads/main\ntree {}\nauthor Jane Doe\nmessage Subject\nmessage \nmessage Body\npath a b\nall-paths\nfuture x\n\npush {} {} refs/heads/gone\n",
        a(),
        b(),
        a(),
        a(),
        zeros(),
    );
    let Ok(Event::Pushes(found)) = read(&head, body.as_bytes()) else {
        panic!("{body}");
    };
    assert_eq!(
        found[0],
        Push {
            git_ref: "refs/heads/main".to_owned(),
            before: a(),
            after: b(),
            forced: false,
            paths: paths(&["a b"]),
            author: "Jane Doe".to_owned(),
            message: "Subject\n\nBody\n".to_owned(),
            tree: a(),
        }
    );
    assert_eq!((found[1].after.as_str(), found[1].paths.clone()), ("", None));
    let quoted = format!(
        "push {} {} refs/heads/main\npath \"a\\nb\"\nall-paths\n",
        a(),
        b()
    );
    let Ok(Event::Pushes(found)) = read(&head, quoted.as_bytes()) else {
        panic!("{quoted}");
    };
    assert_eq!(found[0].paths, None);
    for wrong in ["tree x\n", "push x\n", "push a b\n"] {
        assert!(
            matches!(read(&head, wrong.as_bytes()), Err(DeliveryError::Payload { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn other_events_build_nothing() {
    for (pairs, event) in [
        (&[("x-github-event", "ping")][..], Event::Ping),
        (&[("x-event-key", "diagnostics:ping")], Event::Ping),
        (&[("x-spindrift-event", "ping")], Event::Ping),
        (
            &[("x-github-event", "pull_request")],
            Event::Other("pull_request".to_owned()),
        ),
        (
            &[("x-gitlab-event", "Issue Hook")],
            Event::Other("Issue Hook".to_owned()),
        ),
        (&[("x-gitea-event", "create")], Event::Other("create".to_owned())),
        (
            &[("x-event-key", "repo:fork")],
            Event::Other("repo:fork".to_owned()),
        ),
    ] {
        assert_eq!(read(pairs, b"{}"), Ok(event));
    }
}

#[test]
fn what_is_no_ref_or_commit_is_refused() {
    let with = |git_ref: &str, after: &str| {
        let body = json!({"ref": git_ref, "before": a(), "after": after});
        read(&[("x-github-event", "push")], body.to_string().as_bytes())
    };
    for git_ref in [
        "main",
        "refs/heads/-x",
        "refs/heads/a..b",
        "refs/heads/a b",
        "refs/heads/x.lock",
        "refs/heads/\n",
        "",
    ] {
        assert!(
            matches!(with(git_ref, &b()), Err(DeliveryError::Ref(_))),
            "{git_ref:?}"
        );
    }
    for after in ["main", "--upload-pack=x", "abc", &"g".repeat(40)] {
        assert!(
            matches!(with("refs/heads/main", after), Err(DeliveryError::Hash(_))),
            "{after:?}"
        );
    }
    let upper = with("refs/heads/main", &"B".repeat(40)).unwrap();
    assert!(matches!(upper, Event::Pushes(pushes) if pushes[0].after == b()));
    for body in ["", "[]", "{}", "payload"] {
        let read = read(&[("x-github-event", "push")], body.as_bytes());
        assert!(matches!(read, Err(DeliveryError::Payload { .. })), "{body}");
    }
    let many = "push a b c\n".repeat(MOST_PUSHES + 1);
    assert_eq!(
        read(&[("x-spindrift-event", "push")], many.as_bytes()),
        Err(DeliveryError::TooMany)
    );
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300), host in 0..6_usize) {
        let (_, name, _) = HOSTS[host];
        let event = ["push", "push", "push", "push", "Push Hook", "repo:push"][host];
        let _ = read(&[(name, event)], &body);
    }
}
