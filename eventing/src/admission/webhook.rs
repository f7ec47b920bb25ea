//! The three webhooks: their names, paths and rules.

use reconciler::admission::Webhooks;

/// The webhooks of the events, and the kinds that they default and check.
pub const WEBHOOKS: Webhooks = Webhooks {
    domain: "eventing.knative.dev",
    prefix: "/eventing",
    part: "knative-eventing",
    kinds: &[
        (crds::eventing::GROUP, "v1", &["brokers", "triggers"]),
        (crds::eventing::GROUP, "v1beta1", &["eventtypes"]),
        (crds::eventing::GROUP, "v1beta2", &["eventtypes"]),
        (crds::eventing::GROUP, "v1beta3", &["eventtypes"]),
        (
            crds::eventing::GROUP,
            "v1alpha1",
            &["eventpolicies", "requestreplies"],
        ),
        (
            crds::messaging::GROUP,
            "v1",
            &["channels", "inmemorychannels", "subscriptions"],
        ),
        (crds::flows::GROUP, "v1", &["sequences", "parallels"]),
        (
            crds::sources::GROUP,
            "v1",
            &[
                "apiserversources",
                "pingsources",
                "containersources",
                "sinkbindings",
            ],
        ),
        (crds::sources::GROUP, "v1beta2", &["pingsources"]),
        (crds::sources::GROUP, "v1alpha1", &["githubsources"]),
        (crds::sinks::GROUP, "v1alpha1", &["jobsinks"]),
    ],
};
