use serde_json::json;

use super::*;

const IMAGE: &str = "r/web@sha256:2";

fn repository(status: Value) -> Repository {
    serde_json::from_value(json!({
        "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository",
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"url": "http://git/app", "branch": "main", "service": "web", "previews": true},
        "status": status,
    }))
    .unwrap()
}

fn request(git_ref: &str) -> Request {
    Request {
        image: IMAGE.to_owned(),
        sequence: 2,
        commit: "c".to_owned(),
        git_ref: git_ref.to_owned(),
        tree: "t".to_owned(),
        run: "web-2".to_owned(),
    }
}

/// A Service whose template was made by `build` of `git_ref`, and whose newest and newest ready revisions are these.
fn service(build: &str, git_ref: &str, image: &str, created: &str, ready: &str) -> Service {
    serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {
            "name": "web", "namespace": "default", "generation": 3, "resourceVersion": "9",
            "annotations": {"spindrift.dev/previews-of": "u"},
        },
        "spec": {
            "template": {
                "metadata": {"annotations": {"spindrift.dev/build": build, "spindrift.dev/ref": git_ref}},
                "spec": {"containers": [{"image": image, "env": [{"name": "A", "value": "b"}]}, {"name": "side", "image": "s"}]},
            },
            "traffic": [{"latestRevision": true, "percent": 100}],
        },
        "status": {"observedGeneration": 3, "latestCreatedRevisionName": created, "latestReadyRevisionName": ready},
    }))
    .unwrap()
}

fn revision(name: &str, build: &str, ready: &str) -> Revision {
    serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {"name": name, "annotations": {"spindrift.dev/build": build}}, "spec": {"containers": []},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "ExitCode1", "message": "it crashed"}]},
    }))
    .unwrap()
}

fn step(
    repository: &Repository,
    service: Option<&Service>,
    revision: Option<&Revision>,
    git_ref: &str,
) -> Step {
    let request = request(git_ref);
    decide(&Facts {
        repository,
        service,
        revision,
        request: &request,
    })
}

const MAIN: &str = "refs/heads/main";

#[test]
fn the_first_build_makes_the_service_of_its_template() {
    let mut web = repository(json!({}));
    web.spec.service_template = serde_json::from_value(json!({
        "metadata": {"labels": {"a": "b"}},
        "spec": {"template": {"metadata": {"annotations": {"x": "y"}}, "spec": {"containers": [{"ports": [{"containerPort": 80}]}]}}},
    }))
    .unwrap();
    let Step::Create(service) = step(&web, None, None, MAIN) else {
        panic!("no Service");
    };
    let wire = serde_json::to_value(*service).unwrap();
    assert_eq!(
        wire["metadata"],
        json!({"name": "web", "namespace": "default", "labels": {"a": "b"}})
    );
    assert_eq!(
        wire["spec"]["template"]["metadata"]["annotations"],
        json!({"x": "y", "spindrift.dev/commit": "c", "spindrift.dev/ref": MAIN, "spindrift.dev/build": "web-2"})
    );
    let container = &wire["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(
        (&container["image"], &container["ports"][0]["containerPort"]),
        (&json!(IMAGE), &json!(80))
    );
    // Without a template, too; but not for a preview.
    assert!(matches!(
        step(&repository(json!({})), None, None, MAIN),
        Step::Create(_)
    ));
    let preview = step(&repository(json!({})), None, None, "refs/heads/x");
    assert!(matches!(
        preview,
        Step::Fail {
            reason: "ServiceMissing",
            ..
        }
    ));
}

#[test]
fn only_the_image_and_the_annotations_are_changed() {
    let before = service("web-1", MAIN, "r/web@sha256:1", "web-00001", "web-00001");
    let Step::Change { change, .. } = step(&repository(json!({})), Some(&before), None, MAIN) else {
        panic!("no change");
    };
    let name_of_first = serde_json::to_value(&before.spec.template.spec.pod_spec.containers[0].name).unwrap();
    assert_eq!(
        change,
        json!({
            "metadata": {"resourceVersion": "9"},
            "spec": {"template": {
                "metadata": {"name": null, "annotations": {
                    "spindrift.dev/commit": "c", "spindrift.dev/ref": MAIN, "spindrift.dev/build": "web-2",
                }},
                "spec": {"containers": [
                    {"name": name_of_first, "image": IMAGE, "env": [{"name": "A", "value": "b"}]}, {"name": "side", "image": "s"},
                ]},
            }},
        })
    );
}

