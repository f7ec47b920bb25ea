//! Admission: handlers that may change or refuse a write before it is stored.
//!
//! Handlers in process are the same ones that answer webhooks on a cluster, and see the same `AdmissionReview`. They come
//! first; then follow the webhooks of stored configurations, asked over HTTPS.

mod check;
mod matching;
mod review;
mod run;
mod webhook;

use std::sync::Arc;

use futures::future::BoxFuture;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionReview;

pub(crate) use self::check::errors as configuration_errors;
pub(crate) use self::run::Webhooks;

/// What a request does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

/// One admission handler.
#[derive(Clone)]
pub struct Admission {
    /// Name of the webhook that it stands for; refusals mention it.
    pub name: String,
    /// Whether it may change objects. Mutating handlers run before all validating ones.
    pub mutating: bool,
    /// Which requests it sees: those that match any rule.
    pub rules: Vec<Rule>,
    /// Of these, only the ones that this says yes to at the moment; cheaper than a review.
    pub only: Option<Concern>,
    /// The handler.
    pub handler: Arc<dyn AdmissionHandler>,
}

/// Whether a handler wants to see a write; told group, `plural` or `plural/subresource`, and namespace.
pub type Concern = Arc<dyn Fn(&str, &str, &str) -> bool + Send + Sync>;

/// Which requests a handler sees. `*` matches everything, and an empty list nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// `CREATE`, `UPDATE`, `DELETE`.
    pub operations: Vec<String>,
    /// API groups; empty text for the core group.
    pub groups: Vec<String>,
    /// API versions.
    pub versions: Vec<String>,
    /// `services`, `services/status`, `services/*`, `*`, `*/*`, as webhook configurations have them.
    pub resources: Vec<String>,
}

/// Answers admission reviews.
pub trait AdmissionHandler: Send + Sync + 'static {
    /// Fills in the response of a review. Changes are a JSON patch.
    fn admit(&self, review: AdmissionReview<DynamicObject>) -> BoxFuture<'_, AdmissionReview<DynamicObject>>;
}

impl<F, R> AdmissionHandler for F
where
    F: Fn(AdmissionReview<DynamicObject>) -> R + Send + Sync + 'static,
    R: Future<Output = AdmissionReview<DynamicObject>> + Send + 'static,
{
    fn admit(&self, review: AdmissionReview<DynamicObject>) -> BoxFuture<'_, AdmissionReview<DynamicObject>> {
        Box::pin(self(review))
    }
}

impl Rule {
    /// Returns whether a request matches. `resource` is `plural` or `plural/subresource`.
    pub fn matches(&self, operation: &str, group: &str, version: &str, resource: &str) -> bool {
        let any = |list: &[String], value: &str| list.iter().any(|item| item == "*" || item == value);
        any(&self.operations, operation)
            && any(&self.groups, group)
            && any(&self.versions, version)
            && self
                .resources
                .iter()
                .any(|pattern| resource_matches(pattern, resource))
    }
}

fn resource_matches(pattern: &str, resource: &str) -> bool {
    let split = |text: &str| match text.split_once('/') {
        Some((main, sub)) => (main.to_owned(), Some(sub.to_owned())),
        None => (text.to_owned(), None),
    };
    let ((main, sub), (wanted_main, wanted_sub)) = (split(resource), split(pattern));
    (wanted_main == "*" || wanted_main == main)
        && match (wanted_sub.as_deref(), sub.as_deref()) {
            (None, None) | (Some("*"), _) => true,
            (Some(wanted), Some(sub)) => wanted == sub,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_match_as_in_webhook_configurations() {
        let table = [
            ("services", "services", true),
            ("services", "services/status", false),
            ("services/status", "services/status", true),
            ("services/*", "services/status", true),
            ("*", "services", true),
            ("*", "services/status", false),
            ("*/*", "services/status", true),
            ("*/*", "services", true),
            ("*/scale", "services/scale", true),
            ("routes", "services", false),
        ];
        for (pattern, resource, expected) in table {
            assert_eq!(
                resource_matches(pattern, resource),
                expected,
                "{pattern} {resource}"
            );
        }
    }
}
