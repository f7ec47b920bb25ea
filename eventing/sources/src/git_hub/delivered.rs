//! Which deliveries were accepted lately, so that one that GitHub makes again becomes no second event.
//!
//! It is kept in memory: the last [`MOST`] of this process. Another replica, or this one after a restart, does not know
//! them and sends the event again, under the same id and source, by which whoever gets it can tell.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::metrics::REMEMBERED;

/// Deliveries that are remembered, over all sources: some 2 MB.
const MOST: usize = 10_000;

/// UID of the source, and id of the delivery.
type Id = (Arc<str>, Arc<str>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UnderWay,
    Accepted,
}

#[derive(Debug, Default)]
struct Known {
    states: HashMap<Id, State>,
    /// Those that are accepted, oldest first.
    accepted: VecDeque<Id>,
}

#[derive(Debug, Default)]
pub(super) struct Delivered(Mutex<Known>);

/// What is known of a delivery when it comes.
#[derive(Debug)]
pub(super) enum Begun<'a> {
    /// Nothing. It is forgotten again unless [`Turn::accepted`] is called.
    New(Turn<'a>),
    UnderWay,
    Accepted,
}

/// The right to send the event of a delivery.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    all: &'a Delivered,
    id: Id,
}

impl Delivered {
    pub(super) fn begin(&self, source: &str, delivery: &str) -> Begun<'_> {
        let id: Id = (source.into(), delivery.into());
        let mut known = self.0.lock();
        match known.states.get(&id) {
            Some(State::Accepted) => Begun::Accepted,
            Some(State::UnderWay) => Begun::UnderWay,
            None => {
                known.states.insert(id.clone(), State::UnderWay);
                Begun::New(Turn { all: self, id })
            }
        }
    }
}

impl Turn<'_> {
    /// The event is where it belongs.
    pub(super) fn accepted(self) {
        let mut known = self.all.0.lock();
        known.states.insert(self.id.clone(), State::Accepted);
        known.accepted.push_back(self.id.clone());
        while known.accepted.len() > MOST
            && let Some(oldest) = known.accepted.pop_front()
        {
            known.states.remove(&oldest);
        }
        REMEMBERED.set(i64::try_from(known.accepted.len()).unwrap_or(i64::MAX));
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.all.0.lock();
        if known.states.get(&self.id) == Some(&State::UnderWay) {
            known.states.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_accepted_once() {
        let all = Delivered::default();
        let Begun::New(turn) = all.begin("a", "1") else {
            unreachable!()
        };
        assert!(matches!(all.begin("a", "1"), Begun::UnderWay));
        assert!(matches!(all.begin("b", "1"), Begun::New(_)), "of another source");
        drop(turn);
        let Begun::New(turn) = all.begin("a", "1") else {
            unreachable!()
        };
        turn.accepted();
        assert!(matches!(all.begin("a", "1"), Begun::Accepted));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let all = Delivered::default();
        for number in 0..=MOST {
            let Begun::New(turn) = all.begin("a", &number.to_string()) else {
                unreachable!()
            };
            turn.accepted();
        }
        assert!(matches!(all.begin("a", "0"), Begun::New(_)));
        assert!(matches!(all.begin("a", "1"), Begun::Accepted));
        assert_eq!(all.0.lock().states.len(), MOST);
    }
}