#[test]
fn older_pushes_deploy_nothing() {
    let before = service("web-1", MAIN, "r/web@sha256:1", "web-00001", "web-00001");
    for (status, git_ref, superseded) in [
        (
            json!({"pushes": [{"sequence": 3, "ref": MAIN, "after": "d"}]}),
            MAIN,
            true,
        ),
        (
            json!({"pushes": [{"sequence": 2, "ref": MAIN, "after": "d"}]}),
            MAIN,
            false,
        ),
        (
            json!({"pushes": [{"sequence": 3, "ref": "refs/heads/x", "after": "d"}]}),
            MAIN,
            false,
        ),
        (json!({"deployed": {"sequence": 3, "ref": MAIN}}), MAIN, true),
        (json!({"deployed": {"sequence": 2, "ref": MAIN}}), MAIN, false),
        (
            json!({"deployed": {"sequence": 3, "ref": MAIN}}),
            "refs/heads/x",
            false,
        ),
        (
            json!({"previews": [{"tag": "x", "sequence": 3, "ref": "refs/heads/x"}]}),
            "refs/heads/x",
            true,
        ),
        // The branch is gone.
        (
            json!({"pushes": [{"sequence": 3, "ref": "refs/heads/x"}]}),
            "refs/heads/x",
            true,
        ),
    ] {
        let step = step(&repository(status.clone()), Some(&before), None, git_ref);
        let found = matches!(
            step,
            Step::Fail {
                reason: "Superseded",
                ..
            }
        );
        assert_eq!(found, superseded, "{status} {git_ref}: {step:?}");
    }
}

#[test]
fn a_deployment_follows_its_revision() {
    let web = repository(json!({}));
    let applied = |created: &str, ready: &str| service("web-2", MAIN, IMAGE, created, ready);
    let (old, new) = ("web-00001", "web-00002");
    let waits = [
        // The Service has not made the revision yet.
        (applied(old, old), Some(revision(old, "web-1", "True"))),
        (applied(new, old), Some(revision(new, "web-2", "Unknown"))),
        (applied(new, old), None),
    ];
    for (service, revision) in waits {
        let step = step(&web, Some(&service), revision.as_ref(), MAIN);
        assert!(matches!(step, Step::Wait(_)), "{step:?}");
    }
    let mut unseen = applied(new, new);
    unseen.metadata.generation = Some(4);
    assert!(matches!(
        step(&web, Some(&unseen), Some(&revision(new, "web-2", "True")), MAIN),
        Step::Wait(_)
    ));
    assert_eq!(
        step(
            &web,
            Some(&applied(new, new)),
            Some(&revision(new, "web-2", "True")),
            MAIN
        ),
        Step::Done {
            revision: new.to_owned()
        }
    );
    let failed = step(
        &web,
        Some(&applied(new, old)),
        Some(&revision(new, "web-2", "False")),
        MAIN,
    );
    assert!(
        matches!(&failed, Step::Fail { reason: "RevisionFailed", message } if message.contains("it crashed")),
        "{failed:?}"
    );
}

#[test]
fn the_same_image_makes_no_revision() {
    let web = repository(json!({}));
    let same = service("web-1", MAIN, IMAGE, "web-00001", "web-00001");
    assert_eq!(
        step(&web, Some(&same), None, MAIN),
        Step::Done {
            revision: "web-00001".to_owned()
        }
    );
    // A preview of it is not what the Service runs.
    let of_preview = service("web-1", "refs/heads/x", IMAGE, "web-x", "web-x");
    assert!(matches!(
        step(&web, Some(&of_preview), None, MAIN),
        Step::Change { .. }
    ));
}

