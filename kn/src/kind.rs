//! The kinds that commands read and write, as raw JSON so that fields newer than this program survive an update.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;

/// A kind that has commands of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Service,
    Configuration,
    Revision,
    Route,
    DomainMapping,
    Broker,
    Trigger,
    EventType,
    Channel,
    Subscription,
    PingSource,
    ApiServerSource,
    SinkBinding,
    ContainerSource,
    GitHubSource,
    Task,
    TaskRun,
    Pipeline,
    PipelineRun,
    Repository,
}

impl Kind {
    /// How the kind is reached.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.path();
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
    }

    fn path(self) -> (&'static str, &'static str, &'static str, &'static str) {
        const SERVING: &str = "serving.knative.dev";
        const EVENTING: &str = "eventing.knative.dev";
        const MESSAGING: &str = "messaging.knative.dev";
        const SOURCES: &str = "sources.knative.dev";
        const TEKTON: &str = "tekton.dev";
        match self {
            Self::Service => (SERVING, "v1", "Service", "services"),
            Self::Configuration => (SERVING, "v1", "Configuration", "configurations"),
            Self::Revision => (SERVING, "v1", "Revision", "revisions"),
            Self::Route => (SERVING, "v1", "Route", "routes"),
            Self::DomainMapping => (SERVING, "v1beta1", "DomainMapping", "domainmappings"),
            Self::Broker => (EVENTING, "v1", "Broker", "brokers"),
            Self::Trigger => (EVENTING, "v1", "Trigger", "triggers"),
            Self::EventType => (EVENTING, "v1beta2", "EventType", "eventtypes"),
            Self::Channel => (MESSAGING, "v1", "Channel", "channels"),
            Self::Subscription => (MESSAGING, "v1", "Subscription", "subscriptions"),
            Self::PingSource => (SOURCES, "v1", "PingSource", "pingsources"),
            Self::ApiServerSource => (SOURCES, "v1", "ApiServerSource", "apiserversources"),
            Self::SinkBinding => (SOURCES, "v1", "SinkBinding", "sinkbindings"),
            Self::ContainerSource => (SOURCES, "v1", "ContainerSource", "containersources"),
            Self::GitHubSource => (SOURCES, "v1alpha1", "GitHubSource", "githubsources"),
            Self::Task => (TEKTON, "v1", "Task", "tasks"),
            Self::TaskRun => (TEKTON, "v1", "TaskRun", "taskruns"),
            Self::Pipeline => (TEKTON, "v1", "Pipeline", "pipelines"),
            Self::PipelineRun => (TEKTON, "v1", "PipelineRun", "pipelineruns"),
            Self::Repository => ("spindrift.dev", "v1alpha1", "Repository", "repositories"),
        }
    }

    /// What messages about one object begin with.
    pub fn noun(self) -> &'static str {
        match self {
            Self::DomainMapping => "Domain mapping",
            Self::EventType => "Eventtype",
            Self::PingSource => "Ping source",
            Self::ApiServerSource => "ApiServer source",
            Self::SinkBinding => "Sink binding",
            Self::ContainerSource => "Container source",
            Self::GitHubSource => "GitHub source",
            other => other.path().2,
        }
    }

    /// What an empty list says. Those of tasks and pipelines say what the field's own client does, to the letter.
    pub fn none_found(self) -> String {
        match self {
            Self::Task | Self::TaskRun | Self::Pipeline | Self::PipelineRun => {
                format!("No {}s found", self.path().2)
            }
            _ => format!("No {} found.", self.nouns()),
        }
    }

    /// What there is none of when a list is empty.
    fn nouns(self) -> &'static str {
        match self {
            Self::DomainMapping => "domain mapping",
            Self::SinkBinding => "sink binding",
            Self::PingSource | Self::ApiServerSource | Self::ContainerSource | Self::GitHubSource => {
                self.noun()
            }
            other => other.path().3,
        }
    }

    /// The kind that these words of a command are about, such as `["source", "ping"]`.
    pub fn of_command(words: &[&str]) -> Option<Self> {
        Some(match words {
            ["service" | "services" | "ksvc", ..] => Self::Service,
            ["revision" | "revisions", ..] => Self::Revision,
            ["route" | "routes", ..] => Self::Route,
            ["domain" | "domains", ..] => Self::DomainMapping,
            ["broker" | "brokers", ..] => Self::Broker,
            ["trigger" | "triggers", ..] => Self::Trigger,
            ["eventtype" | "eventtypes", ..] => Self::EventType,
            ["channel" | "channels", ..] => Self::Channel,
            ["subscription" | "subscriptions" | "sub", ..] => Self::Subscription,
            ["source" | "sources", "ping", ..] => Self::PingSource,
            ["source" | "sources", "apiserver", ..] => Self::ApiServerSource,
            ["source" | "sources", "binding", ..] => Self::SinkBinding,
            ["source" | "sources", "container", ..] => Self::ContainerSource,
            ["source" | "sources", "github", ..] => Self::GitHubSource,
            ["task" | "tasks", ..] => Self::Task,
            ["taskrun" | "taskruns" | "tr", ..] => Self::TaskRun,
            ["pipeline" | "pipelines", ..] => Self::Pipeline,
            ["pipelinerun" | "pipelineruns" | "pr", ..] => Self::PipelineRun,
            // Builds are named by their service or by their run; services are what people know.
            ["build" | "builds", ..] => Self::Service,
            _ => return None,
        })
    }
}

impl From<Kind> for ApiResource {
    fn from(kind: Kind) -> Self {
        kind.resource()
    }
}
