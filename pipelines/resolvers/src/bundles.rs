//! The resolver `bundles`: an image whose layers are objects, each with its name and kind beside it.

mod layer;

use std::collections::BTreeMap;

use crds::tekton::RefSource;
use formats::image::ImageReference;
use registries::{Keychain, PullSecrets, Registry, RegistryError};
use serde::Deserialize;

use crate::config::BundlesConfig;
use crate::question::{Answer, Failure, MAX_DATA, Question};

/// Objects in one bundle (upstream's).
const MAX_LAYERS: usize = 20;
const NAME: &str = "dev.tekton.image.name";
const KIND: &str = "dev.tekton.image.kind";

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Layer {
    digest: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The bundle that is asked for.
///
/// # Errors
/// If that is no name of an image.
pub(crate) fn bundle(question: &Question) -> Result<ImageReference, Failure> {
    let text = question.need("bundle", "")?;
    ImageReference::parse(text).map_err(|error| Failure::Never(format!("the param bundle: {error}")))
}

pub(crate) async fn resolve(
    question: &Question,
    config: &BundlesConfig,
    api: &kube::Client,
    registry: &Registry,
) -> Result<Answer, Failure> {
    let image = bundle(question)?;
    let name = question.need("name", "")?;
    let kind = question.need("kind", &config.default_kind)?.to_ascii_lowercase();
    let secrets = PullSecrets::new(
        Some(config.default_service_account.as_str()),
        question.get("secret").map(str::to_owned).into_iter(),
    );
    let keychain = Keychain::read(api, &question.namespace, &secrets).await;
    let credentials = keychain.for_image(&image);
    let found = registry
        .manifest(&image, credentials)
        .await
        .map_err(|error| failure(&image, &error))?;
    let manifest: Manifest = serde_json::from_slice(&found.bytes)
        .map_err(|error| Failure::Never(format!("the manifest of {image} cannot be read: {error}")))?;
    let layer = layer_of(&manifest.layers, &kind, name, &image)?;
    let (mut blob, most) = (Vec::new(), u64::try_from(MAX_DATA).unwrap_or(u64::MAX));
    registry
        .download(&image, &layer.digest, most, &mut blob, credentials)
        .await
        .map_err(|error| failure(&image, &error))?;
    let data = layer::content(&blob).map_err(|error| {
        Failure::Never(format!(
            "the layer of {kind} {name} in {image} cannot be read: {error}"
        ))
    })?;
    let (algorithm, hex) = found.digest.split_once(':').unwrap_or(("sha256", &found.digest));
    Ok(Answer {
        data,
        source: RefSource {
            uri: image.name(),
            digest: BTreeMap::from([(algorithm.to_owned(), hex.to_owned())]),
            entry_point: name.to_owned(),
        },
    })
}

fn failure(image: &ImageReference, error: &RegistryError) -> Failure {
    let message = format!("{image}: {}", reconciler::error::chain(error));
    match error {
        RegistryError::Request { .. } => Failure::Now(message),
        RegistryError::Status { status, .. } if status.is_server_error() => Failure::Now(message),
        _ => Failure::Never(message),
    }
}

fn layer_of<'a>(
    layers: &'a [Layer],
    kind: &str,
    name: &str,
    image: &ImageReference,
) -> Result<&'a Layer, Failure> {
    if layers.is_empty() {
        return Failure::never(format!("{image} is no bundle: it has no layers"));
    }
    if layers.len() > MAX_LAYERS {
        let count = layers.len();
        return Failure::never(format!(
            "{image} has {count} layers, bundles have {MAX_LAYERS} at most"
        ));
    }
    let said = |layer: &Layer, key: &str| layer.annotations.get(key).cloned().unwrap_or_default();
    if let Some(bad) = layers
        .iter()
        .find(|layer| said(layer, NAME).is_empty() || said(layer, KIND).is_empty())
    {
        return Failure::never(format!(
            "{image} is no bundle: its layer {} has no annotations {NAME} and {KIND}",
            bad.digest
        ));
    }
    let wanted = |layer: &&Layer| {
        said(layer, NAME) == name && said(layer, KIND).trim_end_matches('s').eq_ignore_ascii_case(kind)
    };
    match layers.iter().find(wanted) {
        Some(layer) => Ok(layer),
        None => {
            let there: Vec<String> = layers
                .iter()
                .map(|layer| format!("{} {}", said(layer, KIND), said(layer, NAME)))
                .collect();
            Failure::never(format!(
                "{image} has no {kind} {name}; it has {}",
                there.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(kind: &str, name: &str) -> Layer {
        let annotations = [(NAME, name), (KIND, kind)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let digest = format!("sha256:{kind}{name}");
        Layer { digest, annotations }
    }

    #[test]
    fn layers_are_found_by_their_annotations() {
        let image = ImageReference::parse("registry.example.com/b:1").unwrap();
        let layers = [layer("task", "a"), layer("Pipeline", "a"), layer("task", "b")];
        let found = |layers: &[Layer], kind, name| {
            layer_of(layers, kind, name, &image)
                .map(|layer| layer.digest.clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(found(&layers, "pipeline", "a"), Ok("sha256:Pipelinea".to_owned()));
        assert_eq!(found(&layers, "task", "b"), Ok("sha256:taskb".to_owned()));
        let many: Vec<Layer> = (0..21).map(|index| layer("task", &index.to_string())).collect();
        for (layers, words) in [
            (&layers[..], "has no task c; it has task a, Pipeline a, task b"),
            (&[], "no layers"),
            (&many, "21 layers"),
            (&[layer("task", "c"), layer("", "d")], "has no annotations"),
        ] {
            let error = found(layers, "task", "c").unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
