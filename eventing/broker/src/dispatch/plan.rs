//! What one consumer is to do, with the endpoints it needs.

use std::sync::Arc;

use event_store::ConsumerName;
use http::HeaderValue;

use super::step::Stage;
use crate::client::{Client, Endpoint};
use crate::delivery::Path;
use crate::model::{self, Consumer, Target, Topic, TopicKind};

/// Which consumer: it keeps its place under this key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsumerKey {
    pub topic: event_store::Topic,
    pub name: ConsumerName,
}

/// A changed plan takes the place of the old one without a break: deliveries that have begun go on by it from their
/// next attempt on.
#[derive(Debug)]
pub struct Plan {
    pub topic: Arc<Topic>,
    pub consumer: Arc<Consumer>,
    pub path: Path,
    /// Sent as `Kn-Namespace`.
    pub namespace: HeaderValue,
    /// Or why there is nobody to deliver to.
    pub subscriber: Result<Endpoint, String>,
    pub reply: Reply,
    pub dead_letter_sink: Option<Result<Endpoint, String>>,
}

/// Where replies go.
#[derive(Debug)]
pub enum Reply {
    Dropped,
    Topic,
    To(Result<Endpoint, String>),
}

impl Plan {
    /// The URL that events are sent to at a stage.
    pub fn destination(&self, stage: Stage) -> Option<&str> {
        let target = match stage {
            Stage::Subscriber => &self.consumer.subscriber,
            Stage::DeadLetter => &self.consumer.dead_letter_sink,
            Stage::Reply => match &self.consumer.reply {
                model::Reply::To(target) => return Some(&target.url),
                _ => return None,
            },
            Stage::Keep => return None,
        };
        target.as_ref().map(|target| target.url.as_str())
    }

    pub fn new(client: &Client, topic: &Arc<Topic>, consumer: &Arc<Consumer>) -> Self {
        let endpoint = |target: &Target| {
            let made = client.endpoint_as(
                consumer.account.as_ref(),
                &target.url,
                target.ca_certs.as_deref(),
                target.audience.as_deref(),
            );
            made.map_err(|error| error.to_string())
        };
        Self {
            path: match topic.kind {
                TopicKind::Broker => Path::Trigger,
                TopicKind::Channel => Path::Channel,
            },
            namespace: HeaderValue::try_from(&consumer.namespace).unwrap_or(HeaderValue::from_static("")),
            subscriber: match &consumer.subscriber {
                Some(target) => endpoint(target),
                None => Err("the subscriber is not resolved".to_owned()),
            },
            reply: match &consumer.reply {
                model::Reply::Dropped => Reply::Dropped,
                model::Reply::Topic => Reply::Topic,
                model::Reply::To(target) => Reply::To(endpoint(target)),
            },
            dead_letter_sink: consumer.dead_letter_sink.as_ref().map(endpoint),
            topic: topic.clone(),
            consumer: consumer.clone(),
        }
    }
}
