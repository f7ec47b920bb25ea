//! The compiled form.

use cesql::Expression;
use event::Event;

use crate::attributes::{OfEvent, Test};

/// Which events pass. Shared by any number of threads; asking it copies nothing of the event.
#[derive(Clone, Debug)]
pub struct Filter(Node);

/// One element of a filter.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    /// All of them.
    Attributes(Box<[Test]>),
    Cesql(Box<Expression>),
}

impl Filter {
    /// Lets every event pass.
    pub fn everything() -> Self {
        Self(Node::All(Box::default()))
    }

    /// Lets no event pass: for a filter that could not be compiled.
    pub fn nothing() -> Self {
        Self(Node::Any(Box::default()))
    }

    pub(crate) fn new(node: Node) -> Self {
        Self(node)
    }

    /// Whether `event` passes.
    pub fn matches(&self, event: &Event) -> bool {
        self.0.matches(event)
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::everything()
    }
}

impl Node {
    fn matches(&self, event: &Event) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(event)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(event)),
            Self::Not(node) => !node.matches(event),
            Self::Attributes(tests) => tests.iter().all(|test| test.passes(event)),
            Self::Cesql(expression) => expression.matches(&OfEvent(event)),
        }
    }
}
