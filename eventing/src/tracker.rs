//! Follows objects of any kind that others refer to, and wakes who refers to them.
//!
//! A kind is watched from the first reference to it on; of its objects only what references read is kept. A wake-up
//! is good for one time: whoever is woken looks again, and by looking asks for the next one, so nobody is woken for
//! what they no longer refer to. The number of kinds is bounded; a kind that nothing refers to any more makes room.

mod error;
mod follow;
mod referrers;
mod tracked;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use kube::api::GroupVersionKind;
use kube::core::ApiResource;
use parking_lot::Mutex;
use prometheus::IntGauge;
use reconciler::Key;

pub(crate) use error::TrackError;
pub(crate) use referrers::Referrer;
pub(crate) use tracked::{Tracked, Workload};

use follow::Following;
use referrers::Referrers;

/// Kinds that are followed at the same time; an install has a few dozen kinds that are addressable at all.
const MAX_KINDS: usize = 64;
/// A first list that takes longer is a fault.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// How near [`MAX_KINDS`] is.
static KINDS: LazyLock<IntGauge> = LazyLock::new(|| {
    let help = "Kinds that are watched because destinations refer to objects of them; at most 64.";
    reconciler::registered(IntGauge::new("kn_eventing_followed_kinds", help))
});

/// A kind of any group.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Kind {
    pub api_version: String,
    pub kind: String,
}

impl Kind {
    pub(crate) fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self {
            api_version: api_version.into(),
            kind: kind.into(),
        }
    }

    /// Group and version; the group is empty for core kinds.
    pub(crate) fn group_version(&self) -> (&str, &str) {
        self.api_version
            .split_once('/')
            .unwrap_or(("", &self.api_version))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.api_version, self.kind)
    }
}

/// One object of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub kind: Kind,
    pub key: Key,
}

impl Target {
    /// All objects of a kind in a namespace, present and future.
    fn all(kind: &Kind, namespace: &str) -> Self {
        Self {
            kind: kind.clone(),
            key: Key::new(namespace, ""),
        }
    }
}

/// Follows what others refer to. Cheap to clone; the watches end with the last clone.
#[derive(Clone)]
pub(crate) struct Tracker {
    client: kube::Client,
    kinds: Arc<Mutex<HashMap<Kind, Arc<Following>>>>,
    referrers: Arc<Mutex<Referrers>>,
}

impl Tracker {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self {
            client,
            kinds: Arc::default(),
            referrers: Arc::default(),
        }
    }

    /// Forgets what `referrer` referred to so far: the first step of each look at it, and the last one if it is gone.
    pub(crate) fn forget(&self, referrer: &Referrer) {
        self.referrers.lock().forget(referrer);
    }

    /// The object as it is, if it is there. From now on `referrer` is woken when it appears, changes or goes.
    ///
    /// # Errors
    /// When objects of this kind cannot be followed; nothing will wake the referrer then.
    pub(crate) async fn observe(
        &self,
        target: &Target,
        referrer: &Referrer,
    ) -> Result<Option<Arc<Tracked>>, TrackError> {
        // Before reading, so that no change falls in between.
        self.referrers.lock().add(target, referrer);
        let following = self.following(&target.kind).await?;
        Ok(following.get(&target.key))
    }

    /// The objects of a kind in `namespace`, ordered. From now on `referrer` is woken when one of them appears, changes or
    /// goes.
    ///
    /// # Errors
    /// As [`Tracker::observe`].
    pub(crate) async fn observe_all(
        &self,
        kind: &Kind,
        namespace: &str,
        referrer: &Referrer,
    ) -> Result<Vec<(Key, Arc<Tracked>)>, TrackError> {
        self.referrers.lock().add(&Target::all(kind, namespace), referrer);
        let following = self.following(kind).await?;
        Ok(following.within(namespace))
    }

    /// The objects of a kind in `namespace` that the object with `owner_uid` controls.
    ///
    /// # Errors
    /// As [`Tracker::observe`].
    pub(crate) async fn controlled_by(
        &self,
        kind: &Kind,
        namespace: &str,
        owner_uid: &str,
    ) -> Result<Vec<Key>, TrackError> {
        let following = self.following(kind).await?;
        Ok(following.keys(|key, object| {
            key.namespace == namespace && object.controller.as_deref() == Some(owner_uid)
        }))
    }

    /// How the API server serves a kind.
    ///
    /// # Errors
    /// As [`Tracker::observe`].
    pub(crate) async fn resource(&self, kind: &Kind) -> Result<ApiResource, TrackError> {
        Ok(self.following(kind).await?.resource().clone())
    }

    /// The API version of a kind that the API server prefers within a group.
    ///
    /// # Errors
    /// As [`Tracker::observe`].
    pub(crate) async fn preferred(&self, group: &str, kind: &str) -> Result<String, TrackError> {
        let wanted = Kind::new(group, kind);
        let found = kube::discovery::group(&self.client, group)
            .await
            .map_err(|error| TrackError::discovery(&wanted, error))?;
        let (resource, _) = found
            .recommended_kind(kind)
            .ok_or(TrackError::NoSuchKind(wanted))?;
        Ok(resource.api_version)
    }

    async fn following(&self, kind: &Kind) -> Result<Arc<Following>, TrackError> {
        let known = self.kinds.lock().get(kind).cloned();
        let following = match known {
            Some(following) => following,
            None => self.start(kind).await?,
        };
        tokio::time::timeout(FIRST_LIST, following.synced())
            .await
            .map_err(|_| TrackError::Slow(kind.clone()))?;
        Ok(following)
    }

    async fn start(&self, kind: &Kind) -> Result<Arc<Following>, TrackError> {
        let (group, version) = kind.group_version();
        let gvk = GroupVersionKind::gvk(group, version, &kind.kind);
        let (resource, _) = kube::discovery::pinned_kind(&self.client, &gvk)
            .await
            .map_err(|error| TrackError::discovery(kind, error))?;
        let mut kinds = self.kinds.lock();
        if let Some(started) = kinds.get(kind) {
            return Ok(started.clone());
        }
        if kinds.len() >= MAX_KINDS {
            let referrers = self.referrers.lock();
            kinds.retain(|kind, _| referrers.any_of(kind));
        }
        if kinds.len() >= MAX_KINDS {
            return Err(TrackError::TooMany(kind.clone()));
        }
        let started = Following::start(
            self.client.clone(),
            kind.clone(),
            resource,
            self.referrers.clone(),
        );
        kinds.insert(kind.clone(), started.clone());
        KINDS.set(i64::try_from(kinds.len()).unwrap_or(i64::MAX));
        Ok(started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_told_from_versions() {
        assert_eq!(Kind::new("v1", "Service").group_version(), ("", "v1"));
        assert_eq!(
            Kind::new("serving.knative.dev/v1", "Service").group_version(),
            ("serving.knative.dev", "v1")
        );
    }
}
