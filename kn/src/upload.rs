//! Puts a folder into a registry, from where it is built.

use std::path::{Path, PathBuf};

use formats::image::ImageReference;
use registries::{Credentials, Keychain, Registry};

use crate::error::{CliError, Exit, innermost};

/// Longest configuration with credentials, in bytes.
const LONGEST: u64 = 4 << 20;

/// Uploads `folder` beside the images of `image`; returns the reference by digest, the same for the same files.
///
/// # Errors
/// The folder cannot be read or is too large; the registry does not take it.
pub async fn upload(folder: &Path, image: &str) -> Result<String, CliError> {
    let path = folder.to_owned();
    let packing = tokio::task::spawn_blocking(move || source::pack(&path, &source::Limits::default()));
    let packed = match packing.await {
        Ok(Ok(packed)) => packed,
        Ok(Err(error)) => return Err(wrong(folder, &error)),
        Err(error) => return Err(CliError::new(Exit::Failure, error.to_string())),
    };
    if packed.entries == 0 {
        return Err(CliError::usage(format!(
            "--source {}: there is nothing in it",
            folder.display()
        )));
    }
    let repository = format!("{image}-source");
    let reference = ImageReference::parse(&repository)
        .map_err(|error| CliError::usage(format!("--image {image}: {error}")))?;
    let credentials = credentials(&reference);
    source::push(&packed, &repository, &Registry::new(), credentials.as_ref())
        .await
        .map_err(|error| {
            CliError::new(
                Exit::Failure,
                format!("cannot upload {} to {repository}: {}", folder.display(), text(&error)),
            )
            .with_hint("--image names where the image is pushed to, and the folder is put beside it; it takes the credentials of `docker login`")
        })
}

fn wrong(folder: &Path, error: &source::PackError) -> CliError {
    CliError::usage(format!("--source {}: {}", folder.display(), text(error)))
}

/// The error and its innermost cause, if that says more.
fn text(error: &dyn std::error::Error) -> String {
    let (whole, cause) = (error.to_string(), innermost(error));
    match whole.contains(&cause) {
        true => whole,
        false => format!("{whole}: {cause}"),
    }
}

/// What others who push from here show to this registry.
fn credentials(image: &ImageReference) -> Option<Credentials> {
    files().into_iter().find_map(|path| {
        let length = std::fs::metadata(&path).ok()?.len();
        let json = (length <= LONGEST).then(|| std::fs::read(&path).ok())??;
        Keychain::from_docker_config(&json)
            .ok()?
            .for_image(image)
            .cloned()
    })
}

fn files() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = || Some(variable("HOME")?.join(".docker"));
    [
        variable("REGISTRY_AUTH_FILE"),
        variable("DOCKER_CONFIG")
            .or_else(home)
            .map(|folder| folder.join("config.json")),
        variable("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
    ]
    .into_iter()
    .flatten()
    .collect()
}
