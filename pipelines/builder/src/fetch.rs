//! The step that unpacks an uploaded folder.

use std::path::Path;

use crate::auth;
use crate::error::Error;
use crate::output::{result, say};
use crate::place::SOURCE;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings) -> Result<(), Error> {
    let image = settings.reached_image(&settings.artifact)?;
    let folder = Path::new(SOURCE);
    std::fs::create_dir(folder).map_err(|error| Error::io(format!("make {SOURCE}"), error))?;
    let keychain = auth::keychain()?;
    let tree = source::pull(
        &image.to_string(),
        folder,
        &settings.limits(),
        &settings.client(),
        keychain.for_image(&image),
    )
    .await?;
    say(&format!("Unpacked {}", settings.artifact));
    result("tree", &tree)
}
