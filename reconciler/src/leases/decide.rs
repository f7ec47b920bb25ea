//! What a candidate does about the lease it sees, and when it looks again.

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
    /// Another holds it, and if nothing is heard of it, not longer than `until`.
    Follow {
        until: Instant,
    },
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Leads,
    /// Another leads; `until` if it is known when its lease ends.
    Follows {
        until: Option<Instant>,
    },
    /// The API did not answer, or with a fault.
    Unknown,
}

/// How long to wait before the next attempt. A leader that could not renew tries again in a fraction of the time, and
/// wakes when it has to step down; a follower wakes when the lease ends.
pub(super) fn pause(
    standing: Standing,
    leads_until: Option<Instant>,
    now: Instant,
    retry: Duration,
) -> Duration {
    let until = |end: Instant| end.saturating_duration_since(now);
    match (standing, leads_until) {
        (Standing::Unknown, Some(end)) => until(end).min(retry / 4),
        (Standing::Follows { until: Some(end) }, _) => until(end).min(retry),
        _ => retry,
    }
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
    let until = since + lifetime;
    if now >= until {
        Action::Write
    } else {
        Action::Follow { until }
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
        for (time, version, wanted, why) in [
            (0, "1", Action::Follow { until: at(4) }, "its own lifetime counts"),
            (3, "1", Action::Follow { until: at(4) }, "from when it was seen"),
            (4, "2", Action::Follow { until: at(8) }, "renewed"),
            (7, "2", Action::Follow { until: at(8) }, "not yet"),
            (8, "2", Action::Write, "it stood still"),
        ] {
            let action = decide("me", Some(&lease("you", version)), &mut seen, at(time), ours);
            assert_eq!(action, wanted, "at {time}: {why}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_attempt_is_when_something_can_have_changed() {
        let now = Instant::now();
        let (retry, at) = (Duration::from_secs(2), |ms| now + Duration::from_millis(ms));
        for (standing, leads_until, millis) in [
            (Standing::Leads, Some(at(4000)), 2000),
            (Standing::Leads, None, 2000),
            (Standing::Unknown, None, 2000),
            (Standing::Unknown, Some(at(4000)), 500),
            (Standing::Unknown, Some(at(100)), 100),
            (Standing::Follows { until: None }, None, 2000),
            (
                Standing::Follows {
                    until: Some(at(5000)),
                },
                None,
                2000,
            ),
            (Standing::Follows { until: Some(at(300)) }, None, 300),
        ] {
            let pause = pause(standing, leads_until, now, retry);
            assert_eq!(
                pause,
                Duration::from_millis(millis),
                "{standing:?}, {leads_until:?}"
            );
        }
    }
}
