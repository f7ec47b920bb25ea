//! How far a gateway is that has just been started: without its routes it would answer 404 to everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What a gateway has to know before requests find their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Routes = 1,
    Services = 2,
    Modes = 4,
    Pods = 8,
}

/// Which of its parts a gateway has read. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    known: Arc<AtomicU8>,
}

impl Progress {
    pub(crate) fn done(&self, part: Part) {
        self.known.fetch_or(part as u8, Ordering::Release);
    }

    /// What is not known yet, in a sentence; `None` if the gateway can do its work.
    pub fn missing(&self) -> Option<String> {
        let known = self.known.load(Ordering::Acquire);
        let missing: Vec<&str> = [
            (Part::Routes, "the routes"),
            (Part::Services, "the Services"),
            (Part::Modes, "the ServerlessServices"),
            (Part::Pods, "the revisions and their pods"),
        ]
        .into_iter()
        .filter(|(part, _)| known & *part as u8 == 0)
        .map(|(_, name)| name)
        .collect();
        (!missing.is_empty()).then(|| format!("not known yet: {}", missing.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_is_ready_when_it_knows_every_part() {
        let progress = Progress::default();
        let shared = progress.clone();
        for part in [Part::Services, Part::Pods, Part::Pods, Part::Modes] {
            shared.done(part);
        }
        assert_eq!(progress.missing().as_deref(), Some("not known yet: the routes"));
        shared.done(Part::Routes);
        assert_eq!(progress.missing(), None);
    }
}
