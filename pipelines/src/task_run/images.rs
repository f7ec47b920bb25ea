//! Asks registries what images run by themselves, for steps that leave it to them.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use crds::tekton::{TaskRun, TaskSpec};
use formats::image::ImageReference;
use kube::ResourceExt;
use reconciler::error::chain;
use registries::{Keychain, PullSecrets, Registry};
use tokio::time::timeout;

use crate::pod::{ImageCommand, silent_images};

/// How long all registries together may take; a reconcile has 30 s.
const LIMIT: Duration = Duration::from_secs(15);

/// The images of such steps, with the credentials that the pod would pull with; or what the user is told.
pub(super) async fn look_up(
    client: &kube::Client,
    registry: &OnceLock<Registry>,
    run: &TaskRun,
    task: &TaskSpec,
) -> Result<BTreeMap<String, ImageCommand>, String> {
    let images = silent_images(task);
    if images.is_empty() {
        return Ok(BTreeMap::new());
    }
    let registry = registry.get_or_init(Registry::new);
    let template = run.spec.pod_template.as_ref();
    let listed = template
        .into_iter()
        .flat_map(|template| &template.image_pull_secrets);
    let account = Some(run.spec.service_account_name.as_str());
    let secrets = PullSecrets::new(account, listed.map(|secret| secret.name.clone()));
    let asked = async {
        let keychain = Keychain::read(client, &run.namespace().unwrap_or_default(), &secrets).await;
        let mut known = BTreeMap::new();
        for image in images {
            let found = ask(registry, &keychain, &image).await?;
            known.insert(image, found);
        }
        Ok(known)
    };
    match timeout(LIMIT, asked).await {
        Ok(known) => known,
        Err(_) => Err(format!(
            "the registries did not tell within {LIMIT:?} what the images of steps run"
        )),
    }
}

async fn ask(registry: &Registry, keychain: &Keychain, image: &str) -> Result<ImageCommand, String> {
    let told = |why: &str| {
        format!(
            "cannot find out what the image {image:?} runs, which a step without command and script needs: {why}"
        )
    };
    let reference = ImageReference::parse(image).map_err(|error| told(&error.to_string()))?;
    let found = registry.image(&reference, keychain.for_image(&reference)).await;
    let found = found.map_err(|error| told(&chain(&error)))?;
    let pinned = reference
        .with_digest(&found.digest)
        .map_err(|error| told(&error.to_string()))?;
    Ok(ImageCommand {
        pinned: pinned.to_string(),
        commands: found.commands,
    })
}
