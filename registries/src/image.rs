//! What an image runs by itself, on each platform that it is for.

use std::collections::BTreeMap;

use formats::image::ImageReference;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::client::{Document, Registry, RegistryError};
use crate::keychain::Credentials;

/// Images for more platforms than this are not looked at beyond.
const PLATFORMS: usize = 16;

/// An image as it was when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Of the manifest or index, `sha256:<hex>`.
    pub digest: String,
    /// By platform, `os/architecture[/variant]`.
    pub commands: BTreeMap<String, Command>,
}

/// What an image runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub entrypoint: Vec<String>,
    /// Arguments of the entrypoint unless others are given.
    pub cmd: Vec<String>,
}

/// An index or a manifest: which, its fields say.
#[derive(Deserialize)]
struct Manifest {
    manifests: Option<Vec<Entry>>,
    config: Option<Descriptor>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[derive(Deserialize)]
struct Platform {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: String,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(flatten)]
    platform: Platform,
    #[serde(default)]
    config: Option<Execution>,
}

#[derive(Default, Deserialize)]
struct Execution {
    #[serde(rename = "Entrypoint")]
    entrypoint: Option<Vec<String>>,
    #[serde(rename = "Cmd")]
    cmd: Option<Vec<String>>,
}

impl Registry {
    /// What `image` runs, on every Linux that it is for.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn image(
        &self,
        image: &ImageReference,
        credentials: Option<&Credentials>,
    ) -> Result<Image, RegistryError> {
        let path = format!("manifests/{}", image.identifier());
        let document = self.document(image, &path, credentials).await?;
        let digest = match (image.digest(), &document.digest) {
            (Some(wanted), _) => {
                check(&document, wanted)?;
                wanted.to_owned()
            }
            (None, Some(told)) => told.clone(),
            (None, None) => digest_of(&document),
        };
        let manifest: Manifest = parse(&document)?;
        let mut commands = BTreeMap::new();
        match manifest.manifests {
            None => commands.extend([self
                .command(image, &document, manifest.config, credentials)
                .await?]),
            Some(entries) => {
                let for_linux = |entry: &Entry| {
                    entry
                        .platform
                        .as_ref()
                        .is_some_and(|platform| platform.os == "linux")
                };
                for entry in entries.into_iter().filter(for_linux).take(PLATFORMS) {
                    let document = self
                        .pinned(image, "manifests", &entry.digest, credentials)
                        .await?;
                    let config = parse::<Manifest>(&document)?.config;
                    let (own, command) = self.command(image, &document, config, credentials).await?;
                    // The index knows the variant best.
                    let name = entry.platform.as_ref().map(Platform::name);
                    commands.insert(name.unwrap_or(own), command);
                }
            }
        }
        Ok(Image { digest, commands })
    }

    async fn command(
        &self,
        image: &ImageReference,
        document: &Document,
        config: Option<Descriptor>,
        credentials: Option<&Credentials>,
    ) -> Result<(String, Command), RegistryError> {
        let config = config.ok_or_else(|| RegistryError::NoImage(document.url.clone()))?;
        let document = self.pinned(image, "blobs", &config.digest, credentials).await?;
        let Configuration { platform, config } = parse(&document)?;
        let Execution { entrypoint, cmd } = config.unwrap_or_default();
        let command = Command {
            entrypoint: entrypoint.unwrap_or_default(),
            cmd: cmd.unwrap_or_default(),
        };
        Ok((platform.name(), command))
    }

    /// A document by its digest, which it has to have.
    async fn pinned(
        &self,
        image: &ImageReference,
        kind: &str,
        digest: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Document, RegistryError> {
        let document = self
            .document(image, &format!("{kind}/{digest}"), credentials)
            .await?;
        check(&document, digest)?;
        Ok(document)
    }
}

impl Platform {
    fn name(&self) -> String {
        let mut name = format!("{}/{}", self.os, self.architecture);
        if !self.variant.is_empty() {
            name.push('/');
            name.push_str(&self.variant);
        }
        name
    }
}

fn digest_of(document: &Document) -> String {
    let hex: String = Sha256::digest(&document.bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Other algorithms than the usual one are left to those who pull.
fn check(document: &Document, wanted: &str) -> Result<(), RegistryError> {
    if wanted.starts_with("sha256:") && digest_of(document) != wanted {
        return Err(RegistryError::WrongDigest(document.url.clone()));
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(document: &Document) -> Result<T, RegistryError> {
    serde_json::from_slice(&document.bytes).map_err(|source| RegistryError::Document {
        url: document.url.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
