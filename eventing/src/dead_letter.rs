//! The dead letter sink of whatever delivers events, and the condition that tells about it.

use crds::duck::DeliverySpec;
use reconciler::Conditions;

use crate::resolver::{ResolveError, Resolved, Resolver};
use crate::tracker::Referrer;

/// The condition.
pub(crate) const DEAD_LETTER_SINK_RESOLVED: &str = "DeadLetterSinkResolved";

/// What became of resolving a dead letter sink.
#[derive(Debug)]
pub(crate) enum DeadLetterSink {
    NotConfigured,
    Resolved(Resolved),
    Failed(ResolveError),
}

impl DeadLetterSink {
    /// Resolves the sink of `delivery`, of an object in `namespace`.
    pub(crate) async fn resolve(
        resolver: &Resolver,
        delivery: Option<&DeliverySpec>,
        namespace: &str,
        referrer: &Referrer,
    ) -> Self {
        let Some(sink) = delivery.and_then(|delivery| delivery.dead_letter_sink.as_ref()) else {
            return Self::NotConfigured;
        };
        match resolver.resolve(sink, namespace, referrer).await {
            Ok(resolved) => Self::Resolved(resolved),
            Err(error) => Self::Failed(error),
        }
    }

    pub(crate) fn mark(&self, conditions: &mut Conditions<'_>) {
        match self {
            Self::NotConfigured => conditions.mark_true_with(
                DEAD_LETTER_SINK_RESOLVED,
                "DeadLetterSinkNotConfigured",
                "No dead letter sink is configured.",
            ),
            Self::Resolved(_) => conditions.mark_true(DEAD_LETTER_SINK_RESOLVED),
            Self::Failed(error) => conditions.mark_false(
                DEAD_LETTER_SINK_RESOLVED,
                "Unable to get the dead letter sink's URI",
                &error.to_string(),
            ),
        }
    }

    /// The sink, if there is one; the three fields of a status follow it.
    pub(crate) fn resolved(&self) -> Option<&Resolved> {
        match self {
            Self::Resolved(resolved) => Some(resolved),
            Self::NotConfigured | Self::Failed(_) => None,
        }
    }

    /// Why there is no sink although one is wanted.
    pub(crate) fn error(&self) -> Option<&ResolveError> {
        match self {
            Self::Failed(error) => Some(error),
            Self::NotConfigured | Self::Resolved(_) => None,
        }
    }
}
