//! How pods use the registry of the machine, which by itself listens on loopback and trusts everybody there.
//!
//! For pods it has a second door, where they say which namespace they are of: the password of a namespace is a keyed
//! hash of its name, so nothing has to be stored but the key. Whoever has it may write below `<namespace>/`, and read
//! what any pod of the machine could run anyway.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use ring::hmac;
use serde_json::json;

/// The Secret in each namespace that builds, with the credentials for the registry.
pub const SECRET: &str = "spindrift-registry";
const SECRET_TYPE: &str = "kubernetes.io/dockerconfigjson";
const SECRET_KEY: &str = ".dockerconfigjson";

/// A registry of this machine as pods know it.
#[derive(Clone, PartialEq, Eq)]
pub struct PodRegistry {
    /// What images are called by, `localhost:5000`.
    pub name: String,
    /// Where pods reach it by http, `10.88.0.1:5000`.
    pub address: String,
    key: Vec<u8>,
}

impl PodRegistry {
    /// A registry whose passwords are made of `key`, which should be 32 bytes that nobody can guess.
    pub fn new(name: impl Into<String>, address: impl Into<String>, key: impl Into<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            key: key.into(),
        }
    }

    /// Is an image of this name kept here?
    pub fn keeps(&self, image: &str) -> bool {
        image
            .strip_prefix(&self.name)
            .is_some_and(|rest| rest.starts_with('/'))
    }

    /// The password of a namespace; the namespace itself is the user.
    pub fn password(&self, namespace: &str) -> String {
        let tag = hmac::sign(&self.mac(), namespace.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether `password` is that of `namespace`, in a time that does not depend on where they differ.
    pub fn knows(&self, namespace: &str, password: &str) -> bool {
        let hex = |pair: &[u8]| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|text| u8::from_str_radix(text, 16).ok())
        };
        let bytes: Option<Vec<u8>> = password.as_bytes().chunks(2).map(hex).collect();
        bytes.is_some_and(|bytes| hmac::verify(&self.mac(), namespace.as_bytes(), &bytes).is_ok())
    }

    /// The Secret of a namespace; to be there before a build of that namespace runs.
    pub fn secret(&self, namespace: &str) -> Secret {
        let config = json!({
            "auths": {&self.address: {"username": namespace, "password": self.password(namespace)}},
        });
        Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                namespace: Some(namespace.to_owned()),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            data: Some(BTreeMap::from([(
                SECRET_KEY.to_owned(),
                ByteString(config.to_string().into_bytes()),
            )])),
            ..Secret::default()
        }
    }

    fn mac(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.key)
    }
}

impl std::fmt::Debug for PodRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PodRegistry({} at {})", self.name, self.address)
    }
}

/// Whether a pod of `namespace` may do this at `path` (below `/v2/`) of the registry: read images, which its containers
/// could be anyway, and write its own repositories. Folders that others uploaded are not images, and the catalog names
/// them. The path is as it was sent: what is encoded in it does not look like the namespace, and is refused.
pub fn may(namespace: &str, writes: bool, path: &str) -> bool {
    let own = path
        .strip_prefix("/v2/")
        .and_then(|rest| rest.strip_prefix(namespace))
        .is_some_and(|rest| rest.starts_with('/'));
    let plain = !path.contains(['%', '\\']) && path.split('/').all(|part| part != ".." && part != ".");
    let catalog = path == "/v2/_catalog";
    let uploaded = path.split('/').any(|part| part.ends_with("-source"));
    if own && plain && !namespace.is_empty() {
        return true;
    }
    !writes && plain && !catalog && !uploaded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_write_below_their_name_and_nowhere_else() {
        for (writes, path, allowed) in [
            (false, "/v2/other/web/manifests/latest", true),
            (false, "/v2/", true),
            (false, "/v2/_catalog", false),
            (false, "/v2/other/web-source/manifests/latest", false),
            (false, "/v2/other/web%2dsource/manifests/latest", false),
            (false, "/v2/default/web-source/manifests/latest", true),
            (true, "/v2/default/web/blobs/uploads/", true),
            (true, "/v2/default-2/web/blobs/uploads/", false),
            (true, "/v2/other/web/blobs/uploads/", false),
            (true, "/v2/spindrift/builder/manifests/latest", false),
            (true, "/v2/default/../other/manifests/x", false),
            (true, "/v2/default/%2e%2e/other/manifests/x", false),
            (true, "/v2/", false),
        ] {
            assert_eq!(may("default", writes, path), allowed, "{path}");
        }
        assert!(!may("", true, "/v2//x/manifests/y"));
    }

    #[test]
    fn passwords_are_of_one_namespace_and_one_key() {
        let registry = PodRegistry::new("localhost:5000", "10.88.0.1:5000", [1; 32]);
        let password = registry.password("default");
        assert_eq!(password.len(), 64);
        assert!(registry.knows("default", &password));
        assert!(!registry.knows("other", &password));
        assert!(!registry.knows("default", ""));
        assert!(!registry.knows("default", &password[..62]));
        assert!(!registry.knows("default", "not hexadecimal"));
        assert!(!PodRegistry::new("localhost:5000", "10.88.0.1:5000", [2; 32]).knows("default", &password));
        assert!(registry.keeps("localhost:5000/default/web"));
        assert!(!registry.keeps("localhost:50001/default/web"));
        assert!(!format!("{registry:?}").contains(&password));
    }
}
