//! What a sink is told of runs, with the real controllers against an API server; the test is the node and the sink.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crds::tekton::{CustomRun, PipelineRun, RunStatus as _, TaskRun};
use event::Event;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::api::core::v1::{ConfigMap, Event as Told, Namespace, Pod};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, ResourceExt};
use parking_lot::Mutex;
use reconciler::{Caches, Object};
use serde_json::{Value, json};
use test_api::TestApi;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);
const SYSTEM: &str = "tekton-pipelines";

/// What the sink does with requests.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Status(u16),
    /// Nothing, and the connection stays.
    Never,
}

/// Takes events, and keeps those that it accepted.
#[derive(Clone)]
struct Sink {
    url: String,
    answer: Arc<Mutex<Answer>>,
    taken: Arc<Mutex<Vec<Event>>>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            url: format!("http://{}/events", listener.local_addr().unwrap()),
            answer: Arc::new(Mutex::new(Answer::Status(202))),
            taken: Arc::default(),
        };
        let all = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(all.clone().serve(stream));
            }
        });
        sink
    }

    async fn serve(self, mut stream: TcpStream) {
        let (headers, body) = request(&mut stream).await;
        let answer = *self.answer.lock();
        let Answer::Status(status) = answer else {
            return std::future::pending().await;
        };
        if status == 202 {
            let event = event::http::read(&headers, body.into()).unwrap();
            self.taken.lock().push(event);
        }
        let answer = format!("HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock() = answer;
    }

    /// The events about a run, by the last words of their types.
    fn told(&self, kind: &str, name: &str) -> Vec<(String, Event)> {
        let prefix = format!("dev.tekton.event.{kind}.");
        let taken = self.taken.lock();
        let about = taken.iter().filter(|event| text(event, "subject") == name);
        about
            .filter_map(|event| {
                let word = event.type_.strip_prefix(prefix.as_str())?.strip_suffix(".v1")?;
                Some((word.to_owned(), event.clone()))
            })
            .collect()
    }

    fn words(&self, kind: &str, name: &str) -> Vec<String> {
        self.told(kind, name).into_iter().map(|(word, _)| word).collect()
    }

    /// The words about a run once the last one is `last`.
    async fn when(&self, kind: &str, name: &str, last: &str) -> Vec<String> {
        let found = eventually(|| async {
            let words = self.words(kind, name);
            words.last().is_some_and(|word| word == last).then_some(words)
        });
        found
            .await
            .unwrap_or_else(|| panic!("{kind} {name}: {:?}, not {last}", self.words(kind, name)))
    }

    /// That nothing was told twice.
    fn assert_once(&self) {
        let taken = self.taken.lock();
        let ids: BTreeSet<&str> = taken.iter().map(|event| &*event.id).collect();
        let all: Vec<&str> = taken.iter().map(|event| &*event.id).collect();
        assert_eq!(ids.len(), all.len(), "{all:?}");
    }
}

fn text(event: &Event, name: &str) -> String {
    event
        .get(name)
        .map(|value| value.text().into_owned())
        .unwrap_or_default()
}

async fn request(stream: &mut TcpStream) -> (HeaderMap, Vec<u8>) {
    let mut read = Vec::new();
    let end = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the request broke off");
        read.extend_from_slice(&buffer[..count]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
    };
    let head = std::str::from_utf8(&read[..end]).unwrap().to_owned();
    let mut lines = head.lines();
    assert_eq!(lines.next(), Some("POST /events HTTP/1.1"));
    let headers: HeaderMap = lines
        .map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        })
        .collect();
    let mut body = read.split_off(end + 4);
    let length: usize = headers["content-length"].to_str().unwrap().parse().unwrap();
    let seen = body.len();
    body.resize(length, 0);
    stream.read_exact(&mut body[seen..]).await.unwrap();
    (headers, body)
}

/// What `look` finds, if it does in time.
async fn eventually<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> Option<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        if let Some(found) = look().await {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    None
}

struct Home {
    client: Client,
    controller: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    _api: TestApi,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.controller.abort();
    }
}

