//! The three webhooks: their names, paths and rules.

use reconciler::admission::Webhooks;

/// The webhooks of tasks and pipelines, and the kinds that they default and check.
pub const WEBHOOKS: Webhooks = Webhooks {
    domain: "pipeline.tekton.dev",
    prefix: "/pipelines",
    part: "tekton-pipelines",
    kinds: &[
        (
            crds::tekton::GROUP,
            "v1",
            &["tasks", "taskruns", "pipelines", "pipelineruns"],
        ),
        (
            crds::tekton::GROUP,
            "v1beta1",
            &[
                "tasks",
                "taskruns",
                "pipelines",
                "pipelineruns",
                "stepactions",
                "customruns",
            ],
        ),
        (crds::tekton::GROUP, "v1alpha1", &["stepactions"]),
        (crds::tekton::RESOLUTION_GROUP, "v1beta1", &["resolutionrequests"]),
        (
            crds::tekton::RESOLUTION_GROUP,
            "v1alpha1",
            &["resolutionrequests"],
        ),
    ],
};
