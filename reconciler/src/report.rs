//! How a reconcile ends: the status is stored if it differs, faults become events.

use std::sync::Arc;

use kube::core::NamespaceResourceScope;

use crate::error::{Class, Error, chain};
use crate::{Applier, Cache, Next, Object, Recorder};

/// Stores the status of `updated` and hands on how applying went. A fault is told as an event, too; a status that
/// could not be stored is told only if nothing else went wrong.
///
/// # Errors
/// That of `applied`, or why the status could not be stored.
pub async fn report<K, T: Into<Next>>(
    events: &Recorder,
    applier: &Applier,
    cache: &Cache<K>,
    live: &Arc<K>,
    updated: K,
    applied: Result<T, Error>,
) -> Result<Next, Error>
where
    K: Object<Scope = NamespaceResourceScope> + PartialEq,
{
    let stored = applier.update_status(cache, live, &updated).await;
    match applied {
        Err(error) => {
            if error.class() == Class::Retry {
                events.warning(live.as_ref(), "InternalError", chain(&error));
            }
            Err(error)
        }
        Ok(next) => stored.map(|_| next.into()),
    }
}
