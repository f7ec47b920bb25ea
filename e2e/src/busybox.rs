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
    load_archive(platform, &archive)?;
    Ok(reference)
}

/// Loads an image that also has `program` of this machine, with what it is linked with.
///
/// # Errors
/// As [`load`], and if there is no such program.
pub fn load_with(platform: &Platform, name: &str, program: &str) -> anyhow::Result<String> {
    let reference = format!("{}/{name}", platform.registry());
    let folder = tempfile::tempdir()?;
    let path = find(program).with_context(|| format!("there is no {program}"))?;
    let linked = crate::run(std::process::Command::new("ldd").arg(&path))?;
    // What is linked statically needs nothing else.
    let libraries = match linked.text().contains("not a dynamic executable") {
        true => String::new(),
        false => linked.ok()?,
    };
    let mut tar = layer("")?;
    let files = libraries.lines().filter_map(|line| {
        let word = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(PathBuf::from(word))
    });
    append(
        &mut tar,
        &format!("usr/bin/{program}"),
        0o755,
        &std::fs::read(path)?,
    )?;
    for file in files {
        let inside = file.to_string_lossy().trim_start_matches('/').to_owned();
        append(&mut tar, &inside, 0o755, &std::fs::read(&file)?)?;
    }
    let archive = packed(folder.path(), &reference, OWN, &tar.into_inner()?)?;
    load_archive(platform, &archive)?;
    Ok(reference)
}

fn load_archive(platform: &Platform, archive: &Path) -> anyhow::Result<()> {
    let loaded = crate::run(
        platform
            .program("spindrift")
            .args(["image", "load", "--data-dir"])
            .arg(platform.data_dir())
            .arg(archive),
    )?;
    loaded.ok().map(drop)
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
    packed(folder, reference, architecture, &layer(page)?.into_inner()?)
}

fn packed(folder: &Path, reference: &str, architecture: &str, layer: &[u8]) -> anyhow::Result<PathBuf> {
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/bin:/usr/bin"], "Cmd": ["httpd", "-f", "-p", "8080", "-h", "/srv"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}]);
    let path = folder.join("image.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path)?);
    for (name, content) in [
        ("config.json", config.to_string().into_bytes()),
        ("manifest.json", manifest.to_string().into_bytes()),
        ("layer.tar", layer.to_vec()),
    ] {
        append(&mut tar, name, 0o644, &content)?;
    }
    tar.into_inner()?.flush()?;
    Ok(path)
}

fn layer(page: &str) -> anyhow::Result<tar::Builder<Vec<u8>>> {
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
    Ok(tar)
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(mode);
    header.set_size(u64::try_from(content.len())?);
    tar.append_data(&mut header, name, content)?;
    Ok(())
}
