//! What is in a projected volume. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, Pod, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

use super::atomic::File;
use super::owner;
use super::token::Tokens;
use crate::downward::{self, Addresses};
use crate::resources::{self, NodeCapacity};
use crate::sources::{References, Sources};

/// Rights of a file when neither item nor volume says (upstream: 0644).
const DEFAULT_MODE: u32 = 0o644;
/// Rights of a token that one user or group is known to read, whatever the volume says (upstream:
/// `pkg/volume/projected`).
const TOKEN_MODE: u32 = 0o600;

/// Why content is not available.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A referenced object is absent.
    #[error("{kind} \"{name}\" not found")]
    NoObject {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A listed key is absent.
    #[error("references non-existent {kind} key: {key}")]
    NoKey {
        /// `config` or `secret`.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// A path that would leave the volume.
    #[error("path \"{0}\" must be relative and must not contain '..'")]
    BadPath(String),
    /// A field that the downward API does not have.
    #[error("fieldPath \"{0}\" not supported")]
    BadField(String),
    /// The token was not granted.
    #[error("no token for audience \"{0}\"")]
    NoToken(String),
    /// A projection of another kind.
    #[error("this kind of projection is not supported on this node")]
    Unsupported,
}

/// What content is made from.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) pod: &'a Pod,
    pub(super) sources: &'a Sources,
    pub(super) tokens: &'a Tokens,
    pub(super) addresses: &'a Addresses,
    pub(super) node: NodeCapacity,
}

/// A ConfigMap, Secret, downward API or projected volume, all read as the last of these.
pub(super) struct Projected<'a> {
    sources: Vec<Source<'a>>,
    default_mode: Option<i32>,
}

