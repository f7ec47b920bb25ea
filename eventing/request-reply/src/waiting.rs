//! Requests that wait for their answers, in bounds.

use std::collections::HashMap;
use std::sync::Arc;

use event::Event;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::keyring::{Keyring, Ticket};

/// Too many requests wait already.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// All requests that wait.
pub(crate) struct Waiting {
    most: usize,
    most_each: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    all: HashMap<Ticket, Waiter>,
    /// How many wait, by the UID of their RequestReply.
    counts: HashMap<Arc<str>, usize>,
}

struct Waiter {
    of: Arc<str>,
    /// What it was sealed with, which the Secret may not have any more.
    keys: Arc<Keyring>,
    answer: oneshot::Sender<Event>,
}

/// A request that waits. Dropped, it does no more.
pub(crate) struct Place {
    waiting: Arc<Waiting>,
    ticket: Ticket,
    answer: oneshot::Receiver<Event>,
}

impl Waiting {
    /// `most` over all, and `most_each` of one RequestReply, so that one whose answers never come leaves room to others.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_each,
            inner: Mutex::default(),
        })
    }

    /// Lets a request of the RequestReply with UID `of` wait that was sealed with `keys`.
    pub fn enter(self: &Arc<Self>, of: &str, ticket: Ticket, keys: Arc<Keyring>) -> Result<Place, Full> {
        let (sender, answer) = oneshot::channel();
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        let count = inner.counts.get(of).copied().unwrap_or_default();
        if inner.all.len() >= self.most || count >= self.most_each || inner.all.contains_key(&ticket) {
            return Err(Full);
        }
        let of: Arc<str> = match inner.counts.get_key_value(of) {
            Some((known, _)) => known.clone(),
            None => of.into(),
        };
        inner.counts.insert(of.clone(), count + 1);
        inner.all.insert(
            ticket,
            Waiter {
                of,
                keys,
                answer: sender,
            },
        );
        drop(guard);
        Ok(Place {
            waiting: self.clone(),
            ticket,
            answer,
        })
    }

    /// The keys with which the request that waits there was sealed.
    pub fn keys(&self, ticket: &Ticket) -> Option<Arc<Keyring>> {
        let inner = self.inner.lock();
        inner.all.get(ticket).map(|waiter| waiter.keys.clone())
    }

    /// Gives an answer to the request that waits for it; `false` if none does, any more.
    pub fn answer(&self, ticket: &Ticket, event: Event) -> bool {
        let waiter = self.inner.lock().remove(ticket);
        waiter.is_some_and(|waiter| waiter.answer.send(event).is_ok())
    }

    /// Requests that wait now.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.inner.lock().all.len()
    }
}

impl Inner {
    fn remove(&mut self, ticket: &Ticket) -> Option<Waiter> {
        let waiter = self.all.remove(ticket)?;
        if let Some(count) = self.counts.get_mut(&waiter.of) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&waiter.of);
            }
        }
        Some(waiter)
    }
}

impl Place {
    /// Waits for the answer; `None` if none can come any more.
    pub async fn answer(&mut self) -> Option<Event> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.inner.lock().remove(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ticket(n: u8) -> Ticket {
        [n; 12]
    }

    fn enter(waiting: &Arc<Waiting>, of: &str, n: u8) -> Result<Place, Full> {
        waiting.enter(of, ticket(n), Arc::default())
    }

    #[test]
    fn an_answer_reaches_the_request_that_waits_for_it_once() {
        let waiting = Waiting::new(10, 10);
        let (mut a, mut b) = (enter(&waiting, "x", 1).unwrap(), enter(&waiting, "x", 2).unwrap());
        assert!(waiting.answer(&ticket(2), Event::new("2", "/s", "t")));
        assert!(!waiting.answer(&ticket(2), Event::new("2", "/s", "t")));
        assert!(!waiting.answer(&ticket(3), Event::new("3", "/s", "t")));
        assert_eq!(b.answer().now_or_never().flatten().unwrap().id, "2");
        assert!(a.answer().now_or_never().is_none());
        drop(a);
        assert!(!waiting.answer(&ticket(1), Event::new("1", "/s", "t")));
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn a_request_keeps_the_keys_it_was_sealed_with() {
        let waiting = Waiting::new(10, 10);
        let keys = Arc::<Keyring>::default();
        let place = waiting.enter("x", ticket(1), keys.clone()).unwrap();
        assert!(Arc::ptr_eq(&waiting.keys(&ticket(1)).unwrap(), &keys));
        assert!(waiting.keys(&ticket(2)).is_none());
        drop(place);
        assert!(waiting.keys(&ticket(1)).is_none());
    }

    #[test]
    fn those_that_wait_are_bounded_altogether_and_for_each() {
        let waiting = Waiting::new(3, 2);
        let mut places = vec![enter(&waiting, "x", 1).unwrap(), enter(&waiting, "x", 2).unwrap()];
        assert!(enter(&waiting, "x", 3).is_err());
        assert!(enter(&waiting, "y", 1).is_err(), "a ticket is nobody else's");
        places.push(enter(&waiting, "y", 3).unwrap());
        assert!(enter(&waiting, "z", 4).is_err());
        places.remove(0);
        places.push(enter(&waiting, "x", 4).unwrap());
        assert_eq!(waiting.len(), 3);
        places.clear();
        assert!(waiting.inner.lock().counts.is_empty(), "nothing is left behind");
    }
}
