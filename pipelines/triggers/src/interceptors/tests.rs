use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::event::{Incoming, Seen};

const BODY: &str = r#"{"ref": "refs/heads/main", "compare": "https://github.com/me/web/compare/a...b", "repository": {"name": "web", "owner": {"login": "me"}}, "sender": {"login": "you"}}"#;
/// Of that body with the secret `hush`, by `openssl dgst -sha256 -hmac hush`.
const SIGNATURE: &str = "sha256=ddcef5282b9a57cd13c274d0a0f129f90b9f0e83b39bca315a5d305a0ff303cf";

fn event(headers: &[(&str, &str)], body: &str) -> Seen {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    Seen::new(&Incoming {
        id: "id".to_owned(),
        url: String::new(),
        headers: map,
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_at: Timestamp::from_second(1_531_420_618).unwrap(),
    })
}

fn is(verdict: &Verdict, expected: &str) -> bool {
    match verdict {
        Verdict::Continue(_) => expected.is_empty(),
        Verdict::Stop(problem) | Verdict::Fail(problem) | Verdict::Away(problem) => {
            !expected.is_empty() && problem.contains(expected)
        }
    }
}

#[test]
fn github_is_known_by_its_signature() {
    let known = Secret::Known(b"hush");
    let upper = SIGNATURE.to_uppercase().replace("SHA256", "sha256");
    let forged = SIGNATURE.replace('d', "e");
    let types = Params {
        event_types: vec!["push".to_owned()],
        ..Params::default()
    };
    use github::Params;
    for (params, headers, secret, expected) in [
        (
            Params::default(),
            vec![("x-hub-signature-256", SIGNATURE)],
            known,
            "",
        ),
        (
            Params::default(),
            vec![("x-hub-signature-256", &upper)],
            known,
            "",
        ),
        (Params::default(), vec![], Secret::NotAsked, ""),
        (
            Params::default(),
            vec![("x-hub-signature-256", SIGNATURE)],
            Secret::Missing,
            "secret is missing",
        ),
        (
            Params::default(),
            vec![("x-hub-signature-256", SIGNATURE)],
            Secret::Known(b"other"),
            "does not fit",
        ),
        (
            Params::default(),
            vec![("x-hub-signature-256", &forged)],
            known,
            "does not fit",
        ),
        (
            Params::default(),
            vec![("x-hub-signature-256", "sha256=")],
            known,
            "does not fit",
        ),
        (
            Params::default(),
            vec![("x-hub-signature-256", "sha1=00")],
            known,
            "sha256=",
        ),
        (
            Params::default(),
            vec![("x-hub-signature", "sha1=00")],
            known,
            "is missing",
        ),
        (
            Params::default(),
            vec![
                ("x-hub-signature-256", SIGNATURE),
                ("x-hub-signature-256", SIGNATURE),
            ],
            known,
            "is missing",
        ),
        (
            types.clone(),
            vec![("x-github-event", "push")],
            Secret::NotAsked,
            "",
        ),
        (
            types.clone(),
            vec![("x-github-event", "ping")],
            Secret::NotAsked,
            "ping is not allowed",
        ),
        (types, vec![], Secret::NotAsked, "is not allowed"),
        (
            Params::default(),
            vec![("content-type", "application/x-www-form-urlencoded")],
            Secret::NotAsked,
            "content type",
        ),
    ] {
        let verdict = github::check(&params, &event(&headers, BODY), secret);
        assert!(is(&verdict, expected), "{headers:?}: {verdict:?}");
    }
}

#[test]
fn github_tells_which_files_a_push_changes() {
    let params = github::Params {
        add_changed_files: github::Switch { enabled: true },
        ..github::Params::default()
    };
    let body = json!({"commits": [
        {"added": ["b", "a"], "removed": [], "modified": ["c"]}, {"modified": ["a"], "removed": ["d"]},
    ]});
    let verdict = github::check(
        &params,
        &event(&[("x-github-event", "push")], &body.to_string()),
        Secret::NotAsked,
    );
    let expected = json!({"changed_files": "a,b,c,d"});
    assert_eq!(verdict, Verdict::Continue(expected.as_object().unwrap().clone()));
    let request = event(&[("x-github-event", "pull_request")], "{}");
    assert!(matches!(
        github::check(&params, &request, Secret::NotAsked),
        Verdict::Fail(_)
    ));
}

