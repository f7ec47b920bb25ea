//! Flags of labels and annotations. Which of them speak of the template matters: only those make a revision.

use clap::Args;

/// Labels and annotations that reach the template.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Labels and annotations")]
pub struct TemplateMetadataArgs {
    /// Label of service and revision; KEY- removes it; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Label of the revision only; KEY- removes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub label_revision: Vec<String>,
    /// Annotation of service and revision (autoscaling ones: of the revision only); KEY- removes it; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Annotation of the revision only; KEY- removes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation_revision: Vec<String>,
}

/// What concerns the service alone.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Service")]
pub struct ServiceMetadataArgs {
    /// Label of the service only; KEY- removes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub label_service: Vec<String>,
    /// Annotation of the service only; KEY- removes it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation_service: Vec<String>,
    /// Make the service reachable from inside the cluster only
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub cluster_local: Option<bool>,
    /// Make the service reachable from outside, too (the default)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    pub no_cluster_local: Option<bool>,
}
