use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tokio::sync::mpsc;

use std::collections::HashMap;

use parking_lot::Mutex;

use super::*;

struct Script<F>(F, mpsc::UnboundedSender<String>);

impl<F: Fn(&Key, usize) -> Result<Next, Error> + Send + Sync + 'static> Reconcile for Script<F> {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        static CALLS: Mutex<Option<HashMap<Key, usize>>> = Mutex::new(None);
        let call = {
            let mut calls = CALLS.lock();
            let count = calls
                .get_or_insert_with(HashMap::new)
                .entry(key.clone())
                .or_default();
            *count += 1;
            *count
        };
        self.1.send(key.name.clone()).unwrap();
        (self.0)(key, call)
    }
}

fn start<F>(
    reconcile: F,
) -> (
    Queue,
    mpsc::UnboundedReceiver<String>,
    tokio::task::JoinHandle<()>,
)
where
    F: Fn(&Key, usize) -> Result<Next, Error> + Send + Sync + 'static,
{
    let (seen, calls) = mpsc::unbounded_channel();
    let controller = Controller::new("test", Script(reconcile, seen));
    let queue = controller.queue();
    (queue, calls, tokio::spawn(controller.run(Leadership::always())))
}

#[tokio::test(start_paused = true)]
async fn panicking_key_is_retried_and_others_go_on() {
    let (queue, mut calls, task) = start(|key, call| match (key.name.as_str(), call) {
        ("panics", 1..=2) => panic!("crafted object"),
        _ => Ok(Next::OnChange),
    });
    queue.add(Key::new("panic", "panics"));
    queue.add(Key::new("panic", "fine"));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(calls.recv().await.unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["fine", "panics", "panics", "panics"]);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn requested_time_and_errors_decide_about_the_next_call() {
    let (queue, mut calls, task) = start(|key, call| match (key.name.as_str(), call) {
        ("later", 1) => Ok(Next::After(Duration::from_secs(5))),
        ("waits", _) => Err(Error::Wait("something".into())),
        ("ends", _) => Err(Error::Terminal("told".into())),
        ("fails", 1..=3) => Err(Error::fault("broken")),
        _ => Ok(Next::OnChange),
    });
    for name in ["later", "waits", "ends", "fails"] {
        queue.add(Key::new("next", name));
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    while let Ok(Some(name)) = tokio::time::timeout(Duration::from_secs(120), calls.recv()).await {
        *counts.entry(name).or_default() += 1;
    }
    let expected = [("later", 2), ("waits", 1), ("ends", 1), ("fails", 4)];
    assert_eq!(
        counts,
        expected.map(|(name, count)| (name.to_owned(), count)).into()
    );
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn reconcile_that_never_ends_is_given_up() {
    struct Stuck(mpsc::UnboundedSender<()>);
    impl Reconcile for Stuck {
        async fn reconcile(&self, _: &Key) -> Result<Next, Error> {
            self.0.send(()).unwrap();
            std::future::pending().await
        }
    }
    let (seen, mut calls) = mpsc::unbounded_channel();
    let controller = Controller::new("stuck", Stuck(seen));
    controller.queue().add(Key::new("ns", "a"));
    let task = tokio::spawn(controller.run(Leadership::always()));
    calls.recv().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_secs(60), calls.recv())
            .await
            .unwrap()
            .is_some()
    );
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn owner_is_woken_by_its_child() {
    let cache = Cache::<ConfigMap>::empty();
    let (seen, mut calls) = mpsc::unbounded_channel();
    let controller =
        Controller::new("owner", Script(|_: &Key, _| Ok(Next::OnChange), seen)).owns::<ConfigMap, _>(&cache);
    let task = tokio::spawn(controller.run(Leadership::always()));
    let owner = ConfigMap {
        metadata: ObjectMeta {
            name: Some("parent".into()),
            uid: Some("u".into()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    cache.record(ConfigMap {
        metadata: ObjectMeta {
            namespace: Some("ns".into()),
            name: Some("child".into()),
            resource_version: Some("1".into()),
            owner_references: crate::object::controller_reference(&owner).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    });
    assert_eq!(calls.recv().await.unwrap(), "parent");
    task.abort();
}
