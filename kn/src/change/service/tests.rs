//! Whole commands: flags as they are typed, services before and after.

use clap::Parser;

use super::*;

#[derive(Parser)]
#[command(args_override_self = true)]
struct Line {
    #[command(flatten)]
    flags: ServiceArgs,
}

fn flags(words: &[&str]) -> ServiceArgs {
    Line::try_parse_from([&["kn"], words].concat()).unwrap().flags
}

fn from_file(service: &Value) -> Start {
    Start {
        service: service.clone(),
        from_file: true,
    }
}

fn created(words: &[&str]) -> Result<Value, CliError> {
    create(
        Start::empty("web", "default"),
        &flags(words),
        Timestamp::UNIX_EPOCH,
    )
}

fn present() -> Value {
    json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": { "name": "web", "generation": 1 },
            "spec": { "template": { "metadata": { "name": "web-a", "annotations": { "client.knative.dev/user-image": "x:1" } },
                                    "spec": { "containers": [{ "image": "x:1", "new": 1 }] } } },
            "status": { "latestCreatedRevisionName": "web-a" } })
}

fn base() -> Value {
    json!({ "spec": { "containers": [{ "image": "x:1" }] }, "status": { "containerStatuses": [{ "imageDigest": "x@sha256:abc" }] } })
}

fn updated(words: &[&str]) -> Updated {
    update(&present(), &base(), &flags(words), Timestamp::UNIX_EPOCH).unwrap()
}

#[test]
fn a_new_service() {
    let service = created(&[
        "--image",
        "i",
        "--env",
        "A=1=2",
        "-eB=x,y",
        "--port",
        "h2c:9090",
        "--scale",
        "1..5",
        "--request",
        "cpu=1,memory=2Gi",
        "--concurrency-limit",
        "10",
        "-l",
        "k=v",
        "-a",
        "autoscaling.knative.dev/metric=rps",
        "--arg",
        "-v",
        "--timeout",
        "30",
        "--probe-readiness",
        "http::8080:/up",
        "--mount",
        "/data=ed:x",
    ])
    .unwrap();
    let template = &service["spec"]["template"];
    let container = &template["spec"]["containers"][0];
    assert_eq!(
        container["env"],
        json!([{ "name": "A", "value": "1=2" }, { "name": "B", "value": "x,y" }])
    );
    assert_eq!(
        container["ports"],
        json!([{ "name": "h2c", "containerPort": 9090 }])
    );
    assert_eq!(
        container["resources"]["requests"],
        json!({ "cpu": "1", "memory": "2Gi" })
    );
    assert_eq!(container["args"], json!(["-v"]));
    assert_eq!(
        container["readinessProbe"],
        json!({ "httpGet": { "port": 8080, "path": "/up" } })
    );
    assert_eq!(container["volumeMounts"][0]["mountPath"], "/data");
    assert_eq!(template["spec"]["containerConcurrency"], 10);
    assert_eq!(template["spec"]["timeoutSeconds"], 30);
    assert_eq!(
        template["metadata"],
        json!({ "labels": { "k": "v" }, "annotations": {
            "autoscaling.knative.dev/metric": "rps", "autoscaling.knative.dev/min-scale": "1",
            "autoscaling.knative.dev/max-scale": "5", "client.knative.dev/user-image": "i",
            "client.knative.dev/updateTimestamp": "1970-01-01T00:00:00Z" } })
    );
    assert_eq!(
        service["metadata"],
        json!({ "name": "web", "namespace": "default", "labels": { "k": "v" } })
    );
}

