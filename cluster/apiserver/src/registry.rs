//! The generic registry: every verb once, for built-in kinds and custom resources alike.
//!
//! One file per verb. Each reads the stored object, computes the next one and writes it on the condition that nobody
//! was faster; kinds that need something special have a hook in [`strategy`](self::strategy).

mod allocate;
mod apply;
mod authority;
mod create;
pub(crate) mod definition;
mod delete;
pub(crate) mod expire;
mod fields;
mod get;
mod list;
mod metadata;
mod names;
mod patch;
mod pods;
mod read;
mod review;
mod scale;
mod service_account;
mod shown;
mod strategy;
mod update;
mod validate;
mod watch;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;

pub(crate) use self::authority::Caller;
pub(crate) use self::patch::{Patch, SUPPORTED as PATCH_TYPES};
pub(crate) use self::shown::Shown;
pub(crate) use self::watch::WatchStream;
use crate::admission::{Admission, Webhooks};
use crate::config::{Clock, Config};
use crate::conversion::{Conversion, Converter};
use crate::meta;
use crate::metrics::WebhookMetrics;
use crate::node::NodeLink;
use crate::request::Query;
use crate::resource::{ResourceRef, ResourceTable};
use crate::status::{Cause, StatusError, Subject};
use crate::store::{Durability, Object, Store, WriteError};

/// Largest object that is stored (upstream: etcd's request limit).
const MAX_OBJECT_BYTES: usize = 1_572_864;
/// Attempts of a read-modify-write before the caller is told about the conflict.
const ATTEMPTS: usize = 8;

/// One request to the registry.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) resource: ResourceRef,
    /// Empty for all namespaces, and for resources of the whole cluster.
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Empty for the main resource.
    pub(crate) subresource: String,
    pub(crate) query: Query,
    pub(crate) caller: Caller,
    /// Sentences for `Warning` headers.
    pub(crate) warnings: Vec<String>,
    /// Paths of fields that the body has twice.
    pub(crate) duplicates: Vec<String>,
    /// Whether this is a server-side apply, which records field owners itself.
    pub(crate) applying: bool,
}

/// What a verb answers.
#[derive(Debug)]
pub(crate) enum Answer {
    Object {
        code: u16,
        raw: Bytes,
    },
    List(ListAnswer),
    /// A `Status` that says success.
    Status(Value),
    /// Something that is no stored object: a scale, a review.
    Other {
        code: u16,
        value: Value,
    },
}

/// Objects of one revision.
#[derive(Debug)]
pub(crate) struct ListAnswer {
    pub(crate) revision: u64,
    pub(crate) continue_token: String,
    pub(crate) remaining: Option<usize>,
    pub(crate) items: Vec<Bytes>,
}

/// All state of the API.
pub(crate) struct Registry {
    pub(crate) store: Store,
    table: ArcSwap<ResourceTable>,
    pub(crate) clock: Clock,
    pub(crate) admission: Vec<Admission>,
    conversions: Vec<Conversion>,
    pub(crate) webhooks: ArcSwap<Webhooks>,
    pub(crate) webhook_metrics: WebhookMetrics,
    pub(crate) node: NodeLink,
    service_accounts: bool,
    allocator: allocate::Allocator,
    reloading: Mutex<()>,
}

impl Registry {
    pub(crate) fn new(store: Store, config: &Config, webhook_metrics: WebhookMetrics) -> Self {
        let registry = Self {
            allocator: allocate::Allocator::new(config, &store),
            reloading: Mutex::new(()),
            store,
            table: ArcSwap::from_pointee(ResourceTable::default()),
            clock: config.clock.clone(),
            admission: config.admission.clone(),
            conversions: config.conversions.clone(),
            webhooks: ArcSwap::default(),
            webhook_metrics,
            node: config.node.clone(),
            service_accounts: config.service_accounts,
        };
        registry.reload_definitions();
        registry.reload_webhooks();
        registry
    }

    /// Returns the resources that are served now.
    pub(crate) fn table(&self) -> Arc<ResourceTable> {
        self.table.load_full()
    }

