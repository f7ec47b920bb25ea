//! Objects as the API server sent them.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::ApiResource;
use kube::core::DynamicResourceScope;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::key::Key;

/// An object as text, with its version, which is all that a watch itself looks at.
///
/// Lists and watches are made of this one type whatever kind they follow. Their code is large, and a program that
/// follows fifty kinds would hold it fifty times; besides, an object that does not fit its type then spoils only itself,
/// not the list that it came in.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    meta: ObjectMeta,
    text: Box<RawValue>,
}

impl Raw {
    /// # Errors
    /// If the object does not have the type's shape.
    pub(crate) fn decode<K: DeserializeOwned>(&self) -> serde_json::Result<K> {
        serde_json::from_str(self.text.get())
    }

    /// Its name, read anew: it is asked for only where something is wrong.
    pub(crate) fn key(&self) -> Key {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Named {
            namespace: String,
            name: String,
        }
        #[derive(Deserialize)]
        struct Head {
            metadata: Named,
        }
        self.decode::<Head>()
            .map(|head| Key::new(head.metadata.namespace, head.metadata.name))
            .unwrap_or_else(|_| Key::new("", ""))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct Version {
            resource_version: Option<String>,
        }
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            metadata: Version,
        }
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let meta = ObjectMeta {
            resource_version: head.metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { meta, text })
    }
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::{ObjectList, WatchEvent};

    use super::*;

    const OBJECT: &str =
        r#"{"metadata":{"name":"a","namespace":"ns","resourceVersion":"7"},"data":{"k":"v"}}"#;

    fn is_the_object(raw: &Raw) {
        assert_eq!(raw.meta().resource_version.as_deref(), Some("7"));
        assert_eq!(raw.key(), Key::new("ns", "a"));
        let map: ConfigMap = raw.decode().unwrap();
        assert_eq!(map.data.unwrap()["k"], "v");
    }

    #[test]
    fn lists_and_events_hold_objects_as_they_came() {
        let list = format!(
            r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{OBJECT}]}}"#
        );
        let list: ObjectList<Raw> = serde_json::from_str(&list).unwrap();
        is_the_object(&list.items[0]);

        let event = format!(r#"{{"type":"MODIFIED","object":{OBJECT}}}"#);
        match serde_json::from_str(&event).unwrap() {
            WatchEvent::Modified(raw) => is_the_object(&raw),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_of_another_shape_is_read_and_does_not_decode() {
        let text = r#"{"metadata":{"name":"a","resourceVersion":"7"},"data":3}"#;
        let raw: Raw = serde_json::from_str(text).unwrap();
        assert!(raw.decode::<ConfigMap>().is_err());
        assert_eq!(raw.key(), Key::new("", "a"));
        let without: Raw = serde_json::from_str("{}").unwrap();
        assert_eq!(without.meta().resource_version, None);
        assert!(serde_json::from_str::<Raw>("3").is_err());
    }
}
