//! The image of what builds: buildah, git and our own program, with the libraries that they need, as this machine has
//! them installed (Debian: `apt-get install buildah git ca-certificates`). No network is needed, and no root.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use cluster_images::{FileSource, ImageStore, LayerBuild, LayerFile};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const REPOSITORY: &str = "spindrift/builder";
/// Remembers what the image was made of, so that it is made again only when that changes.
const STATE_FILE: &str = "builder-image.json";
const BUILDER: &str = "builder";
const INSIDE: &str = "/usr/local/bin/builder";
/// Where an image may find the machine's programs.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SHELL: &str = "/bin/sh";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// What git runs for addresses of these protocols.
const GIT_HELPERS: [&str; 2] = ["git-remote-http", "git-remote-https"];
const INSTALL: &str =
    "`apt-get install --no-install-recommends buildah git ca-certificates` brings it on Debian";

/// Files that the programs read.
const TEXTS: [(&str, &str); 4] = [
    (
        "/etc/containers/policy.json",
        "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}\n",
    ),
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65532:65532:nobody:/tmp:/bin/false\n",
    ),
    ("/etc/group", "root:x:0:\nnobody:x:65532:\n"),
    (
        "/etc/nsswitch.conf",
        "passwd: files\ngroup: files\nhosts: files dns\n",
    ),
];

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Of paths, sizes and times of all files.
    inputs: String,
    image: String,
}

/// Makes the image if it is not there, and gives its reference by digest.
///
/// # Errors
/// One sentence: what is missing on this machine, and how to get it.
pub async fn make(store: &ImageStore, registry: &str, data_dir: &Path) -> anyhow::Result<String> {
    let files = tokio::task::spawn_blocking(gather).await??;
    let inputs = digest(&files)?;
    let state_file = data_dir.join(STATE_FILE);
    let before: Option<State> = std::fs::read(&state_file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(state) = before.filter(|state| state.inputs == inputs)
        && is_there(store, registry, &state.image).await?
    {
        return Ok(state.image);
    }
    let digest = store
        .build(LayerBuild {
            name: format!("{registry}/{REPOSITORY}:latest"),
            files: layer(files),
            entrypoint: vec![INSIDE.to_owned()],
            env: vec![PATH.to_owned()],
            ..LayerBuild::default()
        })
        .await
        .context("cannot make the builder image")?;
    let image = format!("{registry}/{REPOSITORY}@{digest}");
    let state = State {
        inputs,
        image: image.clone(),
    };
    std::fs::write(&state_file, serde_json::to_vec(&state)?)?;
    Ok(image)
}

async fn is_there(store: &ImageStore, registry: &str, image: &str) -> anyhow::Result<bool> {
    let name = format!("{registry}/{REPOSITORY}");
    let all = store.list().await?;
    Ok(all
        .iter()
        .any(|summary| summary.repository == name && image == format!("{name}@{}", summary.digest)))
}

/// Files of the machine by their path in the image.
fn gather() -> anyhow::Result<BTreeMap<PathBuf, PathBuf>> {
    let own = std::env::current_exe().context("cannot tell where this program lies")?;
    let builder = own.with_file_name(BUILDER);
    anyhow::ensure!(
        builder.is_file(),
        "{BUILDER} is missing beside {}: build the whole workspace with `cargo build --release`",
        own.display()
    );
    let mut files = BTreeMap::from([(PathBuf::from(INSIDE), builder)]);
    let (buildah, git) = (needed("buildah")?, needed("git")?);
    let helpers = output(Command::new(&git).arg("--exec-path"))?;
    let mut programs = vec![buildah, git, PathBuf::from(SHELL)];
    programs.extend(GIT_HELPERS.map(|helper| Path::new(helpers.trim()).join(helper)));
    // Only repositories by ssh need it.
    programs.extend(find("ssh"));
    for program in programs {
        for file in closure(&program)? {
            let real = file
                .canonicalize()
                .with_context(|| format!("{} is missing on this machine: {INSTALL}", file.display()))?;
            files.insert(file, real);
        }
    }
    let certificates = PathBuf::from(CERTIFICATES);
    anyhow::ensure!(
        certificates.is_file(),
        "{CERTIFICATES} is missing on this machine: {INSTALL}"
    );
    files.insert(certificates.clone(), certificates);
    Ok(files)
}

fn needed(name: &str) -> anyhow::Result<PathBuf> {
    find(name).with_context(|| format!("{name} is missing on this machine, so it cannot build: {INSTALL}"))
}

/// The program `name` on PATH.
fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// The program and the libraries that it is loaded with.
fn closure(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let listed = Command::new("ldd").arg(program).env("LC_ALL", "C").output();
    let listed = listed.context("cannot run ldd, which tells what libraries programs need")?;
    // It fails for a program that needs none.
    let text = String::from_utf8_lossy(&listed.stdout);
    let mut files = vec![program.to_path_buf()];
    files.extend(libraries(&text)?);
    Ok(files)
}

/// The paths in ldd's words: `name => /path (0x…)`, or `/path (0x…)` for the loader.
fn libraries(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let target = line.split_once("=>").map_or(line, |(_, target)| target).trim();
        anyhow::ensure!(
            !target.starts_with("not found"),
            "a library is missing on this machine: {line}"
        );
        if target.starts_with('/') {
            found.extend(target.split(" (").next().map(PathBuf::from));
        }
    }
    Ok(found)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().context("cannot run git")?;
    anyhow::ensure!(output.status.success(), "git does not tell where its helpers lie");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What tells one set of files from another, without reading all of them.
fn digest(files: &BTreeMap<PathBuf, PathBuf>) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for (inside, real) in files {
        let found = std::fs::metadata(real).with_context(|| format!("cannot read {}", real.display()))?;
        let line = format!(
            "{} {} {}.{}\n",
            inside.display(),
            found.len(),
            found.mtime(),
            found.mtime_nsec()
        );
        hash.update(line);
    }
    for (path, text) in TEXTS {
        hash.update(format!("{path}\n{text}"));
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn layer(files: BTreeMap<PathBuf, PathBuf>) -> Vec<LayerFile> {
    let mut layer: Vec<LayerFile> = files
        .into_iter()
        .map(|(inside, real)| LayerFile {
            mode: if inside == Path::new(CERTIFICATES) {
                0o644
            } else {
                0o755
            },
            path: inside.display().to_string(),
            source: FileSource::Host(real),
        })
        .collect();
    layer.extend(TEXTS.map(|(path, text)| LayerFile {
        path: path.to_owned(),
        source: FileSource::Bytes(text.as_bytes().to_vec()),
        mode: 0o644,
    }));
    for (path, mode) in [
        ("/tmp", 0o1777),
        ("/var/tmp", 0o1777),
        ("/root", 0o700),
        ("/source", 0o777),
    ] {
        layer.push(LayerFile {
            path: path.to_owned(),
            source: FileSource::Directory,
            mode,
        });
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        assert_eq!(
            libraries(text).unwrap(),
            ["/lib/x86_64-linux-gnu/libz.so.1", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
        assert!(libraries("\tlibnone.so => not found\n").is_err());
        assert!(libraries("\tnot a dynamic executable\n").unwrap().is_empty());
    }
}
