//! All routes by host: changed by one writer, read by every request without a lock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use activator::ObjectKey;
use arc_swap::ArcSwap;
use crds::networking::{Ingress, IngressVisibility};
use http::HeaderMap;
use parking_lot::Mutex;

use crate::route::{Backend, Route, compile};

type Hosts = HashMap<Arc<str>, Arc<[Arc<Route>]>>;

/// Creation time, then key: of two ingresses with the same host the older one has it.
type Seniority = (String, ObjectKey);

/// The routes in force.
#[derive(Debug, Default)]
pub(crate) struct Table {
    hosts: ArcSwap<Hosts>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Writer {
    ingresses: HashMap<ObjectKey, Entry>,
    claims: HashMap<Arc<str>, BTreeSet<Seniority>>,
    /// Until everything was listed once nothing is published: each step would copy the whole table.
    published: bool,
}

#[derive(Debug)]
struct Entry {
    seniority: Seniority,
    routes: BTreeMap<Arc<str>, Arc<[Arc<Route>]>>,
    object: Arc<Ingress>,
}

/// An ingress and how it stands in the table.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) object: Arc<Ingress>,
    /// Another ingress has one of its hosts.
    pub(crate) conflict: bool,
    pub(crate) backends: Vec<Backend>,
}

impl Table {
    /// The most specific route of a host, `None` if there is none that the listener may show.
    pub(crate) fn find(
        &self,
        host: &str,
        path: &str,
        headers: &HeaderMap,
        external: bool,
    ) -> Option<Arc<Route>> {
        let hosts = self.hosts.load();
        let visible = |route: &&Arc<Route>| !external || route.visibility == IngressVisibility::ExternalIP;
        hosts
            .get(host)?
            .iter()
            .filter(visible)
            .find(|route| route.matches(path, headers))
            .cloned()
    }

    /// Takes an ingress in; returns the ingresses whose standing may have changed.
    pub(crate) fn apply(&self, key: &ObjectKey, ingress: Ingress) -> BTreeSet<ObjectKey> {
        let mut by_host: BTreeMap<Arc<str>, Vec<Arc<Route>>> = BTreeMap::new();
        for (host, route) in compile(&ingress) {
            by_host.entry(host).or_default().push(route);
        }
        let routes = by_host
            .into_iter()
            .map(|(host, mut routes)| {
                routes.sort_by_key(|route| route.precedence());
                (host, Arc::from(routes))
            })
            .collect();
        let created = ingress
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0.to_string())
            .unwrap_or_default();
        let entry = Entry {
            seniority: (created, key.clone()),
            routes,
            object: Arc::new(ingress),
        };
        self.replace(key, Some(entry))
    }

    /// Takes an ingress out; returns the ingresses whose standing may have changed.
    pub(crate) fn remove(&self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        self.replace(key, None)
    }

    /// Makes everything taken in so far visible, and every later change at once.
    pub(crate) fn publish(&self) {
        let mut writer = self.writer.lock();
        if !std::mem::replace(&mut writer.published, true) {
            let hosts = writer
                .claims
                .keys()
                .filter_map(|host| Some((host.clone(), writer.winner(host)?)))
                .collect();
            self.hosts.store(Arc::new(hosts));
        }
    }

    /// How an ingress stands; `None` if it is not in the table.
    pub(crate) fn standing(&self, key: &ObjectKey) -> Option<Standing> {
        let writer = self.writer.lock();
        let entry = writer.ingresses.get(key)?;
        let conflict = entry.routes.keys().any(|host| {
            writer
                .claims
                .get(host)
                .and_then(BTreeSet::first)
                .is_some_and(|first| *first != entry.seniority)
        });
        let routes = entry.routes.values().flat_map(|routes| routes.iter());
        let backends = routes
            .flat_map(|route| &route.splits)
            .map(|split| split.backend.clone())
            .collect();
        Some(Standing {
            object: entry.object.clone(),
            conflict,
            backends,
        })
    }

    pub(crate) fn hosts(&self) -> usize {
        self.hosts.load().len()
    }

    fn replace(&self, key: &ObjectKey, entry: Option<Entry>) -> BTreeSet<ObjectKey> {
        let mut writer = self.writer.lock();
        let mut touched: BTreeSet<Arc<str>> = BTreeSet::new();
        if let Some(old) = writer.ingresses.remove(key) {
            for host in old.routes.keys() {
                if let Some(claims) = writer.claims.get_mut(host) {
                    claims.remove(&old.seniority);
                }
            }
            touched.extend(old.routes.into_keys());
        }
        if let Some(entry) = entry {
            for host in entry.routes.keys() {
                writer
                    .claims
                    .entry(host.clone())
                    .or_default()
                    .insert(entry.seniority.clone());
                touched.insert(host.clone());
            }
            writer.ingresses.insert(key.clone(), entry);
        }
        let mut affected = BTreeSet::from([key.clone()]);
        let mut hosts = writer.published.then(|| Hosts::clone(&self.hosts.load()));
        for host in touched {
            let claims = writer.claims.get(&host);
            affected.extend(claims.into_iter().flatten().map(|(_, key)| key.clone()));
            if claims.is_some_and(BTreeSet::is_empty) {
                writer.claims.remove(&host);
            }
            match (&mut hosts, writer.winner(&host)) {
                (Some(hosts), Some(routes)) => drop(hosts.insert(host, routes)),
                (Some(hosts), None) => drop(hosts.remove(&host)),
                (None, _) => {}
            }
        }
        if let Some(hosts) = hosts {
            self.hosts.store(Arc::new(hosts));
        }
        affected
    }
}

