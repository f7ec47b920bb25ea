//! The bound of the cache: layers of steps that a repository beside the image's keeps for the next build.

use formats::image::ImageReference;
use registries::Keychain;
use serde_json::Value;

use crate::error::Error;
use crate::settings::Settings;

/// Steps that are kept at most, whatever their size.
const MOST: usize = 200;
const MAX_CONFIG: u64 = 4 << 20;

/// One cached step.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    /// RFC 3339, so that the order of texts is that of times.
    created: String,
    digest: String,
    bytes: u64,
}

/// Deletes the oldest steps until the rest is within the bound. Returns how many it deleted.
pub(crate) async fn trim(settings: &Settings, keychain: &Keychain, repository: &str) -> Result<usize, Error> {
    let (client, image) = (settings.client(), ImageReference::parse(repository)?);
    let credentials = keychain.for_image(&image);
    let mut steps = Vec::new();
    for tag in client.tags(&image, credentials).await? {
        let tagged = ImageReference::parse(&format!("{repository}:{tag}"))?;
        let manifest = client.manifest(&tagged, credentials).await?;
        let content: Value = json(repository, &manifest.bytes)?;
        let mut config = Vec::new();
        let digest = content["config"]["digest"].as_str().unwrap_or_default();
        client
            .download(&image, digest, MAX_CONFIG, &mut config, credentials)
            .await?;
        let config: Value = json(repository, &config)?;
        steps.push(Step {
            created: config["created"].as_str().unwrap_or_default().to_owned(),
            digest: manifest.digest,
            bytes: own_bytes(&content),
        });
    }
    let old = too_much(steps, settings.max_cache);
    for step in &old {
        client
            .delete(&image.with_digest(&step.digest)?, credentials)
            .await?;
    }
    Ok(old.len())
}

fn json(name: &str, bytes: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Json(name.to_owned(), error))
}

/// The layer of the step itself, which is the last one; those below belong to earlier steps.
fn own_bytes(manifest: &Value) -> u64 {
    let layers = manifest["layers"].as_array();
    layers
        .and_then(|layers| layers.last()?["size"].as_u64())
        .unwrap_or(0)
}

/// The oldest, as far as the newest alone are more than `most` bytes.
fn too_much(mut steps: Vec<Step>, most: u64) -> Vec<Step> {
    steps.sort_by(|left, right| right.created.cmp(&left.created));
    let mut bytes = 0_u64;
    let kept = steps.iter().take(MOST).take_while(|step| {
        bytes = bytes.saturating_add(step.bytes);
        bytes <= most
    });
    let kept = kept.count();
    steps.split_off(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay() {
        let step = |created: &str, bytes| Step {
            created: created.to_owned(),
            digest: created.to_owned(),
            bytes,
        };
        let steps = || {
            vec![
                step("2026-01-01", 5),
                step("2026-01-03", 5),
                step("2026-01-02", 5),
            ]
        };
        let gone = |most| {
            let old = too_much(steps(), most).into_iter();
            old.map(|step| step.created).collect::<Vec<_>>()
        };
        assert!(gone(15).is_empty());
        assert_eq!(gone(10), ["2026-01-01"]);
        assert_eq!(gone(4), ["2026-01-03", "2026-01-02", "2026-01-01"]);
        let many = (0..MOST + 3)
            .map(|number| step(&format!("{number:05}"), 0))
            .collect();
        assert_eq!(too_much(many, 10).len(), 3);
    }
}
