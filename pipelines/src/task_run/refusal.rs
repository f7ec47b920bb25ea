//! What it means when the API server does not take a pod.

use std::time::Duration;

use crds::tekton::reasons::task_run as reasons;

/// What becomes of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is one of that name.
    Exists,
    /// Not now: the run waits.
    Later {
        reason: &'static str,
        message: String,
        pause: Duration,
    },
    /// Not ever.
    Never { reason: &'static str, message: String },
    /// A fault that has nothing to do with the pod.
    Fault,
}

/// Judges the answer to the creation of a pod.
pub(super) fn of(error: &kube::Error, pod: &str) -> Refusal {
    let kube::Error::Api(status) = error else {
        return Refusal::Fault;
    };
    let message = &status.message;
    let has = |text: &str| message.to_lowercase().contains(text);
    match status.code {
        409 if status.reason == "AlreadyExists" => Refusal::Exists,
        // Several pods at once were counted against the same quota.
        409 => Refusal::Later {
            reason: reasons::PENDING,
            message: format!("tried to create pod {pod:?}: {message}"),
            pause: Duration::from_secs(1),
        },
        403 if has("exceeded quota") => Refusal::Later {
            reason: reasons::EXCEEDED_RESOURCE_QUOTA,
            message: format!("TaskRun Pod {pod:?} exceeded available resources: {message}"),
            pause: Duration::from_secs(60),
        },
        // The namespace goes away, and the run with it.
        403 if has("because it is being terminated") => Refusal::Fault,
        403 if has("violates podsecurity") || has("security context constraint") => Refusal::Never {
            reason: reasons::POD_ADMISSION_FAILED,
            message: format!("pod {pod:?} was not admitted: {message}"),
        },
        code @ 400..=499 if !matches!(code, 401 | 408 | 429) => Refusal::Never {
            reason: reasons::POD_CREATION_FAILED,
            message: format!("failed to create task run pod {pod:?}: {message}"),
        },
        _ => Refusal::Fault,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let ask = |code: u16, reason: &str, message: &str| {
            let status = Status {
                code,
                reason: reason.into(),
                message: message.into(),
                ..Status::default()
            };
            match of(&kube::Error::Api(status.boxed()), "p") {
                Refusal::Exists => "exists",
                Refusal::Fault => "fault",
                Refusal::Later { reason, .. } | Refusal::Never { reason, .. } => reason,
            }
        };
        for (code, reason, message, expected) in [
            (409, "AlreadyExists", "pods \"p\" already exists", "exists"),
            (
                409,
                "Conflict",
                "Operation cannot be fulfilled on resourcequotas",
                reasons::PENDING,
            ),
            (
                403,
                "Forbidden",
                "pods \"p\" is forbidden: exceeded quota: q",
                reasons::EXCEEDED_RESOURCE_QUOTA,
            ),
            (
                403,
                "Forbidden",
                "violates PodSecurity \"restricted\"",
                reasons::POD_ADMISSION_FAILED,
            ),
            (
                403,
                "Forbidden",
                "in namespace a because it is being terminated",
                "fault",
            ),
            (
                422,
                "Invalid",
                "spec.containers[0].image: Required value",
                reasons::POD_CREATION_FAILED,
            ),
            (
                404,
                "NotFound",
                "serviceaccount \"x\" not found",
                reasons::POD_CREATION_FAILED,
            ),
            (429, "TooManyRequests", "later", "fault"),
            (500, "InternalError", "", "fault"),
        ] {
            assert_eq!(ask(code, reason, message), expected, "{code} {message}");
        }
    }
}
