//! Order by key: of the events with one key, one is on its way at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The value of the ordering attribute.
pub type Key = Arc<str>;

/// What waits behind each key that is on its way.
#[derive(Debug)]
pub struct Order<T> {
    behind: HashMap<Key, VecDeque<T>>,
    waiting: usize,
}

impl<T> Default for Order<T> {
    fn default() -> Self {
        Self {
            behind: HashMap::new(),
            waiting: 0,
        }
    }
}

impl<T> Order<T> {
    /// Gives `item` back if it may go now; else it waits for its turn.
    pub fn enter(&mut self, key: &Key, item: T) -> Option<T> {
        match self.behind.get_mut(key) {
            Some(behind) => {
                behind.push_back(item);
                self.waiting += 1;
                None
            }
            None => {
                self.behind.insert(key.clone(), VecDeque::new());
                Some(item)
            }
        }
    }

    /// What had this key is settled: the next one, if there is one.
    pub fn leave(&mut self, key: &Key) -> Option<T> {
        let next = self.behind.get_mut(key)?.pop_front();
        match next {
            Some(_) => self.waiting -= 1,
            None => {
                self.behind.remove(key);
            }
        }
        next
    }

    /// Items that wait for their turn.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.behind.values().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_key_goes_at_a_time_and_others_are_free() {
        let (a, b): (Key, Key) = ("a".into(), "b".into());
        let mut order = Order::default();
        assert_eq!(order.enter(&a, 1), Some(1));
        assert_eq!(order.enter(&a, 2), None);
        assert_eq!(order.enter(&b, 3), Some(3));
        assert_eq!(order.enter(&a, 4), None);
        assert_eq!(order.waiting(), 2);
        assert_eq!(order.leave(&b), None);
        assert_eq!(order.leave(&a), Some(2));
        assert_eq!(order.enter(&a, 5), None);
        assert_eq!(
            [order.leave(&a), order.leave(&a), order.leave(&a)],
            [Some(4), Some(5), None]
        );
        assert_eq!(order.waiting(), 0);
        assert!(order.behind.is_empty());
        assert_eq!(order.enter(&a, 6), Some(6));
    }
}
