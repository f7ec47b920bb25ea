//! Whose the tokens of a pod are. Pure.

use k8s_openapi::api::core::v1::{Container, Pod};

/// The user whose the tokens are: the one that all containers run as, if the pod says so of each
/// (upstream: `FsUserFrom` in `pkg/volume/util`). Otherwise they stay root's.
pub(super) fn of_tokens(pod: &Pod) -> Option<u32> {
    let spec = pod.spec.as_ref()?;
    let of_pod = spec
        .security_context
        .as_ref()
        .and_then(|security| security.run_as_user);
    let user = |container: &Container| {
        let own = container
            .security_context
            .as_ref()
            .and_then(|security| security.run_as_user);
        own.or(of_pod)
    };
    let mut users = spec
        .init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .map(user);
    let first = users.next()??;
    users
        .all(|user| user == Some(first))
        .then(|| u32::try_from(first).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tokens_are_of_the_user_whom_all_containers_run_as() {
        let as_user = |user: i64| json!({"name": "c", "securityContext": {"runAsUser": user}});
        let plain = json!({"name": "c"});
        for (spec, wanted) in [
            (json!({"containers": [plain]}), None),
            (json!({"containers": [as_user(7)]}), Some(7)),
            (json!({"containers": [as_user(7), as_user(7)]}), Some(7)),
            (json!({"containers": [as_user(7), as_user(8)]}), None),
            (json!({"containers": [as_user(7), plain]}), None),
            (json!({"containers": [plain, as_user(7)]}), None),
            (
                json!({"initContainers": [as_user(8)], "containers": [as_user(7)]}),
                None,
            ),
            (
                json!({"initContainers": [plain], "containers": [as_user(7)]}),
                None,
            ),
            (
                json!({"securityContext": {"runAsUser": 7}, "containers": [plain, plain]}),
                Some(7),
            ),
            (
                json!({"securityContext": {"runAsUser": 7}, "containers": [plain, as_user(8)]}),
                None,
            ),
            (
                json!({"securityContext": {"runAsUser": -1}, "containers": [plain]}),
                None,
            ),
        ] {
            let pod = serde_json::from_value(json!({"spec": spec})).unwrap();
            assert_eq!(of_tokens(&pod), wanted, "{spec}");
        }
    }
}
