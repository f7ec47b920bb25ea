//! Stored objects as clients of one version see them.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::{Call, Registry, to_bytes};
use crate::resource::Resource;
use crate::status::StatusError;
use crate::store::Object;

/// An object as one version shows it.
pub(crate) enum Shown {
    /// As it is stored.
    Stored(Bytes),
    /// Not as it is stored.
    Changed(Value),
}

impl Shown {
    /// Shows objects in the version of a resource; those that need a webhook to become it go to it together.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(super) async fn all(
        resource: &Resource,
        objects: impl ExactSizeIterator<Item = &Object>,
    ) -> Result<Vec<Self>, StatusError> {
        if resource.stored_as_served() {
            return Ok(objects.map(|object| Self::Stored(object.raw.clone())).collect());
        }
        let mut values: Vec<Value> = objects.map(Object::value).collect();
        resource.present_all(&mut values).await?;
        Ok(values.into_iter().map(Self::Changed).collect())
    }

    /// Returns the object, read if it has not been yet.
    pub(crate) fn value(&self) -> Cow<'_, Value> {
        match self {
            Self::Stored(raw) => Cow::Owned(serde_json::from_slice(raw).unwrap_or(Value::Null)),
            Self::Changed(value) => Cow::Borrowed(value),
        }
    }

    /// Returns the object as JSON.
    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Stored(raw) => raw,
            Self::Changed(value) => to_bytes(&value),
        }
    }
}

impl Registry {
    /// Returns the bytes that a client of this resource's version gets for a stored object.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(super) async fn served(&self, resource: &Resource, object: &Object) -> Result<Bytes, StatusError> {
        if resource.stored_as_served() {
            return Ok(object.raw.clone());
        }
        let mut value = object.value();
        resource.present(&mut value).await?;
        Ok(to_bytes(&value))
    }

    /// Returns a stored object as this call's version shows it.
    ///
    /// # Errors
    /// When a conversion webhook fails.
    pub(super) async fn presented(&self, call: &Call, object: &Object) -> Result<Value, StatusError> {
        let mut value = object.value();
        if !call.resource.stored_as_served() {
            call.resource.present(&mut value).await?;
        }
        Ok(value)
    }
}
