//! The status of an ApiServerSource from what was observed.

use crds::annotations::REFUSED;
use crds::duck::CloudEventAttributes;
use crds::sources::{ApiServerSource, ApiServerSourceStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use super::permissions::Permissions;
use crate::identity::{Identity, OIDC_IDENTITY_CREATED};
use crate::sources::sink::{self, SINK_PROVIDED, Sink};

const DEPLOYED: &str = "Deployed";
const SUFFICIENT_PERMISSIONS: &str = "SufficientPermissions";
/// The sender goes on trying while this is the reason. It has the same.
const SENDER_NOT_PERMITTED: &str = "SenderNotPermitted";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    SINK_PROVIDED,
    DEPLOYED,
    SUFFICIENT_PERMISSIONS,
    OIDC_IDENTITY_CREATED,
]);

/// What events name as the API server; the sender has the same.
const SOURCE: &str = "https://kubernetes.default.svc";

/// What one look at a source's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub sink: Sink,
    pub namespaces: Vec<String>,
    pub permissions: Permissions,
    pub identity: Identity,
}

pub(super) fn api_server_status(
    source: &ApiServerSource,
    observed: &Observed,
    now: Timestamp,
) -> ApiServerSourceStatus {
    let mut status = source.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = source.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    sink::fill(&mut status, &observed.sink, events(source), &observed.identity);
    status.namespaces.clone_from(&observed.namespaces);
    let refused = status
        .annotations
        .as_ref()
        .and_then(|all| all.get(REFUSED))
        .cloned();
    let mut conditions = CONDITIONS.manage(&mut status, now);
    match (&observed.permissions, refused) {
        (Permissions::Sufficient, None) => conditions.mark_true(SUFFICIENT_PERMISSIONS),
        (Permissions::Sufficient, Some(refused)) => {
            let message = format!(
                "The sender of events has fewer rights than the source's account: {refused}. A ClusterRole with the label \
                 spindrift.dev/observable: \"true\" adds to its rights."
            );
            conditions.mark_false(SUFFICIENT_PERMISSIONS, SENDER_NOT_PERMITTED, &message);
        }
        (Permissions::Missing(missing), _) => {
            conditions.mark_false(
                SUFFICIENT_PERMISSIONS,
                "NoSufficientPermissions",
                &missing.join("; "),
            );
        }
        (Permissions::Unknown(message), _) => {
            conditions.mark_false(SUFFICIENT_PERMISSIONS, "NoSuchResource", message)
        }
    }
    // One sender serves all sources, and takes up each that has all it needs.
    if observed.sink.is_ok() && observed.permissions == Permissions::Sufficient {
        conditions.mark_true(DEPLOYED);
    } else {
        conditions.mark_unknown(
            DEPLOYED,
            "Waiting",
            "Nothing is watched before the rest is ready.",
        );
    }
    sink::mark(&mut conditions, &observed.sink, &observed.identity);
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

fn events(source: &ApiServerSource) -> Vec<CloudEventAttributes> {
    let class = if source.spec.event_mode == "Resource" {
        "resource"
    } else {
        "ref"
    };
    let attributes = |verb: &str| CloudEventAttributes {
        type_: Some(format!("dev.knative.apiserver.{class}.{verb}")),
        source: Some(SOURCE.to_owned()),
    };
    ["add", "update", "delete"].map(attributes).into()
}

#[cfg(test)]
mod tests {
    use crds::conditions::{ConditionedStatus, READY};
    use serde_json::json;

    use super::*;
    use crate::resolver::Resolved;

    #[test]
    fn what_is_refused_to_the_sender_is_said_when_all_else_is_granted() {
        let source: ApiServerSource = serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "ApiServerSource",
            "metadata": {"name": "watch", "namespace": "ns", "generation": 1}, "spec": {},
            "status": {"annotations": {"sources.spindrift.dev/refused": "things are forbidden"}},
        }))
        .unwrap();
        for (permissions, reason) in [
            (Permissions::Sufficient, "SenderNotPermitted"),
            (
                Permissions::Missing(vec!["a".to_owned()]),
                "NoSufficientPermissions",
            ),
        ] {
            let observed = Observed {
                sink: Ok(Resolved::default()),
                namespaces: Vec::new(),
                permissions,
                identity: Identity::Disabled,
            };
            let status = api_server_status(&source, &observed, Timestamp::UNIX_EPOCH);
            let condition = status.condition(SUFFICIENT_PERMISSIONS).unwrap();
            assert!(condition.is_false());
            assert_eq!(condition.reason.as_deref(), Some(reason));
            let told = condition
                .message
                .as_ref()
                .unwrap()
                .contains(": things are forbidden. ");
            assert_eq!(told, reason == "SenderNotPermitted");
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        let source: ApiServerSource = serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "ApiServerSource",
            "metadata": {"name": "watch", "namespace": "ns", "generation": 1}, "spec": {"mode": "Resource"},
        }))
        .unwrap();
        let missing = Permissions::Missing(vec!["a".to_owned(), "b".to_owned()]);
        let unknown = Permissions::Unknown("v1 X is not served".to_owned());
        for (permissions, reason, message) in [
            (Permissions::Sufficient, None, None),
            (missing, Some("NoSufficientPermissions"), Some("a; b")),
            (unknown, Some("NoSuchResource"), Some("v1 X is not served")),
        ] {
            let url = "http://sink".to_owned();
            let observed = Observed {
                sink: Ok(Resolved {
                    url,
                    ..Resolved::default()
                }),
                namespaces: vec!["ns".to_owned()],
                permissions,
                identity: Identity::Disabled,
            };
            let status = api_server_status(&source, &observed, Timestamp::UNIX_EPOCH);
            let ready = status.condition(READY).unwrap();
            assert_eq!(ready.is_true(), reason.is_none());
            assert_eq!(
                (ready.reason.as_deref(), ready.message.as_deref()),
                (reason, message)
            );
            assert_eq!(status.namespaces, ["ns"]);
            let types: Vec<_> = status
                .ce_attributes
                .iter()
                .filter_map(|event| event.type_.as_deref())
                .collect();
            assert_eq!(
                types,
                ["add", "update", "delete"].map(|verb| format!("dev.knative.apiserver.resource.{verb}"))
            );
        }
    }
}
