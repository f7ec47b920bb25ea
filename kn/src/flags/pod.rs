//! Flags that speak of the pod and its first container.

use clap::{Args, ValueEnum};

use super::env::EnvArgs;

/// Flags that speak of the pod and its first container.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Container and pod")]
pub struct PodArgs {
    /// Image to run
    #[arg(long, value_name = "IMAGE", action = clap::ArgAction::Append)]
    pub image: Vec<String>,
    /// When to pull the image: Always, Never or IfNotPresent
    #[arg(long, value_name = "POLICY")]
    pub pull_policy: Option<String>,
    #[command(flatten)]
    pub env: EnvArgs,
    /// All variables of a config-map or secret, cm:NAME or secret:NAME; KIND:NAME- removes them; may be repeated
    #[arg(long, value_name = "KIND:NAME")]
    pub env_from: Vec<String>,
    /// Mount a config-map:NAME, secret:NAME, emptyDir:NAME, pvc:NAME or a volume at a path; PATH- removes it; may be repeated
    #[arg(long, value_name = "PATH=SOURCE")]
    pub mount: Vec<String>,
    /// Volume from config-map:NAME, secret:NAME, emptyDir:NAME or pvc:NAME; NAME- removes it; may be repeated
    #[arg(long, value_name = "NAME=SOURCE")]
    pub volume: Vec<String>,
    /// Word of the command instead of the image's own; may be repeated
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub cmd: Vec<String>,
    /// Argument of the command instead of the image's own; may be repeated
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub arg: Vec<String>,
    /// Port the application listens on, such as 8080, or h2c:8080 for HTTP/2
    #[arg(short, long, value_name = "[NAME:]PORT")]
    pub port: Option<String>,
    /// Resources to reserve, such as cpu=100m,memory=64Mi; NAME- removes one
    #[arg(long, value_name = "NAME=QUANTITY", value_delimiter = ',')]
    pub request: Vec<String>,
    /// Resources not to exceed, such as cpu=1,memory=256Mi; NAME- removes one
    #[arg(long, value_name = "NAME=QUANTITY", value_delimiter = ',')]
    pub limit: Vec<String>,
    /// Service account to run as; an empty name clears it
    #[arg(long, value_name = "NAME")]
    pub service_account: Option<String>,
    /// Secret with the credentials of the registry; an empty name clears it
    #[arg(long, value_name = "NAME")]
    pub pull_secret: Option<String>,
    /// User id to run as
    #[arg(long, value_name = "UID", allow_negative_numbers = true)]
    pub user: Option<i64>,
    /// Security context of the container
    #[arg(
        long,
        value_name = "none|strict",
        ignore_case = true,
        hide_possible_values = true
    )]
    pub security_context: Option<SecurityContext>,
    /// Liveness probe: http:HOST:PORT:PATH, https:HOST:PORT:PATH, exec:COMMAND,ARG or tcp:HOST:PORT
    #[arg(long, value_name = "PROBE")]
    pub probe_liveness: Option<String>,
    /// Options of the liveness probe, such as InitialDelaySeconds=1,PeriodSeconds=5
    #[arg(long, value_name = "NAME=NUMBER,…")]
    pub probe_liveness_opts: Option<String>,
    /// Readiness probe, in the same forms
    #[arg(long, value_name = "PROBE")]
    pub probe_readiness: Option<String>,
    /// Options of the readiness probe
    #[arg(long, value_name = "NAME=NUMBER,…")]
    pub probe_readiness_opts: Option<String>,
    /// File with further containers and their volumes (YAML or JSON); - reads standard input
    #[arg(long, alias = "extra-containers", value_name = "FILE|-")]
    pub containers: Option<String>,
    /// What that file holds, once it has been read.
    #[arg(skip)]
    pub extra: Option<serde_json::Value>,
    /// Label that a node must have; KEY- removes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub node_selector: Vec<String>,
    /// Taint to tolerate, such as Key=gpu,Operator=Equal,Value=yes,Effect=NoSchedule; may be repeated
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub toleration: Vec<String>,
    /// Nodes to run on, such as Type=Required,Key=zone,Operator=In,Values="a b"; Type=Preferred needs a Weight; may be repeated
    #[arg(long, value_name = "NAME=VALUE,…")]
    pub node_affinity: Vec<String>,
}

/// Security contexts that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecurityContext {
    None,
    Strict,
}
