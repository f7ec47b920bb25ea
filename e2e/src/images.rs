//! Images made as people make them: by buildah, from Debian's packages or from one program.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::programs::programs;
use crate::run;

/// Local name of [`Workshop::debian`].
pub const DEBIAN: &str = "localhost/debian:e2e";

/// A folder with buildah's storage in it, so that nothing of the machine's own is touched.
pub struct Workshop {
    folder: tempfile::TempDir,
}

impl Workshop {
    /// # Errors
    /// If no temporary folder can be made.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("spindrift-e2e-images-")
            .tempdir()?;
        Ok(Self { folder })
    }

    /// Removes it, where it cannot be dropped.
    ///
    /// # Errors
    /// If something in it is still mounted.
    pub fn remove(&self) -> anyhow::Result<()> {
        std::fs::remove_dir_all(self.path()).context("cannot remove the images that were built")
    }

    /// Where build contexts and archives may lie.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `buildah` and gives what it printed, without the line's end.
    ///
    /// # Errors
    /// With everything it printed, if it failed.
    pub fn buildah(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(self.path().join("storage"))
            .arg("--runroot")
            .arg(self.path().join("run"))
            .args(["--storage-driver", "overlay"])
            .args(arguments);
        Ok(run(&mut command)?.ok()?.trim().to_owned())
    }

    /// Makes [`DEBIAN`] from Debian's packages, with `include` (separated by commas) beside the essential ones.
    ///
    /// # Errors
    /// If the packages cannot be had, or buildah fails.
    pub fn debian(&self, include: &str) -> anyhow::Result<()> {
        let archive = self.path().join("debian.tar");
        let mut bootstrap = Command::new("mmdebstrap");
        bootstrap
            .args(["--quiet", "--variant=essential"])
            .arg(format!("--include={include}"));
        for left_out in ["doc", "man", "locale", "info"] {
            bootstrap.arg(format!("--dpkgopt=path-exclude=/usr/share/{left_out}/*"));
        }
        run(bootstrap.arg("bookworm").arg(&archive))?
            .ok()
            .context("cannot build a Debian root")?;
        let container = self.buildah(&["from", "scratch"])?;
        let archive = archive.to_string_lossy().into_owned();
        self.buildah(&["add", "--quiet", &container, &archive, "/"])?;
        self.buildah(&["commit", "--quiet", "--rm", &container, DEBIAN])?;
        std::fs::remove_file(&archive)?;
        Ok(())
    }

    /// Builds `containerfile` as `localhost/<name>:e2e`, with `files` (name and content) as its context.
    ///
    /// # Errors
    /// With the build's output.
    pub fn build(&self, name: &str, containerfile: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        let context = self.path().join(name);
        std::fs::create_dir_all(&context)?;
        for (file, content) in files {
            std::fs::write(context.join(file), content)?;
        }
        let recipe = context.join("Containerfile");
        std::fs::write(&recipe, containerfile)?;
        let local = format!("localhost/{name}:e2e");
        self.buildah(&[
            "bud",
            "--quiet",
            "--layers=false",
            "--isolation=chroot",
            "--tag",
            &local,
            "--file",
            &recipe.to_string_lossy(),
            &context.to_string_lossy(),
        ])?;
        Ok(local)
    }

    /// An image of the `hello` program that greets `target`, said to be for `architecture`.
    ///
    /// # Errors
    /// If buildah fails.
    pub fn greeter(&self, name: &str, target: &str, architecture: &str) -> anyhow::Result<String> {
        let program: PathBuf = programs()?.join("hello");
        let container = self.buildah(&["from", "scratch"])?;
        self.buildah(&[
            "copy",
            "--quiet",
            &container,
            &program.to_string_lossy(),
            "/hello",
        ])?;
        self.buildah(&[
            "config",
            "--entrypoint",
            "[\"/hello\"]",
            "--user",
            "65532:65532",
            "--env",
            &format!("TARGET={target}"),
            "--arch",
            architecture,
            &container,
        ])?;
        let local = format!("localhost/{name}:e2e");
        self.buildah(&["commit", "--quiet", "--rm", &container, &local])?;
        Ok(local)
    }

    /// Pushes a local image by buildah to `remote` (`host:port/name:tag`).
    ///
    /// # Errors
    /// If the registry refuses.
    pub fn push(&self, local: &str, remote: &str) -> anyhow::Result<()> {
        self.buildah(&["push", "--quiet", "--tls-verify=false", local, remote])?;
        Ok(())
    }
}

/// Runs `skopeo copy` between two places as skopeo names them.
///
/// # Errors
/// With what it printed.
pub fn skopeo_copy(from: &str, to: &str) -> anyhow::Result<()> {
    run(Command::new("skopeo").args([
        "copy",
        "--quiet",
        "--all",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        from,
        to,
    ]))?
    .ok()?;
    Ok(())
}

/// The digest of these bytes, as registries name it.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Runs `skopeo` with these arguments.
///
/// # Errors
/// With what it printed.
pub fn skopeo(arguments: &[&str]) -> anyhow::Result<String> {
    run(Command::new("skopeo").args(arguments))?.ok()
}

/// The digest that `image` has in its registry.
///
/// # Errors
/// If it is not there.
pub fn digest_of(image: &str) -> anyhow::Result<String> {
    let told = run(Command::new("skopeo").args([
        "inspect",
        "--tls-verify=false",
        "--no-tags",
        "--format",
        "{{.Digest}}",
        &format!("docker://{image}"),
    ]))?;
    Ok(told.ok()?.trim().to_owned())
}
