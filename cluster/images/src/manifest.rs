//! Image manifests, indexes and configurations: Docker schema 2 and OCI, as one shape.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::error::ImageError;
use crate::image::{RunConfig, null_is_default};

/// Largest manifest, index or configuration (the distribution specification asks registries for at least 4 MiB).
pub(crate) const MAX_DOCUMENT: u64 = 4 << 20;

/// Most layers an image may have; overlayfs itself takes at most 500.
const MAX_LAYERS: usize = 256;

/// Most entries an index may have.
const MAX_INDEX_ENTRIES: usize = 1_000;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What a pull accepts.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// A pointer to content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// Where an image runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

impl Platform {
    /// This machine's, in the names of Go that images use.
    pub(crate) fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            "loongarch64" => "loong64",
            other => other,
        };
        Self {
            os: "linux".into(),
            architecture: architecture.into(),
            variant: None,
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant
            .as_deref()
            .map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A parsed manifest or index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) artifact_type: Option<String>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) manifests: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Descriptor>,
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Document {
    /// Parses `bytes`; `media_type` is what the transport said, if it said something.
    ///
    /// A document that could be read both as a manifest and as an index is refused: two readers of one digest must
    /// not see two different images (GHSA-xmmx-7jpf-fx42).
    pub(crate) fn parse(bytes: &[u8], media_type: Option<&str>) -> Result<Self, ImageError> {
        let invalid = |reason: String| ImageError::InvalidContent {
            what: "manifest".into(),
            reason,
        };
        let value: Value = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        let has = |key: &str| value.get(key).is_some();
        let (layers, manifests) = (has("layers") || has("config"), has("manifests"));
        if layers == manifests {
            return Err(invalid(match layers {
                true => "it is both a manifest and an index".into(),
                false if has("fsLayers") => {
                    "Docker schema 1 is not supported; push the image again with a current tool".into()
                }
                false => "it has neither `layers` nor `manifests`".into(),
            }));
        }
        let embedded = value.get("mediaType").and_then(Value::as_str);
        let expected = if layers {
            [OCI_MANIFEST, DOCKER_MANIFEST]
        } else {
            [OCI_INDEX, DOCKER_LIST]
        };
        for told in [embedded, media_type]
            .into_iter()
            .flatten()
            .filter(|told| ACCEPTED.contains(told))
        {
            if !expected.contains(&told) {
                return Err(invalid(format!("its media type {told} contradicts its content")));
            }
        }
        if value.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
            return Err(invalid("schemaVersion must be 2".into()));
        }
        let document = match layers {
            true => {
                Self::Manifest(serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?)
            }
            false => Self::Index(serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?),
        };
        match &document {
            Self::Manifest(manifest) if manifest.layers.len() > MAX_LAYERS => {
                Err(invalid(format!("it has more than {MAX_LAYERS} layers")))
            }
            Self::Index(index) if index.manifests.len() > MAX_INDEX_ENTRIES => {
                Err(invalid(format!("it has more than {MAX_INDEX_ENTRIES} entries")))
            }
            _ => Ok(document),
        }
    }

    /// The media type to serve it with when the pusher gave none.
    pub(crate) fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(OCI_MANIFEST),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(OCI_INDEX),
        }
    }

    pub(crate) fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Manifest(manifest) => manifest.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }

    /// What a referrers list shows: the artifact type (of a manifest without one: its config's type).
    pub(crate) fn artifact_type(&self) -> Option<&str> {
        match self {
            Self::Manifest(manifest) => Some(
                manifest
                    .artifact_type
                    .as_deref()
                    .unwrap_or(&manifest.config.media_type),
            ),
            Self::Index(index) => index.artifact_type.as_deref(),
        }
    }

    pub(crate) fn annotations(&self) -> &BTreeMap<String, String> {
        match self {
            Self::Manifest(manifest) => &manifest.annotations,
            Self::Index(index) => &index.annotations,
        }
    }
}

impl Index {
    /// The manifest for `wanted`: exact variant first, then any. Attestations (`unknown/unknown`) never match.
    pub(crate) fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        let fits = |descriptor: &&Descriptor| match &descriptor.platform {
            Some(platform) => platform.os == wanted.os && platform.architecture == wanted.architecture,
            None => false,
        };
        let plain = |descriptor: &&Descriptor| {
            descriptor
                .platform
                .as_ref()
                .is_some_and(|platform| platform.variant == wanted.variant)
        };
        let mut matching = self.manifests.iter().filter(fits);
        matching
            .clone()
            .find(plain)
            .or_else(|| matching.next())
            // Tools that build for one platform leave it out.
            .or_else(|| {
                self.manifests
                    .iter()
                    .find(|descriptor| descriptor.platform.is_none())
            })
    }

    /// The platforms it has, for error messages.
    pub(crate) fn platforms(&self) -> String {
        let mut names: Vec<String> = self
            .manifests
            .iter()
            .filter_map(|descriptor| Some(descriptor.platform.as_ref()?.to_string()))
            .collect();
        names.sort();
        names.dedup();
        match names.is_empty() {
            true => "none".into(),
            false => names.join(", "),
        }
    }
}

