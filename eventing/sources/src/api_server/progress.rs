//! How far the changes of each watch were passed on, for who takes over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::plan::Scope;
use super::seen::Change;
use crate::record::Record;

/// Name of the ConfigMap.
const NAME: &str = "apiserversource-places";

/// Longest text that is kept for one source; one with more watches begins anew after a restart.
const MAX_TEXT: usize = 16 << 10;

/// A place in the history of the API: all changes up to it were passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// A `resourceVersion`.
    pub version: String,
    /// When it was reached.
    pub time: Timestamp,
}

impl Place {
    pub fn now(version: String) -> Self {
        Self {
            version,
            time: Timestamp::now(),
        }
    }

    fn text(&self) -> String {
        format!("{} {}", self.version, self.time)
    }

    fn read(text: &str) -> Option<Self> {
        let (version, time) = text.split_once(' ')?;
        Some(Self {
            version: version.to_owned(),
            time: time.parse().ok()?,
        })
    }
}

/// The places of the watches of one source, by what they show.
type Places = BTreeMap<String, Place>;

/// The places of all sources by their UIDs; shared by those who serve them.
#[derive(Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<HashMap<String, Places>>>);

impl Progress {
    /// What `record` holds.
    pub fn load(&self, record: &Record) {
        let read = |text: &String| -> Option<Places> {
            let texts: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
            let place = |(scope, text): (String, String)| Some((scope, Place::read(&text)?));
            texts.into_iter().map(place).collect()
        };
        let places = record
            .entries()
            .filter_map(|(uid, text)| Some((uid.clone(), read(text)?)));
        *self.0.lock() = places.collect();
    }

    /// Where to go on with a watch.
    pub fn place(&self, uid: &str, scope: &Scope) -> Option<Place> {
        self.0.lock().get(uid)?.get(&key(scope)).cloned()
    }

    pub fn reached(&self, uid: &str, scope: &Scope, place: Place) {
        let mut all = self.0.lock();
        all.entry(uid.to_owned()).or_default().insert(key(scope), place);
    }

    /// Forgets what the source watches no more.
    pub fn keep(&self, uid: &str, scopes: &HashSet<Scope>) {
        let wanted: HashSet<String> = scopes.iter().map(key).collect();
        if let Some(places) = self.0.lock().get_mut(uid) {
            places.retain(|scope, _| wanted.contains(scope));
        }
    }

    /// Forgets all sources but these.
    pub fn retain(&self, uids: &HashSet<&str>) {
        self.0.lock().retain(|uid, _| uids.contains(uid.as_str()));
    }

    /// Notes all in `record`, which is not stored yet.
    pub fn note(&self, record: &mut Record) {
        let all = self.0.lock();
        record.retain(&all.keys().map(String::as_str).collect());
        for (uid, places) in all.iter() {
            let texts: BTreeMap<&str, String> = places
                .iter()
                .map(|(scope, place)| (scope.as_str(), place.text()))
                .collect();
            match serde_json::to_string(&texts) {
                Ok(text) if text.len() <= MAX_TEXT => record.set(uid, text),
                _ => record.remove(uid),
            }
        }
    }
}

fn key(scope: &Scope) -> String {
    let Scope {
        api_version,
        kind,
        labels,
        namespace,
    } = scope;
    format!(
        "{api_version} {kind} {} {labels}",
        namespace.as_deref().unwrap_or("*")
    )
}

/// A record of where sources are in the namespace of the system.
pub(crate) fn record(client: kube::Client, namespace: &str) -> Record {
    Record::new(client, namespace, NAME)
}

/// Whether this is a change of the record itself. Told and noted, it would change the record again, without end.
pub(crate) fn is_own(change: &Change, system_namespace: &str) -> bool {
    let meta = &change.object.metadata;
    change.plural == "configmaps"
        && meta.name.as_deref() == Some(NAME)
        && meta.namespace.as_deref() == Some(system_namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nonsense_is_passed_over() {
        let place = Place::now("12".to_owned());
        for (text, expected) in [
            (place.text().as_str(), Some(place)),
            ("12", None),
            ("12 yesterday", None),
        ] {
            assert_eq!(Place::read(text), expected, "{text}");
        }
    }
}
