//! Acknowledgements on their way to the server: reported without waiting, sent by one task.

use std::mem::take;
use std::sync::Arc;

use async_nats::{Client, Subject};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::debug;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is done.
    Done,
    /// It is still being worked on.
    Working,
    /// It is given back.
    Back,
}

/// What is to be sent. No larger than the number of records that are given out.
#[derive(Default)]
pub struct Outbox {
    words: Mutex<Vec<(Subject, Word)>>,
    changed: Notify,
    ended: Mutex<bool>,
}

impl Outbox {
    /// Sends a word about the record whose message has this reply subject.
    pub fn send(&self, reply: Subject, word: Word) {
        let mut words = self.words.lock();
        words.push((reply, word));
        if words.len() == 1 {
            self.changed.notify_one();
        }
    }

    /// Ends [`Outbox::run`] when everything is sent.
    pub fn end(&self) {
        *self.ended.lock() = true;
        self.changed.notify_one();
    }

    /// Sends until the end. A word that is lost with its connection means that the record is given out again.
    pub async fn run(self: Arc<Self>, client: Client) {
        loop {
            let ended = *self.ended.lock();
            let words = take(&mut *self.words.lock());
            if words.is_empty() {
                if ended {
                    break;
                }
                self.changed.notified().await;
                continue;
            }
            for (reply, word) in words {
                let payload = match word {
                    Word::Done => "+ACK",
                    Word::Working => "+WPI",
                    Word::Back => "-NAK",
                };
                if let Err(error) = client
                    .publish(reply, Bytes::from_static(payload.as_bytes()))
                    .await
                {
                    debug!(%error, "Acknowledgement not sent");
                }
            }
        }
        if let Err(error) = client.flush().await {
            debug!(%error, "Acknowledgements not sent");
        }
    }
}
