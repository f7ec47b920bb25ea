//! All flags that say what a service shall be.

use clap::Args;

use super::metadata::{ServiceMetadataArgs, TemplateMetadataArgs};
use super::pair;
use super::pod::PodArgs;
use super::scale::ScaleArgs;
use crate::config_file::Profile;
use crate::error::CliError;

/// All flags that say what a service shall be.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct ServiceArgs {
    #[command(flatten)]
    pub template: TemplateArgs,
    #[command(flatten)]
    pub metadata: ServiceMetadataArgs,
    #[command(flatten)]
    pub digest: DigestArgs,
}

/// Flags that speak of the template. Giving one makes a new revision even if it repeats what is there: `--image web:latest`
/// means the image which that tag names now.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Revision")]
pub struct TemplateArgs {
    /// Most requests at once in each instance; 0 is no limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub concurrency_limit: Option<i64>,
    /// Seconds that a request may take [default of the platform: 300]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub timeout: Option<i64>,
    /// Name of the new revision; {{.Service}}, {{.Generation}} and {{.Random 5}} are replaced
    #[arg(long, value_name = "NAME")]
    pub revision_name: Option<String>,
    /// Profile of the configuration file (or istio) whose annotations and labels to add; NAME- removes them
    #[arg(long = "profile", value_name = "NAME")]
    pub profile_name: Option<String>,
    /// What that profile holds, and whether to remove it, once it has been read.
    #[arg(skip)]
    pub profile: Option<(Profile, bool)>,
    #[command(flatten)]
    pub pod: PodArgs,
    #[command(flatten)]
    pub scale: ScaleArgs,
    #[command(flatten)]
    pub metadata: TemplateMetadataArgs,
}

/// Whether later revisions keep the image that runs now.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Container and pod")]
pub struct DigestArgs {
    /// Keep running the image that runs now, whatever its tag becomes (the default)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    lock_to_digest: Option<bool>,
    /// Look up the image's tag anew with every new revision
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    no_lock_to_digest: Option<bool>,
}

impl ServiceArgs {
    /// Whether a flag speaks of the template.
    pub fn touches_template(&self) -> bool {
        self.template != TemplateArgs::default()
    }

    /// Whether there is any flag.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl DigestArgs {
    /// What was asked for, if anything was.
    ///
    /// # Errors
    /// Contradicting flags.
    pub fn lock(&self) -> Result<Option<bool>, CliError> {
        pair::choice("lock-to-digest", self.lock_to_digest, self.no_lock_to_digest)
    }
}