#[test]
fn a_service_needs_an_image() {
    assert!(
        created(&["--env", "A=1"])
            .unwrap_err()
            .message
            .contains("requires the image")
    );
    let file = json!({ "metadata": { "name": "web" }, "spec": { "template": { "spec": { "containers": [{ "image": "f" }] } } } });
    let plain = create(from_file(&file), &flags(&[]), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(plain, file, "a file stays as it is, without marks");
    let over = create(
        from_file(&file),
        &flags(&["--image", "g", "-e", "A=1"]),
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    assert_eq!(
        over["spec"]["template"]["spec"]["containers"],
        json!([{ "image": "g", "env": [{ "name": "A", "value": "1" }] }])
    );
    assert_eq!(
        over["spec"]["template"]["metadata"]["annotations"],
        json!({ "client.knative.dev/updateTimestamp": "1970-01-01T00:00:00Z" })
    );
}

#[test]
fn a_change_of_the_template_is_stamped_and_loses_the_old_name() {
    let after = updated(&["-e", "A=1"]);
    assert!(after.makes_revision);
    let template = &after.service["spec"]["template"];
    assert!(template["metadata"].get("name").is_none(), "it would be refused");
    assert_eq!(
        template["metadata"]["annotations"],
        json!({ "client.knative.dev/user-image": "x:1", "client.knative.dev/updateTimestamp": "1970-01-01T00:00:00Z" })
    );
    assert_eq!(
        template["spec"]["containers"],
        json!([{ "image": "x@sha256:abc", "new": 1, "env": [{ "name": "A", "value": "1" }] }]),
        "the image stays the one that runs"
    );
    assert_eq!(after.pinned.as_deref(), Some("x@sha256:abc"));
    let named = updated(&["--image", "y", "--revision-name", "{{.Service}}-g{{.Generation}}"]);
    assert_eq!(named.service["spec"]["template"]["metadata"]["name"], "web-g2");
    assert_eq!(named.pinned, None);
}

#[test]
fn other_changes_leave_the_template_alone() {
    for words in [
        &["--cluster-local"][..],
        &["--label-service", "a=b"],
        &["--annotation-service", "a=b"],
    ] {
        let after = updated(words);
        assert_eq!(after.service["spec"], present()["spec"], "{words:?}");
        assert!(!after.makes_revision, "{words:?}");
        assert_ne!(after.service["metadata"], present()["metadata"], "{words:?}");
    }
}

#[test]
fn a_repeated_value_makes_a_revision_all_the_same() {
    assert!(
        updated(&["--image", "x:1"]).makes_revision,
        "the tag may name another image by now"
    );
}

#[test]
fn unlocking_restores_what_was_typed() {
    let mut pinned = present();
    pinned["spec"]["template"]["spec"]["containers"][0]["image"] = json!("x@sha256:abc");
    let after = update(
        &pinned,
        &base(),
        &flags(&["--no-lock-to-digest"]),
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    assert!(after.makes_revision);
    assert_eq!(
        after.service["spec"]["template"]["spec"]["containers"][0]["image"],
        "x:1"
    );
}

#[test]
fn refusals_name_what_is_wrong() {
    for (words, token) in [
        (&["--env", "A"][..], "'='"),
        (&["--scale", "a"], "x..y"),
        (&["--scale-min", "3", "--scale-max", "2"], "more than"),
        (&["--port", "x"], "--port"),
        (&["--concurrency-limit", "-1"], "--concurrency-limit"),
        (&["--timeout", "-1"], "--timeout"),
        (&["--env-from", "x:y"], "cm:NAME"),
        (&["--cluster-local", "--no-cluster-local"], "only one of"),
        (&["--lock-to-digest", "--no-lock-to-digest"], "only one of"),
    ] {
        let line = flags(&[&["--image", "i"], words].concat());
        let error = create(Start::empty("web", "default"), &line, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.message.contains(token), "{words:?}: {}", error.message);
    }
    let odd = json!({ "spec": { "template": { "spec": { "containers": "i" } } } });
    let error = create(from_file(&odd), &flags(&["--image", "i"]), Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(
        error
            .message
            .contains("spec.template.spec.containers must be a list"),
        "{error}"
    );
}

proptest::proptest! {
    /// Whatever a file holds, it is refused or changed; nothing else happens.
    #[test]
    fn any_file_is_refused_or_changed(text in "[\\[\\]{}\",:a-c0-9]{0,40}", at in 0..6usize) {
        let odd = serde_json::from_str::<Value>(&text).unwrap_or(Value::String(text));
        let mut file = json!({ "metadata": {}, "spec": { "template": { "metadata": {}, "spec": { "containers": [{}] } } } });
        let place = ["", "/metadata", "/spec", "/spec/template", "/spec/template/metadata", "/spec/template/spec/containers/0"][at];
        *file.pointer_mut(place).unwrap() = odd;
        let all = flags(&["--image", "i", "-e", "A=1", "--mount", "/a=ed:b", "--env-from", "cm:x", "--limit", "cpu=1", "-l", "a=b",
            "-a", "c=d", "--scale", "1", "--probe-liveness", "tcp::1", "--revision-name", "r", "--user", "1"]);
        let _ = create(from_file(&file), &all, Timestamp::UNIX_EPOCH);
        let _ = update(&file, &base(), &all, Timestamp::UNIX_EPOCH);
    }

    /// Whatever a flag's value is, it is refused, or makes a service of a shape that the next command can read.
    #[test]
    fn any_value_is_refused_or_taken(flag in 0..FLAGS.len(), value in "[ -~]{0,12}", tail in "(=|:|-|,|\\.\\.|\\{\\{|\\}\\})?[a-z0-9=:,-]{0,6}") {
        let argument = format!("--{}={value}{tail}", FLAGS[flag]);
        if let Ok(line) = Line::try_parse_from(["kn", "--image", "i", &argument])
            && let Ok(service) = create(Start::empty("web", "default"), &line.flags, Timestamp::UNIX_EPOCH)
        {
            shape::check(&service).unwrap();
            let again = update(&service, &Value::Null, &line.flags, Timestamp::UNIX_EPOCH).unwrap();
            shape::check(&again.service).unwrap();
        }
    }
}

/// Flags whose values have a grammar of their own.
const FLAGS: [&str; 22] = [
    "env",
    "env-value-from",
    "env-from",
    "mount",
    "volume",
    "port",
    "request",
    "limit",
    "pull-policy",
    "probe-liveness",
    "probe-readiness",
    "probe-readiness-opts",
    "node-selector",
    "toleration",
    "node-affinity",
    "scale",
    "scale-window",
    "label",
    "annotation",
    "annotation-service",
    "revision-name",
    "security-context",
];