impl Writer {
    fn winner(&self, host: &Arc<str>) -> Option<Arc<[Arc<Route>]>> {
        let (_, key) = self.claims.get(host)?.first()?;
        self.ingresses.get(key)?.routes.get(host).cloned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ingress(name: &str, created: &str, rules: serde_json::Value) -> (ObjectKey, Ingress) {
        let ingress = serde_json::from_value(json!({
            "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": "n", "creationTimestamp": created},
            "spec": {"rules": rules},
        }));
        (ObjectKey::new("n", name), ingress.unwrap())
    }

    fn rule(host: &str, visibility: &str, paths: &[&str]) -> serde_json::Value {
        json!({"hosts": [host], "visibility": visibility, "http": {"paths": paths.iter().map(|path| json!({
            "path": path, "splits": [{"serviceNamespace": "n", "serviceName": path.trim_matches('/'), "servicePort": 80}],
        })).collect::<Vec<_>>()}})
    }

    fn found(table: &Table, host: &str, path: &str, external: bool) -> Option<String> {
        let route = table.find(host, path, &HeaderMap::new(), external)?;
        match &route.splits[0].backend {
            Backend::Service(key, _) | Backend::Revision(key) => Some(key.name.clone()),
        }
    }

    #[test]
    fn the_longest_prefix_of_a_visible_host_is_found() {
        let table = Table::default();
        let (key, object) = ingress(
            "i",
            "2026-01-01T00:00:00Z",
            json!([
                rule("A.example", "ExternalIP", &["/", "/long", "/lo"]),
                rule("a.n.svc", "ClusterLocal", &["/l"])
            ]),
        );
        table.apply(&key, object);
        assert_eq!(found(&table, "a.example", "/", true), None, "not published yet");
        table.publish();
        assert_eq!(
            found(&table, "a.example", "/longer", true).as_deref(),
            Some("long")
        );
        assert_eq!(found(&table, "a.example", "/lol", false).as_deref(), Some("lo"));
        assert_eq!(found(&table, "a.example", "/x", true).as_deref(), Some(""));
        assert_eq!(found(&table, "a.n.svc", "/l", true), None);
        assert_eq!(found(&table, "a.n.svc", "/l", false).as_deref(), Some("l"));
        assert_eq!(found(&table, "a.n.svc", "/x", false), None);
        assert_eq!(found(&table, "b.example", "/", false), None);
        table.remove(&key);
        assert_eq!((found(&table, "a.example", "/", true), table.hosts()), (None, 0));
    }

    #[test]
    fn the_older_ingress_keeps_a_host_and_the_younger_gets_it_later() {
        let table = Table::default();
        table.publish();
        let (young, object) = ingress(
            "young",
            "2026-01-02T00:00:00Z",
            json!([rule("h", "ExternalIP", &["/y"])]),
        );
        table.apply(&young, object);
        assert!(!table.standing(&young).unwrap().conflict);
        let (old, object) = ingress(
            "old",
            "2026-01-01T00:00:00Z",
            json!([rule("h", "ExternalIP", &["/o"])]),
        );
        let affected = table.apply(&old, object);
        assert_eq!(affected.len(), 2);
        assert!(table.standing(&young).unwrap().conflict && !table.standing(&old).unwrap().conflict);
        assert_eq!(
            (
                found(&table, "h", "/o", true).as_deref(),
                found(&table, "h", "/y", true)
            ),
            (Some("o"), None)
        );
        assert_eq!(table.remove(&old).len(), 2);
        assert!(!table.standing(&young).unwrap().conflict);
        assert_eq!(found(&table, "h", "/y", true).as_deref(), Some("y"));
    }
}
