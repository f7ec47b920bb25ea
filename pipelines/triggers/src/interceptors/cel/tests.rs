use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use k8s_openapi::jiff::Timestamp;

use super::*;

fn event() -> Seen {
    let mut headers = HeaderMap::new();
    headers.insert("x-github-event", HeaderValue::from_static("push"));
    headers.insert("x-token", HeaderValue::from_static("hush"));
    Seen {
        id: String::new(),
        url: "http://el/x?a=1&a=2#f".to_owned(),
        headers,
        raw: Bytes::new(),
        body: json!({
            "ref": "refs/heads/main", "n": 2, "price": 1.5, "yes": true, "none": null,
            "commits": [{"id": "a", "files": ["x", "y"]}, {"id": "b", "files": []}],
            "b64": "aGVsbG8=", "text": "{\"a\": [1, 2]}", "yaml": "a: [1, 2]\n", "sha": "0123456789abcdef",
        }),
        extensions: json!({"old": {"kept": 1}, "s": "v"}).as_object().unwrap().clone(),
        received_at: Timestamp::UNIX_EPOCH,
    }
}

fn secrets() -> CompareSecret {
    Arc::new(|key, name, namespace| {
        (key == "token" && name == "github" && namespace.is_none_or(|namespace| namespace == "ns"))
            .then(|| b"hush".to_vec())
    })
}

fn filter(expression: &str) -> Verdict {
    let params = Params {
        filter: expression.to_owned(),
        overlays: Vec::new(),
    };
    check(&params, &event(), secrets(), &Allowance::new(ALLOWED))
}

#[test]
fn events_pass_filters() {
    for expression in [
        "body.ref == 'refs/heads/main'",
        "body.ref.startsWith('refs/heads/') && header.match('X-GitHub-Event', 'push')",
        "header.canonical('x-github-event') == 'push'",
        "header['X-Github-Event'][0] == 'push'",
        "body.n == 2",
        "body.n == 2.0 && body.n > 1.0 && body.price == 1.5",
        "body.yes && body.none == null",
        "body.ref.split('/')[2] == 'main'",
        "body.ref.split('/').join('-') == 'refs-heads-main'",
        "body.commits.exists(commit, commit.files.size() == 2)",
        "body.commits.map(commit, commit.id) == ['a', 'b']",
        "has(body.ref) && !has(body.missing)",
        "'x' in body.commits[0].files",
        "extensions.s == 'v' && extensions.old.kept == 1",
        "requestURL.parseURL().query.a == ['1', '2'] && requestURL.parseURL().path == '/x'",
        "body.sha.truncate(7) == '0123456'",
        "body.b64.decodeb64() == 'hello'",
        "body.text.parseJSON().a[1] == 2",
        "body.yaml.parseYAML().a[0] == 1",
        "body.commits[1].marshalJSON() == '{\"files\":[],\"id\":\"b\"}'",
        "body.ref.translate('[^a-z]+', '-') == 'refs-heads-main'",
        "body.ref.upperAscii() == 'REFS/HEADS/MAIN' && 'A'.lowerAscii() == 'a'",
        "lists.range(3) == [0, 1, 2] && lists.range(0) == []",
        "[1, 2, 3].first() == 1 && [1, 2, 3].last() == 3",
        "header.canonical('X-Token').compareSecret('token', 'github')",
        "header.canonical('X-Token').compareSecret('token', 'github', 'ns')",
        "!('hash').compareSecret('token', 'github')",
    ] {
        assert_eq!(filter(expression), Verdict::go(), "{expression}");
    }
}

#[test]
fn what_is_not_true_stops_an_event() {
    let deep = format!("{}true{}", "(".repeat(100), ")".repeat(100));
    let prefixed = format!("{}true", "!".repeat(100));
    for (expression, words) in [
        ("body.ref == 'x'", "did not return true"),
        ("body.missing == 'x'", "cannot be evaluated"),
        ("body.ref", "neither true nor false"),
        ("body.ref ==", "cannot be read"),
        ("nothing()", "cannot be evaluated"),
        ("'x'.compareSecret('token', 'other')", "has no token"),
        ("body.ref.translate('(', '')", "cannot be evaluated"),
        ("lists.range(1000000000) == []", "does too much"),
        ("lists.range(9223372036854775807) == []", "does too much"),
        (
            "lists.range(1000).all(a, lists.range(1000000) != [])",
            "does too much",
        ),
        ("lists.range(-1) == []", "fewer than none"),
        (&deep, "nests deeper"),
        (&prefixed, "nests deeper"),
    ] {
        match filter(expression) {
            Verdict::Stop(problem) => assert!(problem.contains(words), "{problem}"),
            other => panic!("{expression} gives {other:?}"),
        }
    }
}

