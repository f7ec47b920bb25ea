//! What the sender reads of an ApiServerSource.

use std::collections::HashSet;

use crds::sources::{ApiServerOwner, ApiServerSource};
use event_filter::Filter;
use informer::Key;
use kube::core::Selector;

use super::access::is_permitted;
use super::seen::Change;
use crate::post::Sink;

/// With more namespaces than this, a kind is watched in all of them by one watch.
const MAX_WATCHES: usize = 16;

/// A source that sends.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub key: Key,
    pub uid: String,
    generation: i64,
    pub sink: Sink,
    /// Whether events carry whole objects.
    pub whole: bool,
    pub extensions: Vec<(String, String)>,
    pub filter: Filter,
    resources: Vec<Resource>,
    /// Namespaces; an empty name is all of them.
    namespaces: Vec<String>,
    owner: Option<ApiServerOwner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Resource {
    api_version: String,
    kind: String,
    labels: String,
}

/// What one watch shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub api_version: String,
    pub kind: String,
    /// A label selector in its text form.
    pub labels: String,
    /// `None`: all.
    pub namespace: Option<String>,
}

/// All that is read follows from these.
impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        (&self.uid, self.generation, &self.sink, &self.namespaces)
            == (&other.uid, other.generation, &other.sink, &other.namespaces)
    }
}

/// Whether the status does not tell of the present spec yet.
pub(crate) fn is_unobserved(source: &ApiServerSource) -> bool {
    let observed = source
        .status
        .as_ref()
        .and_then(|status| status.observed_generation);
    source.metadata.deletion_timestamp.is_none() && observed != source.metadata.generation
}

impl Plan {
    /// `None` if the source does not send: it goes, its sink is not known, it may not watch, or its spec is not what
    /// admission lets in.
    pub fn of(source: &ApiServerSource) -> Option<Self> {
        let (meta, spec) = (&source.metadata, &source.spec);
        let status = source.status.as_ref()?;
        let generation = meta.generation.unwrap_or_default();
        if meta.deletion_timestamp.is_some()
            || status.observed_generation != Some(generation)
            || !is_permitted(source)
        {
            return None;
        }
        let resources = spec.resources.iter().map(|resource| {
            let labels = match resource.label_selector.clone() {
                Some(selector) => Selector::try_from(selector).ok()?.to_string(),
                None => String::new(),
            };
            Some(Resource {
                api_version: resource.api_version.clone(),
                kind: resource.kind.clone(),
                labels,
            })
        });
        let overrides = spec.ce_overrides.as_ref();
        Some(Self {
            key: Key::of(source),
            uid: meta.uid.clone()?,
            generation,
            sink: Sink::of(
                meta.namespace.as_ref(),
                status.sink_uri.as_ref(),
                status.sink_ca_certs.as_ref(),
                status.sink_audience.as_ref(),
                status.auth.as_ref(),
            )?,
            whole: spec.event_mode == "Resource",
            extensions: overrides
                .map(|overrides| overrides.extensions.clone())
                .unwrap_or_default()
                .into_iter()
                .collect(),
            filter: Filter::compile(&spec.filters, None).ok()?,
            resources: resources.collect::<Option<_>>()?,
            namespaces: status.namespaces.clone(),
            owner: spec.resource_owner.clone(),
        })
    }

    /// The watches that show all that is asked for.
    pub fn scopes(&self) -> HashSet<Scope> {
        let all = self.namespaces.len() > MAX_WATCHES || self.namespaces.iter().any(String::is_empty);
        let namespaces: Vec<Option<String>> = if all {
            vec![None]
        } else {
            self.namespaces.iter().cloned().map(Some).collect()
        };
        let scope = |resource: &Resource, namespace: &Option<String>| Scope {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
            labels: resource.labels.clone(),
            namespace: namespace.clone(),
        };
        self.resources
            .iter()
            .flat_map(|resource| namespaces.iter().map(move |namespace| scope(resource, namespace)))
            .collect()
    }

    /// Whether the source asks for changes of this object: a watch may show more.
    pub fn wants(&self, change: &Change) -> bool {
        let meta = &change.object.metadata;
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let here = self
            .namespaces
            .iter()
            .any(|wanted| wanted.is_empty() || namespace.is_empty() || wanted == namespace);
        let owned = self.owner.as_ref().is_none_or(|owner| {
            let mut owners = meta.owner_references.iter().flatten();
            owners.any(|found| {
                found.controller == Some(true)
                    && found.api_version == owner.api_version
                    && found.kind == owner.kind
            })
        });
        here && owned
    }
}