fn controller(client: Client) -> (JoinHandle<()>, oneshot::Sender<()>) {
    let config = pipelines::Config {
        outgoing: pipelines::Outgoing {
            allowed: pipelines::Allowed::ALL,
            ..pipelines::Outgoing::default()
        },
        ..pipelines::Config::new("entrypoint")
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = Box::pin(async {
        let _ = stopped.await;
    });
    let running = pipelines::run_until(Caches::new(client), config, stopped);
    (tokio::spawn(running), stop)
}

impl Home {
    async fn start(sink: Option<&Sink>) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let api = TestApi::start().await;
        api.define(&crds::tekton_definitions()).await;
        let client = api.client();
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": SYSTEM}})).unwrap();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        if let Some(sink) = sink {
            configure(&client, "config-events", "sink", &sink.url).await;
        }
        let (controller, stop) = controller(client.clone());
        let home = Self {
            client,
            controller,
            stop: Some(stop),
            _api: api,
        };
        // From then on it is told.
        if sink.is_some() {
            eventually(|| async { home.record().await }).await.unwrap();
        }
        home
    }

    fn api<K: Object<Scope = NamespaceResourceScope>>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str, spec: Value) {
        let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "spec": spec});
        let object: K = serde_json::from_value(object).unwrap();
        self.api("default")
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// How far the controller says that it has told.
    async fn record(&self) -> Option<BTreeMap<String, String>> {
        let map = self.api::<ConfigMap>(SYSTEM).get_opt("run-events").await.unwrap();
        map?.data.filter(|data| !data.is_empty())
    }

    /// Makes runs until the sink is told of one.
    async fn until_told(&self, sink: &Sink, prefix: &str) {
        let made = AtomicUsize::new(0);
        let told = eventually(|| async {
            let name = format!("{prefix}{}", made.fetch_add(1, Ordering::Relaxed));
            self.fails_at_once(&name).await;
            (!sink.taken.lock().is_empty()).then_some(())
        });
        told.await.unwrap();
    }

    /// A PipelineRun whose task is somebody else's.
    async fn waits(&self, name: &str) {
        let task =
            json!({"name": "a", "taskRef": {"apiVersion": "x.dev/v1", "kind": "Approval", "name": "boss"}});
        let spec =
            json!({"taskRunTemplate": {"serviceAccountName": "me"}, "pipelineSpec": {"tasks": [task]}});
        self.create::<PipelineRun>(name, spec).await;
        self.there::<CustomRun>(&format!("{name}-a")).await;
    }

    /// Says how the task of such a run is.
    async fn says(&self, name: &str, status: &str, reason: &str) {
        let condition = json!({"type": "Succeeded", "status": status, "reason": reason, "lastTransitionTime": "2026-01-01T00:00:00Z"});
        self.patch_status::<CustomRun>(&format!("{name}-a"), json!({"conditions": [condition]}))
            .await;
    }

    async fn fails_at_once(&self, name: &str) {
        self.create::<PipelineRun>(name, json!({"pipelineRef": {"name": "missing"}}))
            .await;
        self.is_over(name).await;
    }

    async fn patch_status<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str, status: Value) {
        let (params, change) = (PatchParams::default(), Patch::Merge(json!({"status": status})));
        self.api::<K>("default")
            .patch_status(name, &params, &change)
            .await
            .unwrap();
    }

    async fn there<K: Object<Scope = NamespaceResourceScope>>(&self, name: &str) -> K {
        let found = eventually(|| async { self.api::<K>("default").get_opt(name).await.unwrap() });
        found.await.unwrap_or_else(|| panic!("{name} did not come"))
    }

    async fn is_over(&self, name: &str) {
        let over = eventually(|| async {
            let run = self.api::<PipelineRun>("default").get(name).await.unwrap();
            run.status.filter(|status| status.is_done()).map(drop)
        });
        over.await.unwrap_or_else(|| panic!("{name} did not end"));
    }

    /// Ends the controller, as a signal does or at once, and starts it anew.
    async fn restart(&mut self, kindly: bool, meanwhile: impl FnOnce()) {
        match self.stop.take().filter(|_| kindly) {
            Some(stop) => {
                let _ = stop.send(());
                tokio::time::timeout(PATIENCE, &mut self.controller)
                    .await
                    .unwrap()
                    .unwrap();
            }
            None => {
                self.controller.abort();
                let _ = (&mut self.controller).await;
            }
        }
        meanwhile();
        let (controller, stop) = controller(self.client.clone());
        (self.controller, self.stop) = (controller, Some(stop));
    }
}