fn overlays(all: &[(&str, &str)]) -> Verdict {
    let params = Params {
        filter: String::new(),
        overlays: all
            .iter()
            .map(|(key, expression)| Overlay {
                key: (*key).to_owned(),
                expression: (*expression).to_owned(),
            })
            .collect(),
    };
    check(&params, &event(), secrets(), &Allowance::new(ALLOWED))
}

#[test]
fn overlays_become_extensions() {
    let made = overlays(&[
        ("branch", "body.ref.split('/')[2]"),
        ("deep.er", "body.n"),
        ("deep.too", "[1.5, 2.0, true]"),
        ("old.new", "{'a': null}"),
    ]);
    let expected = json!({
        "branch": "main", "deep": {"er": 2, "too": [1.5, 2, true]}, "old": {"kept": 1, "new": {"a": null}},
    });
    assert_eq!(made, Verdict::Continue(expected.as_object().unwrap().clone()));
    // They do not see each other.
    assert!(matches!(
        overlays(&[("a", "1"), ("b", "extensions.a")]),
        Verdict::Stop(_)
    ));
    assert!(matches!(overlays(&[("a", "1"), ("a.b", "2")]), Verdict::Stop(_)));
    assert!(matches!(overlays(&[("", "1")]), Verdict::Stop(_)));
}

#[tokio::test]
async fn an_expression_that_does_not_end_is_given_up_on() {
    let evaluator = Evaluator {
        limit: Duration::from_millis(20),
        ..Evaluator::default()
    };
    let event = event();
    // The test waits for its threads at the end, so they may not run for ever.
    let slow: CompareSecret = Arc::new(|_: &str, _: &str, _: Option<&str>| {
        std::thread::sleep(Duration::from_millis(200));
        None
    });
    let waits = Params {
        filter: "'x'.compareSecret('a', 'b')".to_owned(),
        overlays: Vec::new(),
    };
    let all = (0..THREADS).map(|_| evaluator.check(waits.clone(), event.clone(), slow.clone()));
    for verdict in futures::future::join_all(all).await {
        assert!(
            matches!(&verdict, Verdict::Fail(problem) if problem.contains("did not end")),
            "{verdict:?}"
        );
    }
    assert!(evaluator.is_stuck());
    // Who comes then waits for a thread, however long that takes.
    let quick = Params {
        filter: "true".to_owned(),
        overlays: Vec::new(),
    };
    let patient = Evaluator {
        limit: Duration::from_secs(30),
        ..evaluator.clone()
    };
    assert!(matches!(
        patient.check(quick, event, slow).await,
        Verdict::Continue(_)
    ));
}

#[tokio::test]
async fn expressions_as_deep_as_they_may_be_are_evaluated() {
    let evaluator = Evaluator {
        limit: Duration::from_secs(60),
        ..Evaluator::default()
    };
    let compare: CompareSecret = Arc::new(|_: &str, _: &str, _: Option<&str>| None);
    for unit in ["1+", "body.a.a.a.a.a.a.a.a==1||", "a."] {
        let most = MOST_OPERATORS / operators(unit);
        for times in [most, most + 1, (LONGEST - 1) / unit.len()] {
            let params = Params {
                filter: format!("{}1", unit.repeat(times)),
                overlays: Vec::new(),
            };
            // What it says does not matter: that it says something does.
            let verdict = evaluator.check(params, event(), compare.clone()).await;
            assert!(matches!(verdict, Verdict::Stop(_)), "{unit}: {verdict:?}");
        }
    }
}

#[tokio::test]
async fn loops_end_with_their_time() {
    let evaluator = Evaluator {
        limit: Duration::from_millis(100),
        ..Evaluator::default()
    };
    let mut event = event();
    event.body = json!({"list": (0..1000).collect::<Vec<u32>>()});
    let params = Params {
        filter: "body.list.all(a, body.list.all(b, body.list.all(c, a + b + c >= 0.0)))".to_owned(),
        overlays: Vec::new(),
    };
    let compare: CompareSecret = Arc::new(|_: &str, _: &str, _: Option<&str>| None);
    for _ in 0..THREADS + 1 {
        let verdict = evaluator
            .check(params.clone(), event.clone(), compare.clone())
            .await;
        assert!(!matches!(verdict, Verdict::Continue(_)), "{verdict:?}");
    }
    // The threads are free again, as they would not be for hours.
    let all = u32::try_from(THREADS).unwrap();
    let free = tokio::time::timeout(Duration::from_secs(60), evaluator.threads.acquire_many(all));
    assert!(free.await.is_ok());
}
