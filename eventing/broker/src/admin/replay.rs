//! Sends dead letters again: each to the consumer that could not deliver it, and to no other.

use bytes::Bytes;
use event_store::{Position, Store};
use serde::Serialize;

use super::answer::AdminError;
use super::request::Which;
use crate::dispatch::{DeadLetter, Notice};
use crate::model::Topic;
use crate::record;

/// Dead letters that are read, and stored again, at once.
const BATCH: usize = 64;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Replayed {
    /// Events that are stored once more.
    replayed: usize,
    /// Dead letters whose trigger is gone, that cannot be read, or that are not kept any more.
    skipped: usize,
}

/// Stores the chosen dead letters in the topic again. They stay in the list of dead letters, and come a second time
/// if they fail again.
pub(super) async fn replay(store: &dyn Store, topic: &Topic, which: &Which) -> Result<Replayed, AdminError> {
    let letters = DeadLetter::topic(&topic.key).ok_or(AdminError::NoLetters)?;
    let mut done = Replayed::default();
    match which {
        Which::These(positions) => {
            let mut payloads = Vec::new();
            for position in positions {
                let records = store.read(&letters, *position, 1).await?;
                let found = records.into_iter().find(|record| record.position == *position);
                payloads.push(found.and_then(|record| again(topic, record.payload)));
            }
            append(store, topic, payloads, &mut done).await?;
        }
        Which::All => {
            // What fails again meanwhile comes after this.
            let end = store.status(&letters).await?.next;
            let mut from: Position = 0;
            loop {
                let records = store.read(&letters, from, BATCH).await?;
                let Some(last) = records.last() else { break };
                from = last.position + 1;
                let records = records.into_iter().filter(|record| record.position < end);
                let payloads: Vec<_> = records.map(|record| again(topic, record.payload)).collect();
                if payloads.is_empty() {
                    break;
                }
                append(store, topic, payloads, &mut done).await?;
            }
        }
    }
    Ok(done)
}

async fn append(
    store: &dyn Store,
    topic: &Topic,
    payloads: Vec<Option<Bytes>>,
    done: &mut Replayed,
) -> Result<(), AdminError> {
    let all = payloads.len();
    let payloads: Vec<Bytes> = payloads.into_iter().flatten().collect();
    let good = payloads.len();
    // One by one: together they could be more than an append may have.
    for payload in payloads {
        store.append(&topic.key, vec![payload]).await?;
    }
    done.replayed += good;
    done.skipped += all - good;
    Ok(())
}

fn again(topic: &Topic, stored: Bytes) -> Option<Bytes> {
    let letter = DeadLetter::decode(stored).ok()?;
    let Notice {
        namespace, consumer, ..
    } = &letter.notice;
    let of = |known: &&std::sync::Arc<crate::model::Consumer>| {
        known.namespace == *namespace && known.object == *consumer
    };
    let consumer = topic.consumers.iter().find(of)?;
    record::for_one(&letter.record, &consumer.name)
}