async fn configure(client: &Client, map: &str, key: &str, value: &str) {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map}, "data": {key: value}});
    let params = PatchParams::apply("test").force();
    let name = map["metadata"]["name"].as_str().unwrap();
    maps.patch(name, &params, &Patch::Apply(&map)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_run_is_told_of_from_the_queue_to_its_end() {
    let sink = Sink::start().await;
    let home = Home::start(Some(&sink)).await;
    let step = json!({"name": "s", "image": "i", "command": ["true"], "computeResources": {"requests": {"cpu": "1"}}});
    home.create::<TaskRun>("r", json!({"taskSpec": {"steps": [step]}}))
        .await;
    home.there::<Pod>("r-pod").await;
    sink.when("taskrun", "r", "unknown").await;
    let container = |state: Value| json!([{"name": "step-s", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state}]);
    let running = container(json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}));
    home.patch_status::<Pod>("r-pod", json!({"phase": "Running", "containerStatuses": running}))
        .await;
    sink.when("taskrun", "r", "running").await;
    let ended = container(json!({"terminated": {"exitCode": 0, "reason": "Completed"}}));
    home.patch_status::<Pod>("r-pod", json!({"phase": "Succeeded", "containerStatuses": ended}))
        .await;
    let mut words = sink.when("taskrun", "r", "successful").await;
    words.dedup();
    assert_eq!(words, ["queued", "started", "unknown", "running", "successful"]);
    sink.assert_once();
    let (_, last) = sink.told("taskrun", "r").pop().unwrap();
    assert_eq!(&*last.source, "/apis/tekton.dev/v1/namespaces/default/TaskRun/r");
    assert!(!text(&last, "time").is_empty());
    assert_eq!(last.data_content_type(), Some("application/json"));
    let data: Value = serde_json::from_slice(last.data.as_ref().unwrap()).unwrap();
    let run = &data["taskRun"];
    assert_eq!(run["apiVersion"], "tekton.dev/v1beta1");
    assert_eq!(
        run["spec"]["taskSpec"]["steps"][0]["resources"],
        json!({"requests": {"cpu": "1"}})
    );
    assert_eq!(run["status"]["conditions"][0]["reason"], "Succeeded");
    // Whoever looks at the run sees what was sent.
    let seen = eventually(|| async {
        let all = home
            .api::<Told>("default")
            .list(&ListParams::default())
            .await
            .unwrap();
        let sent = |told: &Told| {
            told.reason.as_deref() == Some("CloudEventSent")
                && told.message.as_deref() == Some("Sent dev.tekton.event.taskrun.successful.v1")
                && told.involved_object.name.as_deref() == Some("r")
        };
        all.items.iter().any(sent).then_some(())
    });
    seen.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_run_that_fails_and_its_custom_run_are_told_of() {
    let sink = Sink::start().await;
    let home = Home::start(Some(&sink)).await;
    home.waits("r").await;
    sink.when("customrun", "r-a", "started").await;
    home.says("r", "Unknown", "Asked").await;
    sink.when("customrun", "r-a", "running").await;
    home.says("r", "Unknown", "AskedAgain").await;
    home.says("r", "False", "Refused").await;
    let words = sink.when("customrun", "r-a", "failed").await;
    assert_eq!(words, ["started", "running", "failed"]);
    let words = sink.when("pipelinerun", "r", "failed").await;
    assert_eq!(words[..3], ["queued", "started", "running"]);
    assert_eq!(words.iter().filter(|word| *word == "failed").count(), 1);
    sink.assert_once();
    let (_, last) = sink.told("pipelinerun", "r").pop().unwrap();
    let data: Value = serde_json::from_slice(last.data.as_ref().unwrap()).unwrap();
    let spec = &data["pipelineRun"]["spec"];
    assert_eq!(spec["serviceAccountName"], "me", "as v1beta1 has it: {spec}");
    let (_, last) = sink.told("customrun", "r-a").pop().unwrap();
    assert_eq!(
        &*last.source,
        "/apis/tekton.dev/v1beta1/namespaces/default/CustomRun/r-a"
    );
    // Custom runs can be left out.
    configure(
        &home.client,
        "feature-flags",
        "send-cloudevents-for-runs",
        "false",
    )
    .await;
    let quiet = eventually(|| async {
        let name = format!("q{}", sink.taken.lock().len());
        home.waits(&name).await;
        home.says(&name, "True", "Fine").await;
        sink.when("pipelinerun", &name, "successful").await;
        sink.words("customrun", &format!("{name}-a"))
            .is_empty()
            .then_some(())
    });
    quiet.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_hangs_holds_up_no_run_and_is_told_later() {
    let sink = Sink::start().await;
    let home = Home::start(Some(&sink)).await;
    sink.answers(Answer::Never);
    let names: Vec<String> = (0..20).map(|n| format!("r{n}")).collect();
    for name in &names {
        home.fails_at_once(name).await;
    }
    assert!(
        names
            .iter()
            .all(|name| sink.words("pipelinerun", name).is_empty())
    );
    sink.answers(Answer::Status(202));
    for name in &names {
        let words = sink.when("pipelinerun", name, "failed").await;
        assert_eq!(words, ["queued", "started", "failed"], "{name}: in their order");
    }
    // What is refused is not tried again, and that is told at the run.
    sink.answers(Answer::Status(400));
    home.fails_at_once("refused").await;
    let seen = eventually(|| async {
        let all = home
            .api::<Told>("default")
            .list(&ListParams::default())
            .await
            .unwrap();
        let failed = |told: &Told| {
            told.reason.as_deref() == Some("CloudEventFailed")
                && told.involved_object.name.as_deref() == Some("refused")
                && told
                    .message
                    .as_deref()
                    .is_some_and(|message| message.contains("400"))
        };
        all.items.iter().any(failed).then_some(())
    });
    seen.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_next_tells_what_was_not_told_and_nothing_twice() {
    let sink = Sink::start().await;
    let mut home = Home::start(Some(&sink)).await;
    home.fails_at_once("told").await;
    sink.when("pipelinerun", "told", "failed").await;
    home.restart(true, || {}).await;
    home.fails_at_once("between").await;
    sink.when("pipelinerun", "between", "failed").await;
    sink.assert_once();
    // Now the sink is away, and the process is killed.
    sink.answers(Answer::Status(503));
    home.fails_at_once("lost").await;
    assert!(sink.words("pipelinerun", "lost").is_empty());
    home.restart(false, || sink.answers(Answer::Status(202))).await;
    let words = sink.when("pipelinerun", "lost", "failed").await;
    assert_eq!(words, ["failed"], "what it has come to");
    assert_eq!(sink.words("pipelinerun", "told"), ["queued", "started", "failed"]);
    let ids = |name| -> Vec<String> {
        sink.told("pipelinerun", name)
            .into_iter()
            .map(|(_, event)| event.id.to_string())
            .collect()
    };
    let run = home.there::<PipelineRun>("lost").await;
    assert_eq!(ids("lost"), [format!("{}-failed", run.uid().unwrap())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_is_told_from_when_it_is_named_and_until_it_is_not() {
    let (sink, another) = (Sink::start().await, Sink::start().await);
    let home = Home::start(None).await;
    home.fails_at_once("before").await;
    configure(
        &home.client,
        "config-defaults",
        "default-cloud-events-sink",
        &sink.url,
    )
    .await;
    home.until_told(&sink, "a").await;
    assert!(sink.words("pipelinerun", "before").is_empty());
    configure(&home.client, "config-events", "sink", &another.url).await;
    home.until_told(&another, "b").await;
    for map in [
        ("config-events", "sink"),
        ("config-defaults", "default-cloud-events-sink"),
    ] {
        configure(&home.client, map.0, map.1, "").await;
    }
    let forgotten = eventually(|| async { home.record().await.is_none().then_some(()) });
    forgotten.await.unwrap();
    let taken = another.taken.lock().len();
    home.fails_at_once("after").await;
    assert_eq!(another.taken.lock().len(), taken);
}
