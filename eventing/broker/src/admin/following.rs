//! What a tail waits for at the end of a topic, and what it tells meanwhile.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use event_store::Position;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::dispatch::{Heard, Progress, Watcher};

/// How often the end of a topic is looked at for more, if nothing is heard of its events: people watch, not programs.
const PAUSE: Duration = Duration::from_millis(200);
/// How long a tail that has shown all events that are wanted waits for more to become of them.
const LINGER: Duration = Duration::from_secs(1);
/// What was heard and waits for its event to be shown first. What comes then is missed.
const HEARD: usize = 1_024;

/// Follows a topic.
pub(super) struct Following {
    stop: CancellationToken,
    watcher: Watcher,
    /// The first event that is shown: of older ones nothing is told.
    first: Position,
    heard: VecDeque<Heard>,
    /// When it ends, once all events that are wanted are shown.
    end: Option<Instant>,
}

/// What came after a wait.
pub(super) enum After {
    /// Maybe there is more in the topic.
    Look,
    Line(Bytes),
    End,
}

#[derive(Serialize)]
struct Missed {
    missed: u64,
}

impl Following {
    pub(super) fn new(stop: CancellationToken, watcher: Watcher, first: Position) -> Self {
        Self {
            stop,
            watcher,
            first,
            heard: VecDeque::new(),
            end: None,
        }
    }

    /// Takes in what was told meanwhile.
    pub(super) fn hear(&mut self) {
        while self.heard.len() < HEARD
            && let Some(heard) = self.watcher.try_next()
        {
            self.heard.push_back(heard);
        }
    }

    /// The next line about an event before `next`.
    pub(super) fn line(&mut self, next: Position) -> Option<Bytes> {
        loop {
            let told = self.heard.front()?;
            if matches!(told, Heard::Progress(progress) if progress.position >= next) {
                return None;
            }
            let told = self.heard.pop_front()?;
            if let Some(line) = self.written(&told) {
                return Some(line);
            }
        }
    }

    /// Waits at the end of what is stored; with `more` for further events, else only for what becomes of those before.
    pub(super) async fn wait(&mut self, more: bool) -> After {
        // What was heard is of an event that cannot be read, or that nobody wants any more.
        while let Some(told) = self.heard.pop_front() {
            if let (Some(line), true) = (self.written(&told), more) {
                return After::Line(line);
            }
        }
        let now = Instant::now();
        let until = match more {
            true => now + PAUSE,
            false => *self.end.get_or_insert(now + LINGER),
        };
        tokio::select! {
            heard = self.watcher.next() => {
                self.heard.push_back(heard);
                After::Look
            }
            () = tokio::time::sleep_until(until) => if more { After::Look } else { After::End },
            () = self.stop.cancelled() => After::End,
        }
    }

    fn written(&self, heard: &Heard) -> Option<Bytes> {
        let mut line = match heard {
            Heard::Progress(progress) if progress.position < self.first => return None,
            Heard::Progress(progress) => serde_json::to_vec::<Progress>(progress).ok()?,
            Heard::Missed(missed) => serde_json::to_vec(&Missed { missed: *missed }).ok()?,
        };
        line.push(b'\n');
        Some(Bytes::from(line))
    }
}
