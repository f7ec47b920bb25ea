//! Names of children, finalizers and of the parts of an install.
//!
//! Children are looked up by name when an existing install is taken over, so these rules are exact down to the hash.

use md5::{Digest as _, Md5};

/// Namespace of the platform's own parts.
pub const SYSTEM_NAMESPACE: &str = "knative-serving";
/// Domain of the cluster unless its owner chose another.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// Ingress class of Spindrift's own gateway.
pub const SPINDRIFT_INGRESS_CLASS: &str = "spindrift.ingress.networking.knative.dev";
/// Service in front of the gateway, for everybody.
pub const GATEWAY_SERVICE: &str = "gateway";
/// Service in front of the gateway, for the cluster.
pub const GATEWAY_INTERNAL_SERVICE: &str = "gateway-internal";
/// Service in front of the activators.
pub const ACTIVATOR_SERVICE: &str = "activator-service";
/// Service that receives stats.
pub const AUTOSCALER_SERVICE: &str = "autoscaler";
/// Service in front of the admission webhook.
pub const WEBHOOK_SERVICE: &str = "webhook";
/// Service in front of the controllers.
pub const CONTROLLER_SERVICE: &str = "controller";
/// The sidecar's container name, which no user container may have.
pub const QUEUE_PROXY_CONTAINER: &str = "queue-proxy";
/// Finalizer with which a Route takes its marks off revisions and configurations.
pub const ROUTE_FINALIZER: &str = "routes.serving.knative.dev";
/// Finalizer with which a DomainMapping gives back the domain it claimed.
pub const DOMAIN_MAPPING_FINALIZER: &str = "domainmappings.serving.knative.dev";

/// Namespace of the parts that deal with events.
pub const EVENTING_NAMESPACE: &str = "knative-eventing";
/// Service in front of the brokers and channels.
pub const BROKER_INGRESS_SERVICE: &str = "broker-ingress";
/// Service in front of the receiver of GitHub's webhooks.
pub const GIT_HUB_SOURCE_SERVICE: &str = "github-source";
/// Service in front of the job sinks.
pub const JOB_SINK_SERVICE: &str = "job-sink";
/// Service by which channels take events over TLS, where the path names the channel.
pub const CHANNEL_DISPATCHER_SERVICE: &str = "imc-dispatcher";
/// Secret with the certificate of what takes the events of brokers and channels.
pub const BROKER_INGRESS_TLS: &str = "mt-broker-ingress-server-tls";
/// Secret with the certificate of what takes the events of job sinks.
pub const JOB_SINK_TLS: &str = "job-sink-server-tls";
/// Secret with the certificate of what takes the requests of RequestReplies.
pub const REQUEST_REPLY_TLS: &str = "request-reply-server-tls";
/// Service in front of the RequestReplies.
pub const REQUEST_REPLY_SERVICE: &str = "request-reply";
/// Secret with the keys that requests are recognised by.
pub const REQUEST_REPLY_KEYS: &str = "request-reply-keys";
/// Name of the broker that is made when it is asked for, and that clients take if none is named.
pub const DEFAULT_BROKER: &str = "default";
/// Finalizer with which a Subscription takes itself out of its channel.
pub const SUBSCRIPTION_FINALIZER: &str = "subscriptions.messaging.knative.dev";
/// Finalizer with which a GitHubSource deletes its webhook.
pub const GIT_HUB_SOURCE_FINALIZER: &str = "githubsources.sources.knative.dev";
/// Finalizer with which a SinkBinding lets go of the workloads that it bound.
pub const SINK_BINDING_FINALIZER: &str = "sinkbindings.sources.knative.dev";

/// Longest name that a child may have: that of a DNS label.
const LONGEST: usize = 63;
/// Longest name that other objects may have: that of a DNS subdomain.
const LONGEST_SUBDOMAIN: usize = 253;
/// Characters of an MD5 hash in hexadecimal.
const HASH: usize = 32;
/// What is left for the readable part of a hashed name.
const HEAD: usize = LONGEST - HASH;

