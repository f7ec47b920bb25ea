//! The command tree.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    broker, build, channel, completion, domain, event, eventtype, pipeline, pipelinerun, platform, revision,
    route, service, source, subscription, task, taskrun, trigger, version,
};

/// Heading of the flags that every command has.
const GLOBAL: &str = "Global options";

/// Manage serverless services.
#[derive(Debug, Parser)]
#[command(
    name = "kn",
    version,
    disable_version_flag = true,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  kn service create web --image localhost:5000/hello\n  kn service update web --traffic web-00001=90 --traffic @latest=10\n  kn service describe web"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug, Default)]
pub struct Global {
    /// kubectl configuration file
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Name of the kubeconfig context to use
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME")]
    pub context: Option<String>,
    /// Name of the kubeconfig cluster to use
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME")]
    pub cluster: Option<String>,
    /// Username to impersonate
    #[arg(long = "as", global = true, help_heading = GLOBAL, value_name = "USER")]
    pub impersonate: Option<String>,
    /// User id to impersonate
    #[arg(long = "as-uid", global = true, help_heading = GLOBAL, value_name = "UID", requires = "impersonate")]
    pub impersonate_uid: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group", global = true, help_heading = GLOBAL, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// Log requests and answers to standard error, without secrets
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub log_http: bool,
    /// Configuration file [default: ~/.config/kn/config.yaml]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say nothing of what is done: only data and errors
    #[arg(short, long, global = true, help_heading = GLOBAL)]
    pub quiet: bool,
}

/// The namespace of a command.
#[derive(Args, Clone, Debug, Default)]
pub struct NamespaceArgs {
    /// Namespace to work in
    #[arg(short, long, value_name = "NAMESPACE", env = "KN_NAMESPACE")]
    pub namespace: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Manage Knative services
    #[command(subcommand, visible_alias = "ksvc", alias = "services")]
    Service(service::Command),
    /// Manage service revisions
    #[command(subcommand, alias = "revisions")]
    Revision(revision::Command),
    /// List and describe service routes
    #[command(subcommand, alias = "routes")]
    Route(route::Command),
    /// Manage domains of your own for services
    #[command(subcommand, alias = "domains")]
    Domain(domain::Command),
    /// Manage brokers of events
    #[command(subcommand, alias = "brokers")]
    Broker(broker::Command),
    /// Manage triggers, which choose what a broker sends where
    #[command(subcommand, alias = "triggers")]
    Trigger(trigger::Command),
    /// Manage sources of events
    #[command(subcommand, alias = "sources")]
    Source(source::Command),
    /// Manage channels of events
    #[command(subcommand, alias = "channels")]
    Channel(channel::Command),
    /// Manage subscriptions to channels
    #[command(subcommand, visible_alias = "sub", alias = "subscriptions")]
    Subscription(subscription::Command),
    /// Manage the types of events that people may subscribe to
    #[command(subcommand, alias = "eventtypes")]
    Eventtype(eventtype::Command),
    /// Build and send events
    #[command(subcommand, alias = "events")]
    Event(event::Command),
    /// See and steer the builds of services
    #[command(subcommand, alias = "builds")]
    Build(build::Command),
    /// Manage tasks: steps that run one after the other in one pod
    #[command(subcommand, alias = "tasks")]
    Task(task::Command),
    /// Manage runs of tasks
    #[command(subcommand, visible_alias = "tr", alias = "taskruns")]
    Taskrun(taskrun::Command),
    /// Manage pipelines of tasks
    #[command(subcommand, alias = "pipelines")]
    Pipeline(pipeline::Command),
    /// Manage runs of pipelines
    #[command(subcommand, visible_alias = "pr", alias = "pipelineruns")]
    Pipelinerun(pipelinerun::Command),
    /// Start the platform on this machine (further arguments go to `spindrift up`)
    #[command(after_help = "Examples:\n  kn up\n  kn up --detach --http-port 8080")]
    Up(platform::Passed),
    /// Stop the platform on this machine
    #[command(after_help = "Examples:\n  kn down")]
    Down(platform::Passed),
    /// Say whether the platform runs on this machine, and where
    #[command(after_help = "Examples:\n  kn status")]
    Status(platform::Passed),
    /// Print a completion script for a shell
    Completion(completion::Completion),
    /// Show the version
    Version(version::Version),
}

impl Command {
    /// The part of the API that the command is about, as messages name it.
    pub fn family(&self) -> &'static str {
        match self {
            Self::Broker(_)
            | Self::Trigger(_)
            | Self::Source(_)
            | Self::Event(_)
            | Self::Channel(_)
            | Self::Subscription(_)
            | Self::Eventtype(_) => "Knative Eventing",
            Self::Build(_) | Self::Task(_) | Self::Taskrun(_) | Self::Pipeline(_) | Self::Pipelinerun(_) => {
                "Tekton Pipelines"
            }
            _ => "Knative Serving",
        }
    }
}