enum Source<'a> {
    Entries {
        secret: bool,
        name: &'a str,
        items: Option<&'a [KeyToPath]>,
        optional: bool,
    },
    Downward(&'a [DownwardAPIVolumeFile]),
    Token(&'a ServiceAccountTokenProjection),
    Unsupported,
}

impl<'a> Projected<'a> {
    /// `None` for volumes whose content is the containers' own.
    pub(super) fn of(volume: &'a Volume) -> Option<Self> {
        let one = |source, default_mode| {
            Some(Self {
                sources: vec![source],
                default_mode,
            })
        };
        if let Some(map) = &volume.config_map {
            let optional = map.optional.unwrap_or(false);
            let source = Source::Entries {
                secret: false,
                name: &map.name,
                items: map.items.as_deref(),
                optional,
            };
            return one(source, map.default_mode);
        }
        if let Some(secret) = &volume.secret {
            let (name, optional) = (
                secret.secret_name.as_deref().unwrap_or_default(),
                secret.optional.unwrap_or(false),
            );
            let source = Source::Entries {
                secret: true,
                name,
                items: secret.items.as_deref(),
                optional,
            };
            return one(source, secret.default_mode);
        }
        if let Some(downward) = &volume.downward_api {
            return one(
                Source::Downward(downward.items.as_deref().unwrap_or_default()),
                downward.default_mode,
            );
        }
        let projected = volume.projected.as_ref()?;
        let sources = projected.sources.iter().flatten().map(Source::of).collect();
        Some(Self {
            sources,
            default_mode: projected.default_mode,
        })
    }

    pub(super) fn references(&self, found: &mut References) {
        for source in &self.sources {
            match source {
                Source::Entries {
                    secret: true, name, ..
                } => found.secret(name),
                Source::Entries {
                    secret: false, name, ..
                } => found.config_map(name),
                _ => {}
            }
        }
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &'a ServiceAccountTokenProjection> {
        self.sources.iter().filter_map(|source| match source {
            Source::Token(token) => Some(*token),
            _ => None,
        })
    }

    /// The files; of two with one path the later source wins.
    pub(super) fn files(
        &self,
        _volume: &str,
        context: Context<'_>,
    ) -> Result<BTreeMap<String, File>, PayloadError> {
        let mut files = BTreeMap::new();
        let mode = mode(None, self.default_mode);
        for source in &self.sources {
            source.files(context, mode, &mut files)?;
        }
        match files.keys().find(|path| !is_inside(path)) {
            Some(path) => Err(PayloadError::BadPath(path.clone())),
            None => Ok(files),
        }
    }
}

impl<'a> Source<'a> {
    fn of(projection: &'a VolumeProjection) -> Self {
        if let Some(map) = &projection.config_map {
            let optional = map.optional.unwrap_or(false);
            return Self::Entries {
                secret: false,
                name: &map.name,
                items: map.items.as_deref(),
                optional,
            };
        }
        if let Some(secret) = &projection.secret {
            let optional = secret.optional.unwrap_or(false);
            return Self::Entries {
                secret: true,
                name: &secret.name,
                items: secret.items.as_deref(),
                optional,
            };
        }
        if let Some(downward) = &projection.downward_api {
            return Self::Downward(downward.items.as_deref().unwrap_or_default());
        }
        projection
            .service_account_token
            .as_ref()
            .map_or(Self::Unsupported, Self::Token)
    }

    fn files(
        &self,
        context: Context<'_>,
        mode: u32,
        files: &mut BTreeMap<String, File>,
    ) -> Result<(), PayloadError> {
        match self {
            Self::Entries {
                secret,
                name,
                items,
                optional,
            } => {
                let entries = match secret {
                    true => context.sources.secret(name),
                    false => context.sources.config_map(name),
                };
                entry_files(*secret, name, *items, *optional, entries, mode, files)
            }
            Self::Downward(items) => downward_files(items, context, mode, files),
            Self::Token(token) => {
                let granted = context
                    .tokens
                    .get(token)
                    .ok_or_else(|| PayloadError::NoToken(token.audience.clone().unwrap_or_default()))?;
                let bytes = granted.as_bytes().to_vec();
                let owner = owner::of_tokens(context.pod);
                let is_shared = owner.is_none() && super::fs_group(context.pod).is_none();
                // The writer lets a group read what belongs to it.
                let mode = if is_shared { mode } else { TOKEN_MODE };
                files.insert(token.path.clone(), File { bytes, mode, owner });
                Ok(())
            }
            Self::Unsupported => Err(PayloadError::Unsupported),
        }
    }
}

fn entry_files(
    secret: bool,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: bool,
    entries: Option<&BTreeMap<String, Vec<u8>>>,
    default_mode: u32,
    files: &mut BTreeMap<String, File>,
) -> Result<(), PayloadError> {
    let Some(entries) = entries else {
        let kind = if secret { "secret" } else { "configmap" };
        return match optional {
            true => Ok(()),
            false => Err(PayloadError::NoObject {
                kind,
                name: name.to_owned(),
            }),
        };
    };
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        let all = entries.iter().map(|(key, bytes)| {
            (
                key.clone(),
                File {
                    bytes: bytes.clone(),
                    mode: default_mode,
                    owner: None,
                },
            )
        });
        files.extend(all);
        return Ok(());
    };
    for item in items {
        match entries.get(&item.key) {
            Some(bytes) => {
                let mode = item.mode.map_or(default_mode, |own| mode(Some(own), None));
                files.insert(
                    item.path.clone(),
                    File {
                        bytes: bytes.clone(),
                        mode,
                        owner: None,
                    },
                );
            }
            None if optional => {}
            None => {
                let kind = if secret { "secret" } else { "config" };
                return Err(PayloadError::NoKey {
                    kind,
                    key: item.key.clone(),
                });
            }
        }
    }
    Ok(())
}

fn downward_files(
    items: &[DownwardAPIVolumeFile],
    context: Context<'_>,
    default_mode: u32,
    files: &mut BTreeMap<String, File>,
) -> Result<(), PayloadError> {
    for item in items {
        let text = if let Some(selector) = &item.field_ref {
            downward::field(context.pod, &selector.field_path, context.addresses)
                .ok_or_else(|| PayloadError::BadField(selector.field_path.clone()))?
        } else if let Some(selector) = &item.resource_field_ref {
            let wanted = selector.container_name.as_deref().unwrap_or_default();
            let spec = context.pod.spec.as_ref();
            spec.and_then(|spec| crate::pod::containers(spec).find(|container| container.name == wanted))
                .and_then(|owner| {
                    resources::field(owner, &selector.resource, selector.divisor.as_ref(), context.node)
                })
                .ok_or_else(|| PayloadError::BadField(selector.resource.clone()))?
        } else {
            continue;
        };
        let mode = item.mode.map_or(default_mode, |own| mode(Some(own), None));
        files.insert(
            item.path.clone(),
            File {
                bytes: text.into_bytes(),
                mode,
                owner: None,
            },
        );
    }
    Ok(())
}

