//! Conversion webhooks: objects of custom resources in other versions than the one they are stored in
//! (`k8s.io/apiextensions-apiserver/pkg/apiserver/conversion`).
//!
//! Handlers in process are the same ones that answer webhooks on a cluster, and see the same `ConversionReview`: for their
//! definitions nobody is asked over HTTPS. What is in the wanted version already is shown to no one.

mod review;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use kube::core::conversion::ConversionReview;
use serde_json::Value;
use tracing::warn;

use self::review::Original;
use crate::meta;
use crate::metrics::WebhookMetrics;
use crate::status::StatusError;
use crate::store::Store;
use crate::webhook::{Endpoint, Remote};

/// Time for one call (upstream: 30 s).
const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects of one review.
const MAX_OBJECTS: usize = 100;
/// Bytes of the objects of one review, roughly; a larger object goes alone. An answer may be three times as large.
const MAX_BYTES: usize = 1 << 20;

/// A conversion webhook in process.
#[derive(Clone)]
pub struct Conversion {
    /// Name of the definition whose objects it converts, `plural.group`. It is asked if that says `strategy: Webhook`,
    /// wherever its `clientConfig` points.
    pub definition: String,
    /// The handler.
    pub handler: Arc<dyn ConversionHandler>,
}

/// Answers conversion reviews.
pub trait ConversionHandler: Send + Sync + 'static {
    /// Fills in the response of a review.
    fn convert(&self, review: ConversionReview) -> BoxFuture<'_, ConversionReview>;
}

impl<F, R> ConversionHandler for F
where
    F: Fn(ConversionReview) -> R + Send + Sync + 'static,
    R: Future<Output = ConversionReview> + Send + 'static,
{
    fn convert(&self, review: ConversionReview) -> BoxFuture<'_, ConversionReview> {
        Box::pin(self(review))
    }
}

/// Who converts the objects of one definition. All its versions share one, with its connections.
pub(crate) struct Converter {
    definition: String,
    /// Version of the review that is sent: `v1`, else `v1beta1`.
    review_version: &'static str,
    way: Way,
    metrics: WebhookMetrics,
}

enum Way {
    InProcess(Arc<dyn ConversionHandler>),
    Remote(Box<Remote>),
}

impl fmt::Debug for Converter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converter")
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}

impl Converter {
    /// Prepares the conversion of a definition that asks for one; connects nothing yet.
    pub(crate) fn of(
        definition: &Value,
        own: &[Conversion],
        store: &Store,
        metrics: &WebhookMetrics,
    ) -> Option<Self> {
        let conversion = &definition["spec"]["conversion"];
        if conversion["strategy"] != "Webhook" {
            return None;
        }
        let webhook = &conversion["webhook"];
        let name = meta::name(definition);
        let way = match own.iter().find(|own| own.definition == name) {
            Some(own) => Way::InProcess(own.handler.clone()),
            None => {
                let endpoint = Endpoint::of(&webhook["clientConfig"], TIMEOUT);
                Way::Remote(Box::new(Remote::new(endpoint, store)))
            }
        };
        // The first that both know; definitions that know none of ours were refused.
        let versions = webhook["conversionReviewVersions"].as_array();
        let known = versions
            .into_iter()
            .flatten()
            .find_map(|version| match version.as_str() {
                Some("v1") => Some("v1"),
                Some("v1beta1") => Some("v1beta1"),
                _ => None,
            });
        Some(Self {
            definition: name.to_owned(),
            review_version: known.unwrap_or("v1"),
            way,
            metrics: metrics.clone(),
        })
    }

    /// Brings objects to a version. On failure some of them may be without content.
    ///
    /// # Errors
    /// 500 with what went wrong, in upstream's words.
    pub(crate) async fn convert(&self, desired: &str, objects: &mut [Value]) -> Result<(), StatusError> {
        let mut others: Vec<&mut Value> = objects
            .iter_mut()
            .filter(|object| object["apiVersion"] != *desired && object.is_object())
            .collect();
        while !others.is_empty() {
            let later = others.split_off(batch(&others));
            self.convert_batch(desired, others).await?;
            others = later;
        }
        Ok(())
    }

    async fn convert_batch(&self, desired: &str, mut objects: Vec<&mut Value>) -> Result<(), StatusError> {
        let originals: Vec<Original> = objects.iter().map(|object| Original::of(object)).collect();
        let Some(first) = originals.first() else {
            return Ok(());
        };
        let values = objects.iter_mut().map(|object| object.take()).collect();
        let start = Instant::now();
        let converted = self
            .ask(desired, values)
            .await
            .and_then(|converted| review::checked(&originals, converted, desired));
        let versions = [first.version(), review::version_of(desired)];
        self.metrics
            .converted(&self.definition, versions, converted.is_ok(), start.elapsed());
        let converted = converted.map_err(|why| {
            warn!(definition = self.definition, error = %why, "Objects could not be converted");
            StatusError::internal(format!("conversion webhook for {first} failed: {why}"))
        })?;
        for (object, converted) in objects.into_iter().zip(converted) {
            *object = converted;
        }
        Ok(())
    }

    async fn ask(&self, desired: &str, objects: Vec<Value>) -> Result<Vec<Value>, String> {
        match &self.way {
            Way::InProcess(handler) => {
                let answered = handler
                    .convert(review::question_in_process(desired, objects))
                    .await;
                review::answer_in_process(answered)
            }
            Way::Remote(remote) => {
                let question = review::question(self.review_version, desired, objects);
                let answer = remote.ask(&question).await?;
                review::answer(&question, answer)
            }
        }
    }
}

/// How many of these go into one review; at least one.
fn batch(objects: &[&mut Value]) -> usize {
    let mut bytes = 0;
    let fits = objects.iter().take(MAX_OBJECTS).take_while(|object| {
        bytes += weight(object);
        bytes <= MAX_BYTES
    });
    fits.count().max(1)
}

/// Bytes of a value as JSON, roughly.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 3,
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 2,
        Value::Object(map) => {
            map.iter()
                .map(|(key, value)| key.len() + 4 + weight(value))
                .sum::<usize>()
                + 2
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reviews_are_bounded_by_number_and_size() {
        let fitting = |objects: &mut [Value]| batch(&objects.iter_mut().collect::<Vec<_>>());
        assert_eq!(fitting(&mut vec![json!({}); 250]), MAX_OBJECTS);
        let large = json!({"text": "x".repeat(400 << 10)});
        assert_eq!(fitting(&mut [large.clone(), large.clone(), large]), 2);
        let huge = json!({"text": "x".repeat(MAX_BYTES + 1)});
        assert_eq!(fitting(&mut [huge, json!({})]), 1);
    }
}
