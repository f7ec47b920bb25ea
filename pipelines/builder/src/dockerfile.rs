//! A build as a Dockerfile says, by buildah.
//!
//! buildah runs as root of a user namespace that it makes for itself, and what the Dockerfile runs is kept apart by
//! chroot: neither needs a right that an ordinary container has not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::auth;
use crate::build::Outcome;
use crate::error::Error;
use crate::output::say;
use crate::place::STORAGE;
use crate::settings::Settings;

/// Name of the image in buildah's storage.
const IMAGE: &str = "localhost/build:latest";
/// Storage that needs no copies, and one that works everywhere.
const DRIVERS: [&str; 2] = ["overlay", "vfs"];
const AUTH: &str = "auth.json";
const REGISTRIES: &str = "registries.conf";
const STORAGE_CONF: &str = "storage.conf";

pub(crate) fn build(
    settings: &Settings,
    context: &Path,
    recipe: &Path,
    arguments: &[String],
) -> Result<Outcome, Error> {
    configure(settings)?;
    let driver = driver()?;
    let mut command = buildah(driver)?;
    command.args([
        "build",
        "--isolation=chroot",
        "--layers",
        "--format=oci",
        "--tag",
        IMAGE,
    ]);
    for argument in arguments {
        command.args(["--build-arg", argument]);
    }
    if let Some(cache) = settings.cache_repository() {
        command.args(["--cache-from", &cache, "--cache-to", &cache]);
    }
    command.arg("--file").arg(recipe).arg("--").arg(context);
    run(&mut command, "buildah build")?;
    Ok(Outcome::Stored {
        image: IMAGE.to_owned(),
        driver: driver.to_owned(),
    })
}

/// Pushes what [`build`] made; gives its digest.
pub(crate) fn push(settings: &Settings, image: &str, driver: &str) -> Result<String, Error> {
    configure(settings)?;
    let driver = *DRIVERS
        .iter()
        .find(|known| **known == driver)
        .ok_or_else(|| Error::Usage(format!("there is no storage driver {driver:?}")))?;
    let digest = place("digest");
    let mut command = buildah(driver)?;
    command
        .arg("push")
        .arg("--quiet")
        .arg("--digestfile")
        .arg(&digest);
    let target = settings.target()?;
    if settings
        .plain_registries()
        .any(|plain| plain == target.registry())
    {
        command.arg("--tls-verify=false");
    }
    command.args(["--", image]).arg(format!("docker://{target}"));
    run(&mut command, "buildah push")?;
    let digest = fs::read_to_string(&digest).map_err(|error| Error::io("read the digest", error))?;
    Ok(digest.trim().to_owned())
}

/// Writes buildah's configuration: credentials, and which registries are where.
fn configure(settings: &Settings) -> Result<(), Error> {
    write(AUTH, auth::docker_config().to_string())?;
    write(REGISTRIES, registries(settings))?;
    let temporary = place("tmp");
    fs::create_dir_all(&temporary).map_err(|error| Error::io("make a folder for temporary files", error))
}

/// containers-registries.conf(5): the registry of the machine has another address here, and some speak http.
fn registries(settings: &Settings) -> String {
    let mut text =
        "unqualified-search-registries = [\"docker.io\"]\nshort-name-mode = \"disabled\"\n".to_owned();
    let mut entry = |prefix: &str, location: &str| {
        text.push_str(&format!(
            "\n[[registry]]\nprefix = {}\nlocation = {}\ninsecure = true\n",
            quoted(prefix),
            quoted(location)
        ));
    };
    if !settings.registry_name.is_empty() && !settings.registry_address.is_empty() {
        entry(&settings.registry_name, &settings.registry_address);
    }
    for plain in settings.plain_registries() {
        entry(plain, plain);
    }
    text
}

/// containers-storage.conf(5), which buildah asks for although it is told all of it.
fn storage(driver: &str) -> String {
    format!(
        "[storage]\ngraphroot = \"{STORAGE}/storage\"\nrunroot = \"{STORAGE}/run\"\ndriver = \"{driver}\"\n"
    )
}

fn write(name: &str, content: String) -> Result<(), Error> {
    fs::write(place(name), content).map_err(|error| Error::io(format!("write {name}"), error))
}

/// A TOML string: JSON's are TOML's too, for the letters that names of registries have.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn place(name: &str) -> PathBuf {
    Path::new(STORAGE).join(name)
}

fn buildah(driver: &str) -> Result<Command, Error> {
    write(STORAGE_CONF, storage(driver))?;
    let mut command = Command::new("buildah");
    command
        .arg("--storage-driver")
        .arg(driver)
        .arg("--root")
        .arg(place("storage"))
        .arg("--runroot")
        .arg(place("run"))
        .arg("--registries-conf")
        .arg(place(REGISTRIES))
        .env("CONTAINERS_STORAGE_CONF", place(STORAGE_CONF))
        .env("REGISTRY_AUTH_FILE", place(AUTH))
        .env("TMPDIR", place("tmp"))
        .stdin(Stdio::null());
    Ok(command)
}

/// The first driver that works here.
fn driver() -> Result<&'static str, Error> {
    for driver in DRIVERS {
        let mut probe = buildah(driver)?;
        probe.args(["images", "--quiet"]).stdout(Stdio::null());
        // Why the better one does not work is nobody's business unless none does.
        if driver != "vfs" {
            probe.stderr(Stdio::null());
        }
        if probe.status().is_ok_and(|status| status.success()) {
            return Ok(driver);
        }
    }
    Err(Error::Usage(
        "buildah cannot use its storage: the pod must be allowed to make user namespaces (run as root with SETUID, SETGID and SETFCAP, and no seccomp profile that forbids it)".to_owned(),
    ))
}

fn run(command: &mut Command, name: &str) -> Result<(), Error> {
    let status = command
        .status()
        .map_err(|error| Error::io(format!("run {name}"), error))?;
    if status.success() {
        return Ok(());
    }
    say("");
    Err(Error::Program {
        program: name.to_owned(),
        message: format!("{status}; what is wrong stands above"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_where_they_are() {
        let settings = Settings {
            registry_name: "localhost:5000".into(),
            registry_address: "10.88.0.1:5000".into(),
            insecure: vec!["a:1".into()],
            ..Settings::default()
        };
        let text = registries(&settings);
        assert!(text.contains("prefix = \"localhost:5000\"\nlocation = \"10.88.0.1:5000\"\ninsecure = true"));
        assert!(text.contains("prefix = \"a:1\"\nlocation = \"a:1\""));
        assert!(!registries(&Settings::default()).contains("[[registry]]"));
    }
}
