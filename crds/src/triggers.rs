//! `triggers.tekton.dev`: what becomes of webhooks and other events that come over HTTP.
//!
//! All versions of a kind have the same fields.

mod binding;
mod event_listener;
mod interceptor;
pub mod labels;
mod received_event;
mod template;
mod trigger;

pub use binding::{
    BindingParam, ClusterTriggerBinding, TriggerBinding, TriggerBindingSpec, TriggerBindingStatus,
};
pub use event_listener::{
    EventListener, EventListenerConfig, EventListenerSpec, EventListenerStatus, EventListenerTrigger,
    EventListenerTriggerGroup, EventListenerTriggerSelector, KubernetesResource, NamespaceSelector,
    Resources, WithPodTemplate,
};
pub use interceptor::{
    ClientConfig, ClusterInterceptor, ClusterInterceptorSpec, Interceptor, InterceptorSpec,
    InterceptorStatus, ServiceReference,
};
pub use received_event::{
    Content, Decision, Header, Made, Outcome, ReceivedEvent, ReceivedEventSpec, ReceivedEventStatus, State,
};
pub use template::{TemplateParam, TriggerTemplate, TriggerTemplateSpec, TriggerTemplateStatus};
pub use trigger::{
    BindingRef, InterceptorParam, InterceptorRef, ObjectRef, TemplateRef, Trigger, TriggerInterceptor,
    TriggerSpec, TriggerStatus, WebhookHeader, WebhookInterceptor,
};

/// API group of the kinds in this module, but for [`ReceivedEvent`].
pub const GROUP: &str = "triggers.tekton.dev";
/// API group of [`ReceivedEvent`], which is our own.
pub const RECORD_GROUP: &str = "spindrift.dev";
/// Annotation of a listener whose events need not be JSON, with the value `false`.
pub const PAYLOAD_VALIDATION: &str = "tekton.dev/payload-validation";
/// Longest name of a listener: what is made for it has `el-` before.
pub const LONGEST_LISTENER: usize = 60;

/// What the Deployment, the Service and the pods of a listener are called.
pub fn generated_name(listener: &str) -> String {
    format!("el-{listener}")
}