/// The members of an image configuration that running and building need; the others are kept by [`Value`] users.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct ImageConfig {
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) config: RunConfig,
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) rootfs: RootFs,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default, deserialize_with = "null_is_default")]
    pub(crate) diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses a configuration and holds it against its manifest.
    pub(crate) fn parse(bytes: &[u8], manifest: &Manifest) -> Result<Self, ImageError> {
        let invalid = |reason: String| ImageError::InvalidContent {
            what: "image configuration".into(),
            reason,
        };
        let config: Self = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        let (ids, layers) = (config.rootfs.diff_ids.len(), manifest.layers.len());
        if ids != layers {
            return Err(invalid(format!(
                "it names {ids} diff ids for the {layers} layers of the manifest"
            )));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn manifest() -> Value {
        json!({
            "schemaVersion": 2, "mediaType": DOCKER_MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest("c"), "size": 1},
            "layers": [{"mediaType": OCI_LAYER_GZIP, "digest": digest("l"), "size": 2, "annotations": null}],
        })
    }

    fn parse(value: &Value, media_type: Option<&str>) -> Result<Document, ImageError> {
        Document::parse(value.to_string().as_bytes(), media_type)
    }

    #[test]
    fn reads_manifests_and_indexes() {
        let Document::Manifest(read) = parse(&manifest(), Some(DOCKER_MANIFEST)).unwrap() else {
            panic!()
        };
        assert_eq!(read.layers[0].digest, digest("l"));
        let index = json!({"schemaVersion": 2, "manifests": null});
        assert_eq!(parse(&index, None).unwrap().media_type(), OCI_INDEX);
    }

    #[test]
    fn refuses_ambiguous_old_and_damaged_documents() {
        let mut both = manifest();
        both["manifests"] = json!([]);
        let mut bad_digest = manifest();
        bad_digest["layers"][0]["digest"] = json!("sha256:../../etc/passwd");
        let mut version = manifest();
        version["schemaVersion"] = json!(1);
        let mut negative = manifest();
        negative["layers"][0]["size"] = json!(-1);
        let mut many = manifest();
        many["layers"] = json!(vec![many["layers"][0].clone(); MAX_LAYERS + 1]);
        let old = json!({"schemaVersion": 1, "fsLayers": []});
        let cases = [
            (both, "both"),
            (bad_digest, "not a digest"),
            (version, "schemaVersion"),
            (negative, "invalid value"),
            (many, "more than"),
            (old, "schema 1"),
            (json!([]), "neither"),
        ];
        for (value, expected) in cases {
            let error = parse(&value, None).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert!(
            parse(&manifest(), Some(OCI_INDEX))
                .unwrap_err()
                .to_string()
                .contains("contradicts")
        );
    }

    fn index(platforms: &[(&str, &str, Option<&str>)]) -> Index {
        let manifests = platforms
            .iter()
            .map(|(os, architecture, variant)| {
                let mut descriptor =
                    Descriptor::new(OCI_MANIFEST, digest(&format!("{os}{architecture}{variant:?}")), 1);
                descriptor.platform = Some(Platform {
                    os: (*os).into(),
                    architecture: (*architecture).into(),
                    variant: variant.map(Into::into),
                });
                descriptor
            })
            .collect();
        Index {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn chooses_the_platform() {
        let amd64 = Platform {
            os: "linux".into(),
            architecture: "amd64".into(),
            variant: None,
        };
        let list = index(&[
            ("windows", "amd64", None),
            ("linux", "arm64", Some("v8")),
            ("linux", "amd64", Some("v3")),
            ("linux", "amd64", None),
            ("unknown", "unknown", None),
        ]);
        assert_eq!(list.choose(&amd64).unwrap().digest, digest("linuxamd64None"));
        let arm64 = Platform {
            architecture: "arm64".into(),
            ..amd64.clone()
        };
        assert_eq!(
            list.choose(&arm64).unwrap().digest,
            digest("linuxarm64Some(\"v8\")")
        );
        let none = index(&[("windows", "amd64", None)]);
        assert_eq!(none.choose(&amd64), None);
        assert_eq!(none.platforms(), "windows/amd64");
    }

    #[test]
    fn configurations_may_be_full_of_nulls() {
        let Document::Manifest(manifest) = parse(&manifest(), None).unwrap() else {
            panic!()
        };
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {"Env": null, "Cmd": ["sh"], "Entrypoint": null, "ExposedPorts": {"80/tcp": {}}, "Volumes": null},
            "rootfs": {"type": "layers", "diff_ids": [digest("d")]},
        });
        let read = ImageConfig::parse(config.to_string().as_bytes(), &manifest).unwrap();
        assert_eq!(read.config.cmd, ["sh"]);
        assert!(read.config.exposed_ports.contains_key("80/tcp"));
        let short = json!({"config": null, "rootfs": {"diff_ids": []}}).to_string();
        let error = ImageConfig::parse(short.as_bytes(), &manifest)
            .unwrap_err()
            .to_string();
        assert!(error.contains("0 diff ids for the 1 layers"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_not_a_panic(bytes: Vec<u8>) {
            let _ = Document::parse(&bytes, None);
        }
    }
}