/// The name of a child: parent and suffix, with a hash in between when they are longer than 63 characters together.
pub fn child_name(parent: &str, suffix: &str) -> String {
    if parent.len() + suffix.len() <= LONGEST {
        return format!("{parent}{suffix}");
    }
    if suffix.len() < HEAD {
        let head = prefix(parent, HEAD - suffix.len());
        return format!("{head}{}{suffix}", md5_hex(parent));
    }
    // A suffix this long would leave no room for the parent: it is hashed too, and shown as far as there is room.
    let mut name = format!(
        "{}{}",
        prefix(parent, HEAD),
        md5_hex(&format!("{parent}{suffix}"))
    );
    name.push_str(prefix(suffix, LONGEST.saturating_sub(name.len())));
    name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}

/// The Revision of a Configuration's generation, unless the user brings a name.
pub fn revision(configuration: &str, generation: i64) -> String {
    child_name(configuration, &format!("-{generation:05}"))
}

/// The Deployment of a Revision.
pub fn deployment(revision: &str) -> String {
    child_name(revision, "-deployment")
}

/// The private Kubernetes Service of a Revision; the public one has the revision's own name.
pub fn private_service(revision: &str) -> String {
    child_name(revision, "-private")
}

/// The caching Image of a Revision's container.
pub fn image_cache(revision: &str, container: &str) -> String {
    child_name(revision, &format!("-cache-{container}"))
}

/// The KIngress of a Route or DomainMapping.
pub fn ingress(owner: &str) -> String {
    child_name(owner, "")
}

/// The Certificate of a Route's host: the default host's without a tag.
pub fn certificate(route_uid: &str, tag: Option<&str>, cluster_local: bool) -> String {
    let tag = tag
        .filter(|tag| !tag.is_empty())
        .map(|tag| format!("-{}", adler32(tag.as_bytes())));
    let local = if cluster_local { "-local" } else { "" };
    format!("route-{route_uid}{}{local}", tag.unwrap_or_default())
}

/// The Kubernetes Service of a channel.
pub fn channel_service(channel: &str) -> String {
    child_name(channel, "-kn-channel")
}

/// The Channel, and the Subscription, of a Sequence's step, counted from 0.
pub fn sequence_step(sequence: &str, step: usize) -> String {
    child_name(sequence, &format!("-kn-sequence-{step}"))
}

/// The Channel in front of a Parallel's branches.
pub fn parallel_ingress(parallel: &str) -> String {
    child_name(parallel, "-kn-parallel")
}

/// The Channel within a Parallel's branch, and the Subscription to its subscriber.
pub fn parallel_branch(parallel: &str, branch: usize) -> String {
    child_name(parallel, &format!("-kn-parallel-{branch}"))
}

/// The Subscription to the filter of a Parallel's branch.
pub fn parallel_filter(parallel: &str, branch: usize) -> String {
    child_name(parallel, &format!("-kn-parallel-filter-{branch}"))
}

/// The Trigger that brings a RequestReply its answers.
pub fn request_reply_trigger(name: &str) -> String {
    child_name(name, "-kn-request-reply")
}

/// What all ids of a RequestReply's requests end in, so that its trigger gets no answers to others; the last part is the
/// number of the process that the request waits in, of which there is one.
pub fn request_reply_mark(uid: &str) -> String {
    format!(":{}-0", uid.split('-').next().unwrap_or_default())
}

/// The Deployment of a ContainerSource.
pub fn container_source_deployment(source: &str) -> String {
    child_name(source, "-deployment")
}

/// The SinkBinding of a ContainerSource's Deployment.
pub fn container_source_binding(source: &str) -> String {
    child_name(source, "-sinkbinding")
}

/// The ServiceAccount with which an object of this group and kind sends events.
pub fn identity(name: &str, group: &str, kind: &str) -> String {
    child_name(name, &format!("-oidc-{group}-{kind}").to_lowercase())
}

/// The identity of a receiver of events, as tokens name it in `aud`.
pub fn audience(group: &str, kind: &str, namespace: &str, name: &str) -> String {
    format!("{group}/{kind}/{namespace}/{name}").to_lowercase()
}

