//! How every reconcile ends: the status is stored if it differs, errors become events.

use std::sync::Arc;

use kube::core::NamespaceResourceScope;
use reconciler::error::chain;
use reconciler::{Applier, Cache, Class, Error, Next, Object};

use crate::shared::Shared;

/// Stores the status of `updated` and hands on how applying went. A fault is told as an event, too; a status that
/// could not be stored is told only if nothing else went wrong.
pub(crate) async fn report<K, T: Into<Next>>(
    shared: &Shared,
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
                shared
                    .events
                    .warning(live.as_ref(), "InternalError", chain(&error));
            }
            Err(error)
        }
        Ok(next) => stored.map(|_| next.into()),
    }
}
