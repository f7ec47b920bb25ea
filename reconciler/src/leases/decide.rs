//! What a candidate does about the lease it sees.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

/// The holder's last sign of life, and when this process saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    version: Option<String>,
    since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Create,
    Write,
    Follow,
}

pub(super) fn decide(
    identity: &str,
    lease: Option<&Lease>,
    seen: &mut Option<Held>,
    now: Instant,
    ours: Duration,
) -> Action {
    let Some(lease) = lease else { return Action::Create };
    let spec = lease.spec.as_ref();
    let holder = spec
        .and_then(|spec| spec.holder_identity.as_deref())
        .unwrap_or_default();
    if holder.is_empty() || holder == identity {
        return Action::Write;
    }
    let version = lease.metadata.resource_version.clone();
    let since = match seen {
        Some(held) if held.version == version => held.since,
        _ => {
            *seen = Some(Held { version, since: now });
            now
        }
    };
    let seconds = spec
        .and_then(|spec| spec.lease_duration_seconds)
        .and_then(|seconds| u64::try_from(seconds).ok());
    let lifetime = seconds.map_or(ours, Duration::from_secs);
    if now.saturating_duration_since(since) > lifetime {
        Action::Write
    } else {
        Action::Follow
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn lease(holder: &str, version: &str) -> Lease {
        Lease {
            metadata: ObjectMeta {
                resource_version: Some(version.into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                lease_duration_seconds: Some(4),
                ..LeaseSpec::default()
            }),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn free_own_and_missing_leases_are_taken() {
        let (now, ours) = (Instant::now(), Duration::from_secs(4));
        assert_eq!(decide("me", None, &mut None, now, ours), Action::Create);
        assert_eq!(
            decide("me", Some(&lease("", "1")), &mut None, now, ours),
            Action::Write
        );
        assert_eq!(
            decide("me", Some(&lease("me", "1")), &mut None, now, ours),
            Action::Write
        );
        assert_eq!(
            decide("me", Some(&Lease::default()), &mut None, now, ours),
            Action::Write
        );
    }

    #[tokio::test(start_paused = true)]
    async fn foreign_lease_is_taken_only_after_it_stood_still_for_its_lifetime() {
        let (start, ours) = (Instant::now(), Duration::from_secs(60));
        let mut seen = None;
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert_eq!(
            decide("me", Some(&lease("you", "1")), &mut seen, at(0), ours),
            Action::Follow
        );
        assert_eq!(
            decide("me", Some(&lease("you", "1")), &mut seen, at(4), ours),
            Action::Follow
        );
        assert_eq!(
            decide("me", Some(&lease("you", "2")), &mut seen, at(5), ours),
            Action::Follow,
            "renewed"
        );
        assert_eq!(
            decide("me", Some(&lease("you", "2")), &mut seen, at(9), ours),
            Action::Follow
        );
        assert_eq!(
            decide("me", Some(&lease("you", "2")), &mut seen, at(10), ours),
            Action::Write
        );
    }
}
