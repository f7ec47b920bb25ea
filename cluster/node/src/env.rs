//! The environment of a container: service links, `envFrom`, `env` and `$(NAME)` references, in kubelet's order.

mod expand;
mod service;

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, Service};

pub use expand::expand;
pub use service::service_variables;

use crate::downward::{self, Addresses};
use crate::resources::{self, NodeCapacity};
use crate::sources::{References, Sources};

/// Why a container cannot be configured; the text is what users see as `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// A referenced object is absent.
    #[error("{kind} \"{name}\" not found")]
    NoObject {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A referenced key is absent.
    #[error("couldn't find key {key} in {kind} {namespace}/{name}")]
    NoKey {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Namespace of the object.
        namespace: String,
        /// Its name.
        name: String,
        /// The key.
        key: String,
    },
    /// A field path that the API does not define.
    #[error("fieldPath \"{0}\" not supported")]
    BadField(String),
    /// A resource reference that leads nowhere.
    #[error("resource \"{0}\" of container \"{1}\" not supported")]
    BadResource(String, String),
    /// A kind of source that this node does not know.
    #[error("the source of variable \"{0}\" is not supported")]
    BadSource(String),
}

/// What the environment is made from, beside the container.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// Fetched objects.
    pub sources: &'a Sources,
    /// Services of the pod's namespace, and `kubernetes` of `default`.
    pub services: &'a [Arc<Service>],
    /// Addresses of pod and node.
    pub addresses: &'a Addresses,
    /// For limits that are not set.
    pub node: NodeCapacity,
}

/// Variables in the order in which they were first set; a later value of the same name replaces the earlier one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Sets a variable.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// `NAME=value` lines: the image's variables first, overridden by the container's.
    pub fn over_image(&self, image: &[String]) -> Vec<String> {
        let mut merged = Self::default();
        for entry in image {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            merged.set(name, value);
        }
        for (name, value) in &self.0 {
            merged.set(name, value);
        }
        merged
            .0
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }
}

/// The objects that a container's environment refers to.
pub fn references(container: &Container, found: &mut References) {
    for source in container.env_from.iter().flatten() {
        if let Some(map) = &source.config_map_ref {
            found.config_map(&map.name);
        }
        if let Some(secret) = &source.secret_ref {
            found.secret(&secret.name);
        }
    }
    for from in container
        .env
        .iter()
        .flatten()
        .filter_map(|variable| variable.value_from.as_ref())
    {
        if let Some(selector) = &from.config_map_key_ref {
            found.config_map(&selector.name);
        }
        if let Some(selector) = &from.secret_key_ref {
            found.secret(&selector.name);
        }
    }
}

/// The container's variables.
///
/// # Errors
/// Fails when a reference that is not optional leads nowhere.
pub fn environment(container: &Container, context: Context<'_>) -> Result<Environment, EnvError> {
    let mut result = Environment::default();
    let links = context
        .pod
        .spec
        .as_ref()
        .and_then(|spec| spec.enable_service_links)
        .unwrap_or(true);
    let namespace = context.pod.metadata.namespace.as_deref().unwrap_or_default();
    for (name, value) in service_variables(context.services, namespace, links) {
        result.set(name, value);
    }
    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (kind, name, optional, entries) = if let Some(map) = &source.config_map_ref {
            (
                "configmap",
                &map.name,
                map.optional,
                context.sources.config_map(&map.name),
            )
        } else if let Some(secret) = &source.secret_ref {
            (
                "secret",
                &secret.name,
                secret.optional,
                context.sources.secret(&secret.name),
            )
        } else {
            continue;
        };
        match entries {
            Some(entries) => {
                for (key, value) in entries.iter().filter(|(key, _)| !key.contains('=')) {
                    result.set(format!("{prefix}{key}"), String::from_utf8_lossy(value));
                }
            }
            None if optional.unwrap_or(false) => {}
            None => {
                return Err(EnvError::NoObject {
                    kind,
                    name: name.clone(),
                });
            }
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), |name| {
                result.get(name).map(str::to_owned)
            })),
            Some(_) => from_source(variable, container, context)?,
        };
        if let Some(value) = value {
            result.set(&variable.name, value);
        }
    }
    Ok(result)
}

/// `None` when an optional source is absent: the variable is then not set at all.
fn from_source(
    variable: &EnvVar,
    container: &Container,
    context: Context<'_>,
) -> Result<Option<String>, EnvError> {
    let from = variable.value_from.clone().unwrap_or_default();
    if let Some(selector) = &from.field_ref {
        return downward::field(context.pod, &selector.field_path, context.addresses)
            .map(Some)
            .ok_or_else(|| EnvError::BadField(selector.field_path.clone()));
    }
    if let Some(selector) = &from.resource_field_ref {
        let spec = context.pod.spec.as_ref();
        let owner = match &selector.container_name {
            Some(name) => {
                spec.and_then(|spec| crate::pod::containers(spec).find(|container| container.name == *name))
            }
            None => Some(container),
        };
        let value = owner.and_then(|owner| {
            resources::field(owner, &selector.resource, selector.divisor.as_ref(), context.node)
        });
        let named = || {
            selector
                .container_name
                .clone()
                .unwrap_or_else(|| container.name.clone())
        };
        return value
            .map(Some)
            .ok_or_else(|| EnvError::BadResource(selector.resource.clone(), named()));
    }
    let (kind, lower, name, key, optional, entries) = if let Some(selector) = &from.config_map_key_ref {
        let entries = context.sources.config_map(&selector.name);
        (
            "ConfigMap",
            "configmap",
            &selector.name,
            &selector.key,
            selector.optional,
            entries,
        )
    } else if let Some(selector) = &from.secret_key_ref {
        let entries = context.sources.secret(&selector.name);
        (
            "Secret",
            "secret",
            &selector.name,
            &selector.key,
            selector.optional,
            entries,
        )
    } else {
        return Err(EnvError::BadSource(variable.name.clone()));
    };
    let value = entries.and_then(|entries| entries.get(key));
    match (value, entries) {
        (Some(value), _) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        (None, _) if optional.unwrap_or(false) => Ok(None),
        (None, None) => Err(EnvError::NoObject {
            kind: lower,
            name: name.clone(),
        }),
        (None, Some(_)) => Err(EnvError::NoKey {
            kind,
            namespace: context.pod.metadata.namespace.clone().unwrap_or_default(),
            name: name.clone(),
            key: key.clone(),
        }),
    }
}

#[cfg(test)]
mod tests;
