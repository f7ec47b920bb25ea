//! An image with a shell, made from this machine's busybox, for containers that have to misbehave.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::json;

use crate::Platform;
use crate::images::digest;
use crate::tools::find;

/// The commands that containers of the tests use.
const COMMANDS: [&str; 16] = [
    "sh", "cat", "echo", "sleep", "httpd", "grep", "nslookup", "head", "tail", "yes", "timeout", "true",
    "ls", "nc", "wget", "cut",
];

/// How images name the architecture of this machine, and another one.
pub const OWN: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "amd64"
};
pub const FOREIGN: &str = if cfg!(target_arch = "aarch64") {
    "amd64"
} else {
    "arm64"
};

/// Loads the image under `name` (without the registry) and gives the whole reference.
///
/// # Errors
/// If there is no busybox, or the platform does not take the archive.
pub fn load(platform: &Platform, name: &str) -> anyhow::Result<String> {
    let reference = format!("{}/{name}", platform.registry());
    let folder = tempfile::tempdir()?;
    let archive = archive(folder.path(), &reference)?;
    let loaded = crate::run(
        platform
            .program("spindrift")
            .args(["image", "load", "--data-dir"])
            .arg(platform.data_dir())
            .arg(archive),
    )?;
    loaded.ok()?;
    Ok(reference)
}

/// A docker archive with one layer.
///
/// # Errors
/// If there is no busybox, or the folder cannot be written.
pub fn archive(folder: &Path, reference: &str) -> anyhow::Result<PathBuf> {
    archive_for(folder, reference, OWN, "busybox")
}

/// Such an archive that is said to be for `architecture`, and whose web server has `page`.
///
/// # Errors
/// As [`archive`].
pub fn archive_for(
    folder: &Path,
    reference: &str,
    architecture: &str,
    page: &str,
) -> anyhow::Result<PathBuf> {
    let layer = layer(page)?;
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["httpd", "-f", "-p", "8080", "-h", "/srv"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]);
    let path = folder.join("image.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path)?);
    for (name, content) in [
        ("config.json", config.to_string().into_bytes()),
        ("manifest.json", manifest.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        append(&mut tar, name, 0o644, &content)?;
    }
    tar.into_inner()?.flush()?;
    Ok(path)
}

fn layer(page: &str) -> anyhow::Result<Vec<u8>> {
    let busybox = std::fs::read(find("busybox").context("there is no busybox")?)?;
    let mut tar = tar::Builder::new(Vec::new());
    append(&mut tar, "bin/busybox", 0o755, &busybox)?;
    append(&mut tar, "srv/index.html", 0o644, page.as_bytes())?;
    for command in COMMANDS {
        let mut link = tar::Header::new_ustar();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_size(0);
        tar.append_link(&mut link, format!("bin/{command}"), "busybox")?;
    }
    let mut folder = tar::Header::new_ustar();
    folder.set_entry_type(tar::EntryType::Directory);
    folder.set_mode(0o1777);
    folder.set_size(0);
    tar.append_data(&mut folder, "tmp/", std::io::empty())?;
    Ok(tar.into_inner()?)
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_size(u64::try_from(content.len())?);
    tar.append_data(&mut header, name, content)?;
    Ok(())
}
