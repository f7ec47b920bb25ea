//! Brokers, triggers and channels as topics and consumers.
//!
//! A *topic* is a Broker or an InMemoryChannel: events are stored under its UID. A *consumer* is a Trigger or one
//! subscriber of a channel. [`topics`] makes them from API objects and does nothing else; whom to deliver to was
//! resolved by the control plane, and is read from status.

mod access;
mod topics;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use event_filter::Filter;
use event_store::{ConsumerName, Start};

use crate::delivery::Policy;
use crate::identity::{Access, Account};

pub use topics::{Filters, Observed, topics};

/// All that is served, at one moment.
#[derive(Debug, Default)]
pub struct Model {
    /// Whether the types of events that come are made known as EventTypes.
    pub announces: bool,
    topics: HashMap<event_store::Topic, Arc<Topic>>,
    brokers: Names,
    channels: Names,
}

/// Topics by name, and by namespace before that.
type Names = HashMap<String, HashMap<String, Arc<Topic>>>;

/// What events are sent to and stored under.
#[derive(Debug)]
pub struct Topic {
    pub key: event_store::Topic,
    pub kind: TopicKind,
    pub namespace: String,
    pub name: String,
    /// Where its events are kept.
    pub backend: Backend,
    /// Ordered by name, each name once.
    pub consumers: Vec<Arc<Consumer>>,
    /// Who may send to it; `None` while senders have no identities: then nobody is asked for one.
    pub access: Option<Arc<Access>>,
}

/// Which rules a topic follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicKind {
    /// Counts rounds; replies come back to it; an answer that is no event is an error.
    Broker,
    /// Replies go where the subscriber says; an answer that is no event is dropped.
    Channel,
}

/// The stores that there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// The log on this machine.
    Embedded,
    JetStream,
}

/// Who gets the events of a topic.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// Under which the store keeps its place.
    pub name: ConsumerName,
    pub kind: ConsumerKind,
    /// Of the Trigger or Subscription.
    pub namespace: String,
    /// Of the Trigger or Subscription; the UID if that is all that is known.
    pub object: String,
    pub uid: String,
    /// `None` while it is not resolved.
    pub subscriber: Option<Target>,
    pub reply: Reply,
    pub dead_letter_sink: Option<Target>,
    pub policy: Policy,
    /// As whom events are sent; `None` while senders have no identities.
    pub account: Option<Account>,
    /// The attribute whose equal values are delivered in order.
    pub order_by: Option<String>,
    pub filter: Arc<Filter>,
    /// Where it starts if the store does not know it.
    pub start: Start,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConsumerKind {
    Trigger,
    Subscription,
}

/// Where the event goes that a subscriber answers with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Into the topic that the event came from.
    Topic,
    To(Target),
    /// Nobody asked for it.
    Dropped,
}

/// A receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Absolute, as the control plane resolved it.
    pub url: String,
    /// Certificate authorities that are trusted besides the usual ones, PEM.
    pub ca_certs: Option<String>,
    /// OIDC audience; with one, whoever has an account shows a token for it.
    pub audience: Option<String>,
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TopicKind::Broker => "broker",
            TopicKind::Channel => "channel",
        };
        write!(f, "{kind} {}/{}", self.namespace, self.name)
    }
}

impl Model {
    pub(crate) fn new(topics: impl IntoIterator<Item = Topic>) -> Self {
        let mut model = Self::default();
        for topic in topics {
            let topic = Arc::new(topic);
            let names = match topic.kind {
                TopicKind::Broker => &mut model.brokers,
                TopicKind::Channel => &mut model.channels,
            };
            let namespace = names.entry(topic.namespace.clone()).or_default();
            namespace.insert(topic.name.clone(), topic.clone());
            model.topics.insert(topic.key.clone(), topic);
        }
        model
    }

    /// In no order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    pub fn topic(&self, key: &event_store::Topic) -> Option<&Arc<Topic>> {
        self.topics.get(key)
    }

    pub fn broker(&self, namespace: &str, name: &str) -> Option<&Arc<Topic>> {
        self.brokers.get(namespace)?.get(name)
    }

    pub fn channel(&self, namespace: &str, name: &str) -> Option<&Arc<Topic>> {
        self.channels.get(namespace)?.get(name)
    }
}
