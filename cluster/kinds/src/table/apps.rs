//! Rows of the workload groups: `apps`, `batch`, `autoscaling`, `policy`.

use super::{ALL, SCALE, namespaced, status};
use crate::kind::Kind;

const APPS_GROUP: &str = "apps";

pub(super) const APPS: &[Kind] = &[
    namespaced(
        APPS_GROUP,
        "v1",
        "ControllerRevision",
        "controllerrevisions",
        "controllerrevision",
    ),
    namespaced(APPS_GROUP, "v1", "DaemonSet", "daemonsets", "daemonset")
        .short(&["ds"])
        .categories(ALL)
        .subresources(&[status(APPS_GROUP, "v1", "DaemonSet")]),
    namespaced(APPS_GROUP, "v1", "Deployment", "deployments", "deployment")
        .short(&["deploy"])
        .categories(ALL)
        .subresources(&[SCALE, status(APPS_GROUP, "v1", "Deployment")]),
    namespaced(APPS_GROUP, "v1", "ReplicaSet", "replicasets", "replicaset")
        .short(&["rs"])
        .categories(ALL)
        .subresources(&[SCALE, status(APPS_GROUP, "v1", "ReplicaSet")]),
    namespaced(APPS_GROUP, "v1", "StatefulSet", "statefulsets", "statefulset")
        .short(&["sts"])
        .categories(ALL)
        .subresources(&[SCALE, status(APPS_GROUP, "v1", "StatefulSet")]),
];

pub(super) const BATCH: &[Kind] = &[
    namespaced("batch", "v1", "CronJob", "cronjobs", "cronjob")
        .short(&["cj"])
        .categories(ALL)
        .subresources(&[status("batch", "v1", "CronJob")]),
    namespaced("batch", "v1", "Job", "jobs", "job")
        .categories(ALL)
        .subresources(&[status("batch", "v1", "Job")]),
];

/// Both versions are one set of objects, stored as `v2`.
pub(super) const AUTOSCALING: &[Kind] = &[
    namespaced(
        "autoscaling",
        "v2",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
    )
    .short(&["hpa"])
    .categories(ALL)
    .subresources(&[status("autoscaling", "v2", "HorizontalPodAutoscaler")]),
    namespaced(
        "autoscaling",
        "v1",
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "horizontalpodautoscaler",
    )
    .short(&["hpa"])
    .categories(ALL)
    .subresources(&[status("autoscaling", "v1", "HorizontalPodAutoscaler")])
    .stored_as("autoscaling", "v2")
    .not_preferred(),
];

pub(super) const POLICY: &[Kind] = &[namespaced(
    "policy",
    "v1",
    "PodDisruptionBudget",
    "poddisruptionbudgets",
    "poddisruptionbudget",
)
.short(&["pdb"])
.subresources(&[status("policy", "v1", "PodDisruptionBudget")])];
