//! The step that makes an image of the source: as a Dockerfile says, or of the files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::place::{SOURCE, STORAGE, within};
use crate::settings::{Settings, Strategy};
use crate::{dockerfile, files};

/// Names that are looked for where none is given.
const USUAL: [&str; 2] = ["Dockerfile", "Containerfile"];

/// What this step leaves for the next one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// An image in buildah's storage, with the driver that the storage is of.
    Stored { image: String, driver: String },
    /// Blobs in files.
    Layers(files::Layers),
}

impl Outcome {
    fn place() -> PathBuf {
        Path::new(STORAGE).join("outcome.json")
    }

    pub(crate) fn read() -> Result<Self, Error> {
        let place = Self::place();
        let bytes = std::fs::read(&place).map_err(|error| Error::io("find what was built", error))?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Json(place.display().to_string(), error))
    }

    fn write(&self) -> Result<(), Error> {
        let place = Self::place();
        let bytes =
            serde_json::to_vec(self).map_err(|error| Error::Json(place.display().to_string(), error))?;
        std::fs::write(place, bytes).map_err(|error| Error::io("keep what was built", error))
    }
}

pub(crate) async fn run(settings: &Settings, arguments: &[String]) -> Result<(), Error> {
    let context = within(Path::new(SOURCE), &settings.context, "context")?;
    if !context.is_dir() {
        return Err(Error::Usage(format!(
            "the context {:?} is not a folder",
            settings.context
        )));
    }
    let outcome = match recipe(settings.strategy, &settings.dockerfile, &context)? {
        Some(recipe) => dockerfile::build(settings, &context, &recipe, arguments)?,
        None => Outcome::Layers(files::build(settings, &context).await?),
    };
    outcome.write()
}

/// The Dockerfile, if one decides.
fn recipe(strategy: Strategy, asked: &str, context: &Path) -> Result<Option<PathBuf>, Error> {
    if strategy == Strategy::Files {
        return Ok(None);
    }
    let usual = asked.is_empty() || asked == USUAL[0];
    let names = if usual { USUAL.to_vec() } else { vec![asked] };
    for name in names {
        if context.join(name).symlink_metadata().is_err() {
            continue;
        }
        let found = within(context, name, "Dockerfile")?;
        return match found.is_file() {
            true => Ok(Some(found)),
            false => Err(Error::Usage(format!("the Dockerfile {name:?} is not a file"))),
        };
    }
    match (strategy, usual) {
        (Strategy::Auto, true) => Ok(None),
        _ => Err(Error::Usage(format!(
            "there is no Dockerfile {:?} in the context; name the one that there is, or build from the files",
            if asked.is_empty() { USUAL[0] } else { asked }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_dockerfile_decides_if_there_is_one() {
        use Strategy::{Auto, Dockerfile, Files};
        let around = tempfile::tempdir().unwrap();
        let (with, without) = (around.path().join("with"), around.path().join("without"));
        for folder in [&with, &without] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(with.join("Containerfile"), "FROM scratch").unwrap();
        fs::write(with.join("other"), "FROM scratch").unwrap();
        fs::write(around.path().join("secret"), "").unwrap();
        symlink("../secret", with.join("out")).unwrap();
        for (strategy, asked, folder, expected) in [
            (Auto, "", &with, Ok(Some("Containerfile"))),
            (Auto, "Dockerfile", &with, Ok(Some("Containerfile"))),
            (Auto, "other", &with, Ok(Some("other"))),
            (Auto, "none", &with, Err(())),
            (Auto, "out", &with, Err(())),
            (Auto, "", &without, Ok(None)),
            (Files, "", &with, Ok(None)),
            (Dockerfile, "", &without, Err(())),
        ] {
            let found = recipe(strategy, asked, folder).map_err(|_| ());
            let name = found.map(|path| path.map(|path| path.file_name().unwrap().to_owned()));
            assert_eq!(
                name,
                expected.map(|name| name.map(Into::into)),
                "{strategy:?} {asked}"
            );
        }
    }
}