    /// Makes the table anew from the stored custom resource definitions.
    fn reload_definitions(&self) {
        // One at a time: two reloads at once could end with the older table.
        let _turn = self.reloading.lock();
        let (_, definitions) = self.store.list(definition::PREFIX);
        let old = self.table.load();
        let custom = definitions.iter().flat_map(|(key, definition)| {
            let name = key.rsplit('/').next().unwrap_or_default();
            let kept = old.of_definition(name, definition.revision);
            if kept.is_empty() {
                let (revision, definition) = (definition.revision, definition.value());
                let converter =
                    Converter::of(&definition, &self.conversions, &self.store, &self.webhook_metrics);
                crate::resource::from_definition(revision, &definition, converter.map(Arc::new))
                    .into_iter()
                    .map(Arc::new)
                    .collect()
            } else {
                kept
            }
        });
        self.table.store(Arc::new(ResourceTable::new(custom)));
    }

    /// Makes the webhooks anew from the stored configurations.
    fn reload_webhooks(&self) {
        let _turn = self.reloading.lock();
        let webhooks = Webhooks::load(&self.store, &self.webhooks.load());
        self.webhooks.store(Arc::new(webhooks));
    }

    fn now(&self) -> String {
        meta::time((self.clock)())
    }

    /// Finds a stored object.
    pub(crate) fn find(&self, call: &Call) -> Result<Arc<Object>, StatusError> {
        self.store
            .get(&call.key())
            .ok_or_else(|| StatusError::not_found(call.resource.subject(), &call.name))
    }

    /// Checks that a namespace exists and takes new objects; returns what the write must be guarded by.
    fn guard_namespace(&self, call: &Call, name: &str) -> Result<Option<(String, u64)>, StatusError> {
        if !call.resource.namespaced {
            return Ok(None);
        }
        let key = format!("/namespaces//{}", call.namespace);
        let namespaces = Subject {
            group: "",
            resource: "namespaces",
        };
        let found = self
            .store
            .get(&key)
            .ok_or_else(|| StatusError::not_found(namespaces, &call.namespace))?;
        if meta::is_deleting(&found.value()) {
            let why = format!(
                "unable to create new content in namespace {} because it is being terminated",
                call.namespace
            );
            let mut error = StatusError::forbidden(call.resource.subject(), name, why);
            error.details.causes.push(Cause {
                reason: "NamespaceTerminating".into(),
                message: format!("namespace {} is being terminated", call.namespace),
                field: "metadata.namespace".into(),
            });
            return Err(error);
        }
        Ok(Some((key, found.revision)))
    }
}

impl Call {
    /// What the server asks of itself: the main resource, without options.
    pub(crate) fn own(resource: ResourceRef, namespace: &str, name: &str) -> Self {
        Self {
            resource,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            query: Query::default(),
            caller: Caller {
                agent: "kube-apiserver".into(),
                ..Caller::platform()
            },
            warnings: Vec::new(),
            duplicates: Vec::new(),
            applying: false,
        }
    }

    pub(crate) fn key(&self) -> String {
        self.resource.key(&self.namespace, &self.name)
    }

    fn not_found(&self) -> StatusError {
        StatusError::not_found(self.resource.subject(), &self.name)
    }

    fn modified(&self) -> StatusError {
        StatusError::modified(self.resource.subject(), &self.name)
    }

    /// Heartbeats and events need not survive a crash.
    fn durability(&self) -> Durability {
        let resource = &self.resource;
        let deferred = resource.is("coordination.k8s.io", "leases")
            || resource.is("", "events")
            || resource.is("events.k8s.io", "events");
        if deferred {
            Durability::Deferred
        } else {
            Durability::Immediate
        }
    }

    /// Turns a failed write into what the client is told.
    fn write_error(&self, error: &WriteError) -> StatusError {
        match error {
            WriteError::Exists => StatusError::already_exists(self.resource.subject(), &self.name),
            WriteError::Missing => self.not_found(),
            WriteError::Changed | WriteError::Guard => self.modified(),
            WriteError::Storage(why) => StatusError::new(
                507,
                "InsufficientStorage",
                format!("the object could not be stored, and will not appear: {why}"),
            ),
            WriteError::Closed => {
                let mut error = StatusError::new(503, "ServiceUnavailable", "the server is shutting down");
                error.details.retry_after = Some(1);
                error
            }
        }
    }
}

/// Serializes JSON. Values cannot fail to serialize: their keys are strings.
pub(crate) fn to_bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}