/// The EventType of events that a broker or channel saw: `et-<name>-<md5 of type, source, namespace and name>`.
pub fn seen_event_type(name: &str, namespace: &str, event_type: &str, source: &str) -> String {
    let hash = md5_hex(&format!("{event_type}{source}{namespace}{name}"));
    format!(
        "et-{}-{hash}",
        prefix(name, LONGEST_SUBDOMAIN - HASH - "et--".len())
    )
}

/// The EventType of events that a source announces: the MD5 of type, source, schema and the source's UID.
pub fn announced_event_type(event_type: &str, source: &str, schema: &str, uid: &str) -> String {
    md5_hex(&format!("{event_type}{source}{schema}{uid}"))
}

/// At most `length` bytes from the start of `text`, never half a character.
fn prefix(text: &str, length: usize) -> &str {
    let end = (0..=length.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

fn md5_hex(text: &str) -> String {
    use std::fmt::Write as _;
    Md5::digest(text.as_bytes())
        .iter()
        .fold(String::with_capacity(HASH), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The Adler-32 checksum (RFC 1950).
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % MODULUS;
        (a, (b + a) % MODULUS)
    });
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn child_names_follow_the_three_rules() {
        let parent = "a".repeat(40);
        let long = "b".repeat(63);
        for (parent, suffix, want) in [
            ("svc", "-00001", "svc-00001".to_owned()),
            ("svc", "", "svc".to_owned()),
            (&long, "", long.clone()),
            (
                &long,
                "-deployment",
                format!("{}{}-deployment", "b".repeat(20), md5_hex(&long)),
            ),
            (
                &parent,
                &"c".repeat(50),
                format!(
                    "{}{}",
                    "a".repeat(31),
                    md5_hex(&format!("{parent}{}", "c".repeat(50)))
                ),
            ),
            (
                "short",
                &format!("{}-{}", "d".repeat(25), "e".repeat(40)),
                format!(
                    "short{}{}",
                    md5_hex(&format!("short{}-{}", "d".repeat(25), "e".repeat(40))),
                    "d".repeat(25)
                ),
            ),
        ] {
            assert_eq!(child_name(parent, suffix), want, "{parent} + {suffix}");
        }
    }

    #[test]
    fn hashes_are_the_published_ones() {
        assert_eq!(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5_hex("abc"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(adler32(b"Wikipedia"), 0x11E6_0398);
    }

    #[test]
    fn children_have_their_names() {
        assert_eq!(revision("svc", 7), "svc-00007");
        assert_eq!(deployment("svc-00007"), "svc-00007-deployment");
        assert_eq!(private_service("svc-00007"), "svc-00007-private");
        assert_eq!(
            image_cache("svc-00007", "user-container"),
            "svc-00007-cache-user-container"
        );
        assert_eq!(certificate("uid", None, false), "route-uid");
        assert_eq!(
            certificate("uid", Some("Wikipedia"), true),
            "route-uid-300286872-local"
        );
    }

    #[test]
    fn children_of_events_have_their_names() {
        assert_eq!(channel_service("orders"), "orders-kn-channel");
        assert_eq!(sequence_step("seq", 0), "seq-kn-sequence-0");
        assert_eq!(parallel_ingress("par"), "par-kn-parallel");
        assert_eq!(parallel_branch("par", 1), "par-kn-parallel-1");
        assert_eq!(parallel_filter("par", 1), "par-kn-parallel-filter-1");
        assert_eq!(request_reply_trigger("rr"), "rr-kn-request-reply");
        assert_eq!(request_reply_mark("0123abcd-4567-89ab"), ":0123abcd-0");
        assert_eq!(
            identity("tick", "sources.knative.dev", "PingSource"),
            "tick-oidc-sources.knative.dev-pingsource"
        );
        assert_eq!(
            audience("eventing.knative.dev", "Broker", "ns", "default"),
            "eventing.knative.dev/broker/ns/default"
        );
    }

    proptest! {
        #[test]
        fn child_names_are_short_and_never_panic(parent in "\\PC{0,90}", suffix in "\\PC{0,90}") {
            prop_assert!(child_name(&parent, &suffix).len() <= LONGEST);
        }
    }
}