#[test]
fn gitlab_is_known_by_its_token() {
    let params = gitlab::Params {
        event_types: vec!["Push Hook".to_owned()],
        ..gitlab::Params::default()
    };
    for (headers, expected) in [
        (
            vec![("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "hush")],
            "",
        ),
        (
            vec![("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "hus")],
            "does not fit",
        ),
        (vec![("x-gitlab-event", "Push Hook")], "is missing"),
        (
            vec![("x-gitlab-event", "Tag Hook"), ("x-gitlab-token", "hush")],
            "is not allowed",
        ),
    ] {
        let verdict = gitlab::check(&params, &event(&headers, "{}"), Secret::Known(b"hush"));
        assert!(is(&verdict, expected), "{headers:?}: {verdict:?}");
    }
}

#[test]
fn bitbucket_signs_with_either_algorithm() {
    // `printf '{}' | openssl dgst -sha1 -hmac hush`
    let old = format!("sha1={}", sha1_of(b"{}"));
    for (signature, body, expected) in [
        (SIGNATURE, BODY, ""),
        (old.as_str(), "{}", ""),
        (old.as_str(), "{ }", "does not fit"),
        ("md5=00", "{}", "must start with"),
    ] {
        let verdict = bitbucket::check(
            &bitbucket::Params::default(),
            &event(&[("x-hub-signature", signature)], body),
            Secret::Known(b"hush"),
        );
        assert!(is(&verdict, expected), "{signature}: {verdict:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha1_of(message: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"hush");
    hex(ring::hmac::sign(&key, message).as_ref())
}

#[test]
fn slack_signs_body_and_time() {
    // The example of Slack's own documentation.
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let signature = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503";
    let secret = b"8f742231b10e8888abcd99yyyzzz85a5";
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (headers, expected) in [
        (
            vec![
                form,
                ("x-slack-request-timestamp", "1531420618"),
                ("x-slack-signature", signature),
            ],
            "",
        ),
        (
            vec![
                form,
                ("x-slack-request-timestamp", "1531420619"),
                ("x-slack-signature", signature),
            ],
            "does not fit",
        ),
        (
            vec![
                form,
                ("x-slack-request-timestamp", "1531420000"),
                ("x-slack-signature", signature),
            ],
            "too old",
        ),
        (
            vec![form, ("x-slack-signature", signature)],
            "Timestamp is missing",
        ),
        (vec![form], "Signature is missing"),
        (vec![("x-slack-signature", signature)], "must be a form"),
    ] {
        let params = slack::Params {
            requested_fields: vec!["command".to_owned()],
            ..slack::Params::default()
        };
        let verdict = slack::check(&params, &event(&headers, body), Secret::Known(secret));
        assert!(is(&verdict, expected), "{headers:?}: {verdict:?}");
        if let Verdict::Continue(extensions) = verdict {
            assert_eq!(extensions["command"], json!(["/webhook-collect"]));
        }
    }
}

#[test]
fn params_make_interceptors() {
    let param = |name: &str, value: Value| InterceptorParam {
        name: name.to_owned(),
        value,
    };
    let secret = param("secretRef", json!({"secretName": "s", "secretKey": "k"}));
    let found = Core::find("github", &[secret, param("eventTypes", json!(["push"]))])
        .unwrap()
        .unwrap();
    assert_eq!(found.secret().unwrap().secret_name, "s");
    assert!(
        Core::find("github", &[param("eventTypes", json!("push"))])
            .unwrap()
            .is_err()
    );
    assert!(Core::find("mine", &[]).is_none());
}
