//! Gives back what is archived.
//!
//! ```text
//! GET /.spindrift/v1/namespaces/<namespace>/pipelineruns/<name>     the newest run of this name, as JSON; ?uid=<uid> for a certain one
//! GET /.spindrift/v1/namespaces/<namespace>/taskruns/<name>         likewise
//! GET /.spindrift/v1/namespaces/<namespace>/pods/<name>/log         lines of JSON; ?owner=<uid of the TaskRun> for its pod alone
//! ```
//! Who asks shows a token of a ServiceAccount of the namespace that was made for the audience `spindrift-logs`: whoever
//! may make such a token may act as the account, and may see what runs of the namespace have said.

mod answer;
mod auth;
mod request;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt as _;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use proxy::body::BoxError;
use proxy::{Body, Handler};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::store::{Entry, Kind, Store};
use answer::Refusal;
use request::Ask;

/// Requests that are answered at the same time.
const MOST: usize = 32;
/// Bytes that are read at once.
const PIECE: usize = 32 << 10;
/// Pieces that wait to be sent.
const WAITING: usize = 4;
/// Time that a client may read nothing.
const READER_LIMIT: Duration = Duration::from_secs(30);

/// Answers those who read.
pub(crate) struct Reader {
    client: kube::Client,
    store: Arc<Store>,
    slots: Arc<Semaphore>,
}

impl Reader {
    pub fn new(client: kube::Client, store: Arc<Store>) -> Self {
        Self {
            client,
            store,
            slots: Arc::new(Semaphore::new(MOST)),
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Refusal> {
        let ask = request::read(&request)?;
        let slots = self.slots.clone();
        let slot = slots.try_acquire_owned().map_err(|_| Refusal::Busy)?;
        let (head, _) = request.into_parts();
        auth::check(&self.client, &head.headers, &ask.subject.namespace).await?;
        let since = auth::exists_since(&self.client, &ask.subject.namespace).await?;
        let entries = chosen(&ask, self.store.find(&ask.subject), since);
        if entries.is_empty() {
            return Err(Refusal::Missing(ask.subject.kind.plural(), ask.subject.name));
        }
        let content = match ask.subject.kind {
            Kind::Pod => "application/x-ndjson",
            Kind::PipelineRun | Kind::TaskRun => "application/json",
        };
        Ok(answer::stream(content, self.stream(entries, slot)))
    }

    /// The texts of `entries`, one after the other.
    fn stream(&self, entries: Vec<Entry>, slot: OwnedSemaphorePermit) -> Body {
        let (sender, receiver) = mpsc::channel::<Bytes>(WAITING);
        let (broke, broken) = oneshot::channel();
        let store = self.store.clone();
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            for entry in entries {
                if let Err(error) = send(&store, &entry, &sender, &runtime) {
                    tracing::warn!(name = %entry.subject.name, %error, "An archived piece was not sent");
                    let _ = broke.send(error);
                    return;
                }
            }
        });
        let pieces = futures::stream::unfold(receiver, |mut receiver| async {
            let piece = receiver.recv().await?;
            Some((Ok(Frame::data(piece)), receiver))
        });
        // What did not come in full must not look as if it had.
        let end =
            futures::stream::once(broken).filter_map(|broken| async { broken.ok().map(Err::<_, BoxError>) });
        let frames = pieces.chain(end);
        Body::boxed(StreamBody::new(frames))
    }
}

/// Which of the pieces of a name are meant: all that a pod has said, but one run. The namespace is there `since` then:
/// runs of one that had its name before were others'.
fn chosen(ask: &Ask, mut entries: Vec<Entry>, since: SystemTime) -> Vec<Entry> {
    entries.retain(|entry| entry.written >= since);
    match ask.subject.kind {
        Kind::Pod => {
            let owner = |entry: &Entry| entry.id.split_once('_').map(|(owner, _)| owner.to_owned());
            let wanted = ask.id.clone().or_else(|| entries.last().and_then(owner));
            entries.retain(|entry| owner(entry) == wanted);
            entries
        }
        Kind::PipelineRun | Kind::TaskRun => {
            entries.retain(|entry| ask.id.as_ref().is_none_or(|id| *id == entry.id));
            entries.pop().into_iter().collect()
        }
    }
}

/// Sends a text; one that nobody reads any more is not an error.
fn send(
    store: &Store,
    entry: &Entry,
    sender: &mpsc::Sender<Bytes>,
    runtime: &Handle,
) -> Result<(), BoxError> {
    let mut text = store.read(entry)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut text).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(());
        }
        // Who reads nothing must not keep a place for ever.
        let sent = sender.send(piece.into());
        match runtime.block_on(async { tokio::time::timeout(READER_LIMIT, sent).await }) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()),
            Err(_) => return Err(format!("nobody has read for {READER_LIMIT:?}").into()),
        }
    }
}

impl Handler for Reader {
    async fn handle(self: Arc<Self>, request: Request<Body>, _: SocketAddr) -> Response<Body> {
        match self.answer(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Subject;

    fn ask(kind: Kind, id: Option<&str>) -> Ask {
        Ask {
            subject: Subject {
                kind,
                namespace: "ns".to_owned(),
                name: "n".to_owned(),
            },
            id: id.map(str::to_owned),
        }
    }

    fn ids_since(ask: &Ask, ids: &[&str], since: SystemTime) -> Vec<String> {
        let entries = ids.iter().enumerate().map(|(number, id)| Entry {
            subject: ask.subject.clone(),
            id: (*id).to_owned(),
            size: 1,
            written: SystemTime::UNIX_EPOCH + Duration::from_secs(number as u64),
        });
        chosen(ask, entries.collect(), since)
            .into_iter()
            .map(|entry| entry.id)
            .collect()
    }

    fn ids(ask: &Ask, all: &[&str]) -> Vec<String> {
        ids_since(ask, all, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn runs_of_a_namespace_of_before_are_not_meant() {
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        let runs = ask(Kind::TaskRun, None);
        assert_eq!(ids_since(&runs, &["a"], since), Vec::<String>::new());
        assert_eq!(ids_since(&runs, &["a", "b"], since), ["b"]);
        assert!(ids_since(&ask(Kind::TaskRun, Some("a")), &["a", "b"], since).is_empty());
        assert_eq!(ids_since(&ask(Kind::Pod, None), &["a_1", "a_2"], since), ["a_2"]);
    }

    #[test]
    fn the_newest_run_of_a_name_is_meant_unless_another_is_named() {
        for (kind, id, found, expected) in [
            (Kind::TaskRun, None, &["a", "b"][..], &["b"][..]),
            (Kind::TaskRun, Some("a"), &["a", "b"], &["a"]),
            (Kind::PipelineRun, Some("x"), &["a", "b"], &[]),
            (Kind::PipelineRun, None, &[], &[]),
            (Kind::Pod, None, &["a_1", "b_1", "b_2"], &["b_1", "b_2"]),
            (Kind::Pod, Some("a"), &["a_1", "b_1", "a_2"], &["a_1", "a_2"]),
            (Kind::Pod, Some("c"), &["a_1"], &[]),
        ] {
            assert_eq!(ids(&ask(kind, id), found), expected, "{kind:?} {id:?}");
        }
    }
}
