//! The image that files are put onto: its configuration and its layers, which are not unpacked.

use serde_json::{Value, json};

use crate::auth;
use crate::error::Error;
use crate::settings::Settings;

/// Configurations are at most this long.
const MAX_CONFIG: u64 = 4 << 20;

pub(super) struct Base {
    pub config: Value,
    /// Descriptors, as the manifest has them.
    pub layers: Vec<Value>,
}

impl Base {
    /// A root without anything.
    pub(super) fn empty(architecture: &str) -> Self {
        Self {
            config: json!({"architecture": architecture, "os": "linux", "config": {}}),
            layers: Vec::new(),
        }
    }

    /// What a registry says about `name`, for this machine's kind of processor.
    pub(super) async fn read(settings: &Settings, name: &str) -> Result<Self, Error> {
        let image = settings.reached_image(name)?;
        let (client, keychain) = (settings.client(), auth::keychain()?);
        let credentials = keychain.for_image(&image);
        let no_image = || Error::Usage(format!("{name} is not an image for this kind of machine"));
        let mut manifest = parse(name, &client.manifest(&image, credentials).await?.bytes)?;
        if manifest["manifests"].is_array() {
            let digest = fitting(&manifest, architecture()).ok_or_else(no_image)?;
            let pinned = image.with_digest(&digest)?;
            manifest = parse(name, &client.manifest(&pinned, credentials).await?.bytes)?;
        }
        let digest = manifest["config"]["digest"].as_str().ok_or_else(no_image)?;
        let mut bytes = Vec::new();
        client
            .download(&image, digest, MAX_CONFIG, &mut bytes, credentials)
            .await?;
        let config: Value = parse(name, &bytes)?;
        // What is changed later has to be what it should be.
        let object = |value: &Value| value.is_object() || value.is_null();
        if !(config.is_object() && object(&config["config"]) && config["rootfs"].is_object()) {
            return Err(no_image());
        }
        Ok(Self {
            config,
            layers: manifest["layers"].as_array().cloned().ok_or_else(no_image)?,
        })
    }

    pub(super) fn digests(&self) -> Vec<(String, u64)> {
        let of = |layer: &Value| Some((layer["digest"].as_str()?.to_owned(), layer["size"].as_u64()?));
        self.layers.iter().filter_map(of).collect()
    }
}

fn parse(name: &str, bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Json(name.to_owned(), error))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

/// The manifest of an index that is for Linux on `architecture`.
fn fitting(index: &Value, architecture: &str) -> Option<String> {
    let mut entries = index["manifests"].as_array()?.iter();
    let found = entries.find(|entry| {
        entry["platform"]["os"] == "linux" && entry["platform"]["architecture"] == architecture
    })?;
    found["digest"].as_str().map(str::to_owned)
}
