//! How long a pod may be in what would end its run, if it might pass.

use std::time::Duration;

use crds::config::tekton::Defaults;
use crds::tekton::reasons::task_run as reasons;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::progress::{MayPass, Progress};

/// From the start of the pod on; zero is not at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    image_pull: Duration,
    create_container: Duration,
}

impl Patience {
    pub fn of(defaults: &Defaults) -> Self {
        Self {
            image_pull: defaults.image_pull_backoff_timeout,
            create_container: defaults.create_container_error_timeout,
        }
    }

    /// What is made of the pod's progress, and after how long it has to be looked at again.
    pub fn with(self, progress: Progress, pod: &Pod, now: Timestamp) -> (Progress, Option<Duration>) {
        let Progress::Failed(verdict) = &progress else {
            return (progress, None);
        };
        let (limit, reason) = match verdict.may_pass {
            Some(MayPass::ImagePull) => (self.image_pull, reasons::PULL_IMAGE_FAILED),
            Some(MayPass::CreateContainer) => (self.create_container, reasons::PENDING),
            None => return (progress, None),
        };
        match left(pod, limit, now) {
            Some(left) => {
                let message = verdict.message.clone();
                (Progress::Unknown { reason, message }, Some(left))
            }
            None => (progress, None),
        }
    }
}

fn left(pod: &Pod, limit: Duration, now: Timestamp) -> Option<Duration> {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    let started = started.or(pod.metadata.creation_timestamp.as_ref())?.0;
    let end = started
        .checked_add(SignedDuration::try_from(limit).ok()?)
        .unwrap_or(Timestamp::MAX);
    Duration::try_from(end.duration_since(now))
        .ok()
        .filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::progress::progress;
    use super::*;

    fn pod(reason: &str, message: &str) -> Pod {
        let state = json!({"waiting": {"reason": reason, "message": message}});
        serde_json::from_value(json!({
            "spec": {"containers": [{"name": "step-a"}]},
            "status": {"phase": "Pending", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [
                {"name": "step-a", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state},
            ]},
        }))
        .unwrap()
    }

    #[test]
    fn what_may_pass_is_borne_as_long_as_is_set() {
        let (pull, create) = (reasons::TASK_RUN_IMAGE_PULL_FAILED, reasons::POD_CREATION_FAILED);
        let late = "context deadline exceeded";
        for (reason, message, minutes, seconds, expected) in [
            ("ImagePullBackOff", "", (0, 0), 0, Err(pull)),
            (
                "ImagePullBackOff",
                "",
                (1, 0),
                59,
                Ok((reasons::PULL_IMAGE_FAILED, 1)),
            ),
            ("ImagePullBackOff", "", (1, 9), 60, Err(pull)),
            ("InvalidImageName", "", (1, 1), 0, Err(pull)),
            (
                "CreateContainerError",
                late,
                (0, 1),
                20,
                Ok((reasons::PENDING, 40)),
            ),
            ("CreateContainerError", late, (1, 0), 0, Err(create)),
            ("CreateContainerError", "no such file", (1, 1), 0, Err(create)),
        ] {
            let minute = |count: u64| Duration::from_secs(60 * count);
            let patience = Patience {
                image_pull: minute(minutes.0),
                create_container: minute(minutes.1),
            };
            let now = format!("2026-01-01T00:{:02}:{:02}Z", seconds / 60, seconds % 60);
            let pod = pod(reason, message);
            let found = patience.with(progress(&pod), &pod, now.parse().unwrap());
            match (found, expected) {
                ((Progress::Unknown { reason, .. }, left), Ok((expected, again))) => {
                    assert_eq!((reason, left), (expected, Some(Duration::from_secs(again))));
                }
                ((Progress::Failed(verdict), None), Err(expected)) => assert_eq!(verdict.reason, expected),
                (found, expected) => panic!("{reason} {message:?} {now}: {found:?} is not {expected:?}"),
            }
        }
    }
}
