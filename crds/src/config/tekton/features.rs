//! `feature-flags`

use std::str::FromStr;

use crate::config::data::{ConfigError, ensure, read, read_bool, read_text};
use crate::config::{Data, Snapshot};

/// Declares words that a flag may have, the first of which is the default.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$variant_meta])* $variant,)* }

        impl $name {
            /// The word.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(format!("{text:?} is none of {}", [$($text),*].join(", "))),
                }
            }
        }
    };
}

words! {
    /// Fields that runs and tasks may have, each with those before it.
    ApiFields {
        /// Those that stay as they are.
        Stable = "stable",
        /// Those that will hardly change.
        #[default]
        Beta = "beta",
        /// Those that are being tried.
        Alpha = "alpha",
    }
}

words! {
    /// What has to be on the same node.
    Coschedule {
        /// TaskRuns that share a claim.
        #[default]
        Workspaces = "workspaces",
        /// All TaskRuns of a PipelineRun.
        PipelineRuns = "pipelineruns",
        /// The same, with nothing of another one.
        IsolatePipelineRun = "isolate-pipelinerun",
        /// Nothing.
        Disabled = "disabled",
    }
}

words! {
    /// How results leave a pod.
    ResultsFrom {
        /// With the last words of its containers.
        #[default]
        TerminationMessage = "termination-message",
        /// With the logs of a sidecar.
        SidecarLogs = "sidecar-logs",
    }
}

/// Switches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches")]
pub struct Features {
    /// Fields that are allowed.
    pub enable_api_fields: ApiFields,
    /// What has to be on the same node.
    pub coschedule: Coschedule,
    /// Does the first step wait for sidecars?
    pub await_sidecar_readiness: bool,
    /// May there be sidecars that nobody declared?
    pub running_in_environment_with_injected_sidecars: bool,
    /// How results leave a pod.
    pub results_from: ResultsFrom,
    /// Bytes that a result may have, where [`ResultsFrom::SidecarLogs`] are used.
    pub max_result_size: usize,
    /// Do our own containers have a security context?
    pub set_security_context: bool,
    /// Is their root file system read-only?
    pub set_security_context_read_only_root_filesystem: bool,
    /// Do steps go without the credentials of the service account?
    pub disable_creds_init: bool,
    /// Must keys for git come with the hosts they are for?
    pub require_git_ssh_secret_known_hosts: bool,
    /// Does a pod stay when its run is cancelled?
    pub keep_pod_on_cancel: bool,
    /// Are sidecars init containers that keep running?
    pub enable_kubernetes_sidecar: bool,
    /// May conditions be expressions in CEL?
    pub enable_cel_in_when_expression: bool,
    /// May params name the values that they may have?
    pub enable_param_enum: bool,
    /// May steps speak of artifacts?
    pub enable_artifacts: bool,
    /// May a reference's name be an address?
    pub enable_concise_resolver_syntax: bool,
    /// Does a status tell where specs came from?
    pub enable_provenance_in_status: bool,
    /// Is the sink of CloudEvents told of custom runs?
    pub send_cloudevents_for_runs: bool,
    /// Kinds whose specs may not be written into runs: `pipeline`, `pipelinerun`, `taskrun`.
    pub disable_inline_spec: Vec<String>,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            enable_api_fields: ApiFields::Beta,
            coschedule: Coschedule::Workspaces,
            await_sidecar_readiness: true,
            running_in_environment_with_injected_sidecars: true,
            results_from: ResultsFrom::TerminationMessage,
            max_result_size: 4096,
            set_security_context: false,
            set_security_context_read_only_root_filesystem: false,
            disable_creds_init: false,
            require_git_ssh_secret_known_hosts: false,
            keep_pod_on_cancel: false,
            enable_kubernetes_sidecar: false,
            enable_cel_in_when_expression: false,
            enable_param_enum: false,
            enable_artifacts: false,
            enable_concise_resolver_syntax: false,
            enable_provenance_in_status: true,
            send_cloudevents_for_runs: true,
            disable_inline_spec: Vec::new(),
        }
    }
}

impl Features {
    /// Are fields allowed that are being tried?
    pub fn is_alpha(&self) -> bool {
        self.enable_api_fields == ApiFields::Alpha
    }

    /// Bytes that each result may have: there is such a limit where results leave with logs.
    pub fn most_of_a_result(&self) -> Option<usize> {
        (self.results_from == ResultsFrom::SidecarLogs).then_some(self.max_result_size)
    }

    /// May specs not be written into `kind` (`pipeline`, `pipelinerun`, `taskrun`)?
    pub fn is_inline_disabled(&self, kind: &str) -> bool {
        self.disable_inline_spec.iter().any(|disabled| disabled == kind)
    }
}

/// Bytes that an object may have in the API server; a result has to be smaller.
const MAX_RESULT_SIZE: usize = 1_572_864;

impl Snapshot for Features {
    const NAME: &'static str = "feature-flags";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut found = Self::default();
        read(data, "enable-api-fields", &mut found.enable_api_fields)?;
        read(data, "coschedule", &mut found.coschedule)?;
        read(data, "results-from", &mut found.results_from)?;
        read(data, "max-result-size", &mut found.max_result_size)?;
        ensure(
            found.max_result_size < MAX_RESULT_SIZE,
            "max-result-size",
            found.max_result_size,
            format!("must be less than {MAX_RESULT_SIZE}"),
        )?;
        for (key, field) in [
            ("await-sidecar-readiness", &mut found.await_sidecar_readiness),
            (
                "running-in-environment-with-injected-sidecars",
                &mut found.running_in_environment_with_injected_sidecars,
            ),
            ("set-security-context", &mut found.set_security_context),
            (
                "set-security-context-read-only-root-filesystem",
                &mut found.set_security_context_read_only_root_filesystem,
            ),
            ("disable-creds-init", &mut found.disable_creds_init),
            (
                "require-git-ssh-secret-known-hosts",
                &mut found.require_git_ssh_secret_known_hosts,
            ),
            ("keep-pod-on-cancel", &mut found.keep_pod_on_cancel),
            ("enable-kubernetes-sidecar", &mut found.enable_kubernetes_sidecar),
            (
                "enable-cel-in-whenexpression",
                &mut found.enable_cel_in_when_expression,
            ),
            ("enable-param-enum", &mut found.enable_param_enum),
            ("enable-artifacts", &mut found.enable_artifacts),
            (
                "enable-concise-resolver-syntax",
                &mut found.enable_concise_resolver_syntax,
            ),
            (
                "enable-provenance-in-status",
                &mut found.enable_provenance_in_status,
            ),
            ("send-cloudevents-for-runs", &mut found.send_cloudevents_for_runs),
        ] {
            read_bool(data, key, field)?;
        }
        let mut kinds = String::new();
        read_text(data, &["disable-inline-spec"], &mut kinds);
        found.disable_inline_spec = kinds
            .split(',')
            .map(str::trim)
            .filter(|kind| !kind.is_empty())
            .map(str::to_owned)
            .collect();
        Ok(found)
    }
}
