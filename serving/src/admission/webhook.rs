//! The three webhooks: their names, paths and rules.

use reconciler::admission::Webhooks;

/// The webhooks of serving, and the kinds that they default and check.
pub const WEBHOOKS: Webhooks = Webhooks {
    domain: "serving.knative.dev",
    prefix: "",
    part: "knative-serving",
    kinds: &[
        (
            crds::serving::GROUP,
            "v1",
            &["services", "configurations", "revisions", "routes"],
        ),
        (crds::serving::GROUP, "v1beta1", &["domainmappings"]),
        (
            crds::autoscaling::GROUP,
            "v1alpha1",
            &["podautoscalers", "metrics"],
        ),
        (
            crds::networking::GROUP,
            "v1alpha1",
            &[
                "ingresses",
                "serverlessservices",
                "certificates",
                "clusterdomainclaims",
            ],
        ),
    ],
};