#[test]
fn a_preview_is_made_then_tagged_and_takes_no_requests() {
    let web = repository(json!({}));
    let before = service("web-1", MAIN, "r/web@sha256:1", "web-00001", "web-00001");
    let Step::Change { change, .. } = step(&web, Some(&before), None, "refs/heads/x") else {
        panic!("no change");
    };
    let name = change["spec"]["template"]["metadata"]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(name.starts_with("web-"));
    let pinned = json!([{"latestRevision": false, "revisionName": "web-00001", "percent": 100}]);
    assert_eq!(change["spec"]["traffic"], pinned);
    assert_eq!(
        change["metadata"]["annotations"],
        json!({"spindrift.dev/pinned-revision": "web-00001"})
    );

    let mut made = service("web-2", "refs/heads/x", IMAGE, &name, &name);
    made.spec.traffic = serde_json::from_value(pinned).unwrap();
    let ready = revision(&name, "web-2", "True");
    let Step::Change { change, .. } = step(&web, Some(&made), Some(&ready), "refs/heads/x") else {
        panic!("no change");
    };
    assert_eq!(
        change["spec"]["traffic"][1],
        json!({"tag": "x", "revisionName": name, "latestRevision": false, "percent": 0})
    );
    made.spec.traffic = serde_json::from_value(change["spec"]["traffic"].clone()).unwrap();
    assert_eq!(
        step(&web, Some(&made), Some(&ready), "refs/heads/x"),
        Step::Done { revision: name }
    );

    // Without its mark a Service gets none, and neither does a branch that is to have none.
    let mut unmarked = before.clone();
    for uid in ["", "another"] {
        let marks = [("spindrift.dev/previews-of".to_owned(), uid.to_owned())];
        unmarked.metadata.annotations = Some(marks.into_iter().filter(|(_, uid)| !uid.is_empty()).collect());
        let found = step(&web, Some(&unmarked), None, "refs/heads/x");
        assert!(matches!(found, Step::Wait(_)), "{found:?}");
    }
    let mut unwanted = web.clone();
    unwanted.spec.previews = false;
    let found = step(&unwanted, Some(&before), None, "refs/heads/x");
    assert!(
        matches!(
            found,
            Step::Fail {
                reason: "Superseded",
                ..
            }
        ),
        "{found:?}"
    );

    // The next build of the branch gets the requests again.
    let traffic = made.spec.traffic;
    let mut shown = service("web-1", "refs/heads/x", IMAGE, "web-x", "web-x");
    shown.spec.traffic = traffic;
    shown.metadata.annotations =
        Some([("spindrift.dev/pinned-revision".to_owned(), "web-00001".to_owned())].into());
    let Step::Change { change, .. } = step(&web, Some(&shown), Some(&ready), MAIN) else {
        panic!("no change");
    };
    assert_eq!(
        change["spec"]["traffic"][0],
        json!({"latestRevision": true, "percent": 100})
    );
    assert_eq!(change["spec"]["template"]["metadata"]["name"], Value::Null);
    assert_eq!(
        change["metadata"]["annotations"],
        json!({"spindrift.dev/pinned-revision": null})
    );
}

#[test]
fn deployments_of_other_refs_wait_for_each_other() {
    let web = repository(json!({}));
    let preview = service("web-1", "refs/heads/x", "r/web@sha256:1", "web-x", "web-00001");
    let under_way = revision("web-x", "web-1", "Unknown");
    assert!(matches!(
        step(&web, Some(&preview), Some(&under_way), MAIN),
        Step::Wait(_)
    ));
    let failed = revision("web-x", "web-1", "False");
    assert!(matches!(
        step(&web, Some(&preview), Some(&failed), MAIN),
        Step::Change { .. }
    ));
    let main = service("web-1", MAIN, "r/web@sha256:1", "web-00002", "web-00001");
    let under_way = revision("web-00002", "web-1", "Unknown");
    assert!(matches!(
        step(&web, Some(&main), Some(&under_way), "refs/heads/x"),
        Step::Wait(_)
    ));
    // An older one of the same ref is overtaken at once.
    assert!(matches!(
        step(&web, Some(&main), Some(&under_way), MAIN),
        Step::Change { .. }
    ));
}
