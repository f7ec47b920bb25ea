//! Where things lie in the pod of a build; crate `builds` mounts them there.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// The source, in the volume that is mounted above it: git insists on making its own folder.
pub(crate) const SOURCE: &str = "/source/tree";
/// buildah's storage, and what `build` leaves for `push`.
pub(crate) const STORAGE: &str = "/var/lib/containers";
/// Secret with credentials for the registry of the machine.
pub(crate) const REGISTRY_SECRET: &str = "/var/run/builder/registry/.dockerconfigjson";
/// Secret with credentials for the git host.
pub(crate) const GIT_SECRET: &str = "/var/run/builder/git";
pub(crate) const RESULTS: &str = "/tekton/results";

/// `inside` of `folder`, links followed; an error that calls it `what` if it is not there or leads out.
pub(crate) fn within(folder: &Path, inside: &str, what: &str) -> Result<PathBuf, Error> {
    let missing = || Error::Usage(format!("there is no {what} {inside:?} in the source"));
    let top = folder
        .canonicalize()
        .map_err(|error| Error::io("read the source", error))?;
    // An absolute path would replace the folder.
    let found = top
        .join(inside.trim_start_matches('/'))
        .canonicalize()
        .map_err(|_| missing())?;
    if !found.starts_with(&top) {
        return Err(Error::Usage(format!(
            "the {what} {inside:?} leads out of the source"
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("tree");
        fs::create_dir_all(folder.join("app")).unwrap();
        fs::write(around.path().join("secret"), "x").unwrap();
        symlink("../secret", folder.join("link")).unwrap();
        symlink("app", folder.join("fine")).unwrap();
        for (inside, found) in [
            ("", true),
            (".", true),
            ("app", true),
            ("fine", true),
            ("link", false),
            ("../secret", false),
            ("/etc/passwd", false),
            ("none", false),
        ] {
            assert_eq!(within(&folder, inside, "context").is_ok(), found, "{inside}");
        }
    }
}
