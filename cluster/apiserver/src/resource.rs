//! Resources as the registry serves them: built-in kinds and custom resources become the same thing here.

mod convert;
mod custom;
mod table;

use std::sync::Arc;

use cluster_kinds::Kind;
use cluster_machinery::Schema;
use serde_json::Value;

pub(crate) use self::custom::{Column, CustomVersion, ScalePaths, from_definition};
pub(crate) use self::table::ResourceTable;
use crate::conversion::Converter;
use crate::status::{StatusError, Subject};

/// One resource in one version.
#[derive(Debug)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) verbs: Vec<&'static str>,
    pub(crate) subresources: Vec<Subresource>,
    /// Group of the keys under which objects are stored; several resources may share one (`events`).
    pub(crate) storage_group: String,
    /// `apiVersion` of stored objects.
    pub(crate) storage_api_version: String,
    pub(crate) origin: Origin,
}

/// A subresource, and the kind that it answers with.
#[derive(Clone, Debug)]
pub(crate) struct Subresource {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) verbs: Vec<&'static str>,
}

/// Where a resource comes from.
#[derive(Debug)]
pub(crate) enum Origin {
    Builtin(&'static Kind),
    Custom(Box<CustomVersion>),
}

impl Resource {
    /// A built-in kind as a resource.
    pub(crate) fn builtin(kind: &'static Kind) -> Self {
        let storage = kind.storage();
        let subresources = kind.subresources.iter().map(|subresource| Subresource {
            name: subresource.name.into(),
            group: subresource.group.into(),
            version: subresource.version.into(),
            kind: subresource.kind.into(),
            verbs: subresource.verbs.to_vec(),
        });
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            group: kind.group.into(),
            version: kind.version.into(),
            kind: kind.kind.into(),
            list_kind: kind.list_kind(),
            plural: kind.plural.into(),
            singular: kind.singular.into(),
            short_names: texts(kind.short_names),
            categories: texts(kind.categories),
            namespaced: kind.namespaced(),
            verbs: kind.verbs.to_vec(),
            subresources: subresources.collect(),
            storage_group: storage.group.into(),
            storage_api_version: storage.api_version(),
            origin: Origin::Builtin(kind),
        }
    }

    pub(crate) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Returns whether this is the built-in resource of that group and plural name.
    pub(crate) fn is(&self, group: &str, plural: &str) -> bool {
        self.group == group && self.plural == plural && matches!(self.origin, Origin::Builtin(_))
    }

    /// Returns the schema: unknown fields, defaults and rules. A kind without one accepts anything.
    pub(crate) fn schema(&self) -> Option<Schema> {
        match &self.origin {
            Origin::Builtin(kind) => kind.schema(),
            Origin::Custom(custom) => custom.schema.clone(),
        }
    }

    pub(crate) fn custom(&self) -> Option<&CustomVersion> {
        match &self.origin {
            Origin::Builtin(_) => None,
            Origin::Custom(custom) => Some(custom),
        }
    }

    pub(crate) fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources
            .iter()
            .find(|subresource| subresource.name == name)
    }

    /// Returns whether `status` is written through a subresource of its own.
    pub(crate) fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }

    /// Returns the prefix of all keys of this resource.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/{}/", self.storage_group, self.plural)
    }

    /// Returns the prefix of the keys of one namespace, or of all of them if `namespace` is empty.
    pub(crate) fn namespace_prefix(&self, namespace: &str) -> String {
        if namespace.is_empty() {
            self.prefix()
        } else {
            format!("{}{namespace}/", self.prefix())
        }
    }

    pub(crate) fn key(&self, namespace: &str, name: &str) -> String {
        format!("{}{namespace}/{name}", self.prefix())
    }

    /// What errors about an object name: group and plural.
    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            group: &self.group,
            resource: &self.plural,
        }
    }

    /// What validation errors name: group and kind.
    pub(crate) fn kind_subject(&self) -> Subject<'_> {
        Subject {
            group: &self.group,
            resource: &self.kind,
        }
    }

    /// Shows a stored object in this resource's version.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(crate) async fn present(&self, value: &mut Value) -> Result<(), StatusError> {
        self.present_all(std::slice::from_mut(value)).await
    }

    /// Shows stored objects in this resource's version.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(crate) async fn present_all(&self, values: &mut [Value]) -> Result<(), StatusError> {
        let api_version = self.api_version();
        if let Some(converter) = self.converter() {
            converter.convert(&api_version, values).await?;
        }
        for value in values {
            match &self.origin {
                Origin::Builtin(kind) => {
                    convert::from_storage(kind, value);
                    if let Some(object) = value.as_object_mut() {
                        object.insert("apiVersion".into(), api_version.clone().into());
                    }
                }
                Origin::Custom(custom) => custom.complete(&api_version, value),
            }
        }
        Ok(())
    }

    /// Returns whether stored bytes can be served as they are.
    pub(crate) fn stored_as_served(&self) -> bool {
        match &self.origin {
            Origin::Builtin(_) => self.storage_api_version == self.api_version(),
            Origin::Custom(custom) => custom.stored_as_served,
        }
    }

    /// Returns who converts between versions; without one they differ in nothing but the `apiVersion`.
    pub(crate) fn converter(&self) -> Option<&Converter> {
        self.custom()?.converter.as_deref()
    }

    /// Turns an object of this version into the stored one.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(crate) async fn to_storage(&self, value: &mut Value) -> Result<(), StatusError> {
        if let Some(converter) = self.converter() {
            let only = std::slice::from_mut(value);
            return converter.convert(&self.storage_api_version, only).await;
        }
        if let Origin::Builtin(kind) = &self.origin {
            convert::to_storage(kind, value);
        }
        if let Some(object) = value.as_object_mut() {
            object.insert("apiVersion".into(), self.storage_api_version.clone().into());
        }
        Ok(())
    }
}

pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// A shared resource.
pub(crate) type ResourceRef = Arc<Resource>;
