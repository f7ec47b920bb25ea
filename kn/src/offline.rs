//! Services in files instead of a cluster, for people who keep them in a repository: `--target DIR|FILE`.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::Value;

use crate::error::{CliError, Exit};

/// Work on files instead of a cluster.
#[derive(Args, Clone, Debug, Default)]
pub struct TargetArgs {
    /// Work on files instead of a cluster: a directory, or a .yaml, .yml or .json file
    #[arg(long, value_name = "DIR|FILE")]
    target: Option<PathBuf>,
}

/// Where files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `DIR/<namespace>/ksvc/<name>.yaml`.
    Directory(PathBuf),
    File(PathBuf),
}

impl TargetArgs {
    /// The target, if one was given.
    ///
    /// # Errors
    /// It is neither a directory that exists nor named like a file.
    pub fn target(&self) -> Result<Option<Target>, CliError> {
        let Some(path) = &self.target else {
            return Ok(None);
        };
        if path.is_dir() {
            return Ok(Some(Target::Directory(path.clone())));
        }
        let known = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| ["yaml", "yml", "json"].contains(&extension));
        if known {
            return Ok(Some(Target::File(path.clone())));
        }
        Err(CliError::usage(format!(
            "--target {}: neither a directory that exists nor a .yaml, .yml or .json file",
            path.display()
        )))
    }
}

impl Target {
    fn path(&self, namespace: &str, name: &str) -> PathBuf {
        match self {
            Self::Directory(folder) => folder.join(namespace).join("ksvc").join(format!("{name}.yaml")),
            Self::File(path) => path.clone(),
        }
    }

    /// The service of this name, if there is one.
    ///
    /// # Errors
    /// A file that cannot be read, or holds something else.
    pub fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, CliError> {
        check_name(name)?;
        let found = read(&self.path(namespace, name))?;
        Ok(found.filter(|service| service["metadata"]["name"] == name))
    }

    /// As [`Self::get`], but its absence is an error.
    ///
    /// # Errors
    /// [`Exit::NotFound`].
    pub fn require(&self, namespace: &str, name: &str) -> Result<Value, CliError> {
        self.get(namespace, name)?.ok_or_else(|| {
            CliError::new(
                Exit::NotFound,
                format!("services.serving.knative.dev \"{name}\" not found"),
            )
        })
    }

    /// Writes a service; fields that a server would fill are left out.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put(&self, namespace: &str, name: &str, service: &Value) -> Result<(), CliError> {
        check_name(name)?;
        let path = self.path(namespace, name);
        let json = path.extension().is_some_and(|extension| extension == "json");
        let text = if json {
            serde_json::to_string_pretty(service).map_err(|error| error.to_string())
        } else {
            serde_saphyr::to_string(service).map_err(|error| error.to_string())
        }
        .map_err(|error| CliError::new(Exit::Failure, error))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        folder
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text.trim_end().to_owned() + "\n"))
            .map_err(|error| {
                CliError::new(Exit::Failure, format!("cannot write {}: {error}", path.display()))
            })
    }

    /// Removes a service.
    ///
    /// # Errors
    /// There is none, or its file cannot be removed.
    pub fn remove(&self, namespace: &str, name: &str) -> Result<(), CliError> {
        self.require(namespace, name)?;
        let path = self.path(namespace, name);
        std::fs::remove_file(&path).map_err(|error| {
            CliError::new(
                Exit::Failure,
                format!("cannot remove {}: {error}", path.display()),
            )
        })
    }

    /// All services of a namespace, or of all, sorted by namespace and name.
    ///
    /// # Errors
    /// A folder or a file that cannot be read.
    pub fn list(&self, namespace: Option<&str>) -> Result<Vec<Value>, CliError> {
        let mut found = Vec::new();
        match self {
            Self::File(path) => found.extend(read(path)?),
            Self::Directory(folder) => {
                let folders = match namespace {
                    Some(namespace) => vec![folder.join(namespace)],
                    None => entries(folder)?,
                };
                for folder in folders {
                    for path in entries(&folder.join("ksvc"))? {
                        found.extend(read(&path)?);
                    }
                }
            }
        }
        let place =
            |service: &Value, field: &str| service["metadata"][field].as_str().unwrap_or_default().to_owned();
        found.sort_by_key(|service| (place(service, "namespace"), place(service, "name")));
        Ok(found)
    }
}

/// A name becomes part of a path.
fn check_name(name: &str) -> Result<(), CliError> {
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        return Err(CliError::usage(format!("'{name}' is no name of a service")));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Value>, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => crate::service_file::parse(&path.display().to_string(), &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, CliError> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(unreadable(folder, &error)),
    };
    listed
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()
        .map_err(|error| unreadable(folder, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    CliError::new(Exit::Failure, format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(namespace: &str, name: &str) -> Value {
        json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": { "name": name, "namespace": namespace },
                "spec": { "template": { "spec": { "containers": [{ "image": "i", "env": [{ "name": "A", "value": "true" }] }] } } } })
    }

    #[test]
    fn services_come_back_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = TargetArgs {
            target: Some(folder.path().to_owned()),
        };
        let target = arguments.target().unwrap().unwrap();
        for (namespace, name) in [("b", "web"), ("a", "web"), ("a", "api")] {
            target.put(namespace, name, &service(namespace, name)).unwrap();
        }
        assert_eq!(target.require("a", "web").unwrap(), service("a", "web"));
        assert!(folder.path().join("a/ksvc/web.yaml").is_file());
        let names = |namespace| {
            let listed = target.list(namespace).unwrap();
            listed
                .iter()
                .map(|s| s["metadata"]["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(Some("a")), ["api", "web"]);
        assert_eq!(names(None), ["api", "web", "web"]);
        target.remove("a", "web").unwrap();
        assert_eq!(target.remove("a", "web").unwrap_err().exit, Exit::NotFound);
        assert!(target.put("a", "../x", &service("a", "x")).is_err());
    }

    #[test]
    fn a_single_file_may_be_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.json");
        let target = TargetArgs {
            target: Some(path.clone()),
        };
        let target = target.target().unwrap().unwrap();
        assert_eq!(target.get("a", "web").unwrap(), None);
        target.put("a", "web", &service("a", "web")).unwrap();
        assert!(std::fs::read_to_string(path).unwrap().starts_with('{'));
        assert_eq!(target.get("a", "other").unwrap(), None);
        assert_eq!(target.list(Some("a")).unwrap().len(), 1);
        let nowhere = TargetArgs {
            target: Some(folder.path().join("nowhere")),
        };
        assert!(nowhere.target().is_err());
    }
}