fn mode(own: Option<i32>, default: Option<i32>) -> u32 {
    own.or(default)
        .and_then(|mode| u32::try_from(mode).ok())
        .unwrap_or(DEFAULT_MODE)
        & 0o777
}

/// `..data` and the like belong to the atomic writer, so no component may even begin with two dots.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && !part.starts_with(".."))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn files(volume: Value, sources: &Sources) -> Result<Vec<(String, String, u32)>, PayloadError> {
        let volume: Volume = serde_json::from_value(volume).unwrap();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "annotations": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "resources": {"limits": {"memory": "1Mi"}}}]},
        }))
        .unwrap();
        let projection = ServiceAccountTokenProjection {
            audience: Some("aud".into()),
            ..ServiceAccountTokenProjection::default()
        };
        let tokens = Tokens::default().with(&projection, "jwt", jiff::Timestamp::MAX);
        let node = NodeCapacity {
            cpu_milli: 1,
            memory_bytes: 1,
            disk_bytes: 1,
        };
        let context = Context {
            pod: &pod,
            sources,
            tokens: &tokens,
            addresses: &Addresses::default(),
            node,
        };
        let found = Projected::of(&volume).unwrap().files("v", context)?;
        Ok(found
            .into_iter()
            .map(|(path, file)| (path, String::from_utf8(file.bytes).unwrap(), file.mode))
            .collect())
    }

    fn file(path: &str, text: &str, mode: u32) -> (String, String, u32) {
        (path.into(), text.into(), mode)
    }

    #[test]
    fn sources_become_files() {
        let sources = Sources::default()
            .with("config", "m", &[("a", "1"), ("b", "2")])
            .with("secret", "s", &[("k", "v")]);
        let table = [
            (
                json!({"name": "v", "configMap": {"name": "m"}}),
                vec![file("a", "1", 0o644), file("b", "2", 0o644)],
            ),
            (
                json!({"name": "v", "secret": {"secretName": "s", "defaultMode": 256}}),
                vec![file("k", "v", 0o400)],
            ),
            (
                json!({"name": "v", "configMap": {"name": "m", "items": [{"key": "b", "path": "x/y", "mode": 511}]}}),
                vec![file("x/y", "2", 0o777)],
            ),
            (
                json!({"name": "v", "configMap": {"name": "gone", "optional": true}}),
                vec![],
            ),
            (
                json!({"name": "v", "projected": {"defaultMode": 384, "sources": [
                    {"configMap": {"name": "m", "items": [{"key": "a", "path": "a"}]}},
                    {"serviceAccountToken": {"path": "token", "audience": "aud"}},
                    {"downwardAPI": {"items": [
                        {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}},
                        {"path": "memory", "resourceFieldRef": {"containerName": "c", "resource": "limits.memory"}}]}}]}}),
                vec![
                    file("a", "1", 0o600),
                    file("annotations", "a=\"b\"", 0o600),
                    file("memory", "1048576", 0o600),
                    file("token", "jwt", 0o600),
                ],
            ),
        ];
        for (volume, wanted) in table {
            assert_eq!(files(volume.clone(), &sources), Ok(wanted), "{volume}");
        }
    }

    #[test]
    fn absent_or_evil_content_is_refused() {
        let sources = Sources::default().with("config", "m", &[("a", "1"), ("..data", "evil")]);
        let table = [
            (
                json!({"name": "v", "secret": {"secretName": "gone"}}),
                "secret \"gone\" not found",
            ),
            (
                json!({"name": "v", "configMap": {"name": "m", "items": [{"key": "z", "path": "z"}]}}),
                "references non-existent config key: z",
            ),
            (
                json!({"name": "v", "configMap": {"name": "m", "items": [{"key": "a", "path": "../../etc/passwd"}]}}),
                "path \"../../etc/passwd\" must be relative and must not contain '..'",
            ),
            (
                json!({"name": "v", "configMap": {"name": "m"}}),
                "path \"..data\" must be relative and must not contain '..'",
            ),
            (
                json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "x"}}]}}),
                "no token for audience \"x\"",
            ),
        ];
        for (volume, message) in table {
            assert_eq!(
                files(volume.clone(), &sources).unwrap_err().to_string(),
                message,
                "{volume}"
            );
        }
    }
}
