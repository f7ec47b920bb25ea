//! The step that pushes what was built, and tells where it is.

use std::fs::File;

use registries::Keychain;

use crate::build::Outcome;
use crate::error::Error;
use crate::files::{Layers, MANIFEST_TYPE};
use crate::output::{result, say};
use crate::settings::Settings;
use crate::{auth, cache, dockerfile};

pub(crate) async fn run(settings: &Settings) -> Result<(), Error> {
    let keychain = auth::keychain()?;
    let (digest, stored) = match Outcome::read()? {
        Outcome::Stored { image, driver } => (dockerfile::push(settings, &image, &driver)?, true),
        Outcome::Layers(layers) => (push(settings, &keychain, layers).await?, false),
    };
    result("IMAGE_URL", &settings.image)?;
    result("IMAGE_DIGEST", &digest)?;
    say(&format!("Pushed {}@{digest}", settings.image));
    if let Some(repository) = settings.cache_repository().filter(|_| stored) {
        // The image is there; a cache that grows is worth a word and no failure.
        match cache::trim(settings, &keychain, &repository).await {
            Ok(0) => {}
            Ok(forgotten) => say(&format!("Forgot {forgotten} old layers of the cache")),
            Err(error) => say(&format!(
                "The cache could not be trimmed: {}",
                crate::error::chain(&error)
            )),
        }
    }
    Ok(())
}

async fn push(settings: &Settings, keychain: &Keychain, layers: Layers) -> Result<String, Error> {
    let (client, target) = (settings.client(), settings.target()?);
    let credentials = keychain.for_image(&target);
    for (digest, size) in &layers.of_base {
        if client.has_blob(&target, digest, credentials).await? {
            continue;
        }
        let base = settings.reached_image(&layers.base)?;
        let temporary = tempfile::tempfile().map_err(|error| Error::io("make a temporary file", error))?;
        let mut file = tokio::fs::File::from_std(temporary);
        client
            .download(&base, digest, *size, &mut file, keychain.for_image(&base))
            .await?;
        let rewound = tokio::io::AsyncSeekExt::rewind(&mut file).await;
        rewound.map_err(|error| Error::io("read a layer of the base image", error))?;
        client.upload(&target, digest, &mut file, credentials).await?;
    }
    for (digest, path) in &layers.blobs {
        let file = File::open(path).map_err(|error| Error::io("read what was built", error))?;
        let mut file = tokio::fs::File::from_std(file);
        client.upload(&target, digest, &mut file, credentials).await?;
    }
    let manifest = layers.manifest.into_bytes().into();
    Ok(client
        .put_manifest(&target, MANIFEST_TYPE, manifest, credentials)
        .await?)
}
