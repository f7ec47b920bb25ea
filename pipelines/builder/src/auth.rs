//! Credentials for registries: those of the machine's registry, and those that the run's service account has.

use std::path::{Path, PathBuf};

use registries::Keychain;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::place::REGISTRY_SECRET;

/// Docker's configuration of both, the machine's last.
pub(crate) fn docker_config() -> Value {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let files = [home.join(".docker/config.json"), PathBuf::from(REGISTRY_SECRET)];
    merged(files.iter().filter_map(|file| read(file)))
}

fn read(file: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

fn merged(configs: impl Iterator<Item = Value>) -> Value {
    let mut all = Map::new();
    for mut config in configs {
        if let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) {
            all.append(auths);
        }
    }
    // Not everybody who reads this knows `username` and `password` in place of `auth`.
    for auth in all.values_mut() {
        let pair = auth["username"].as_str().zip(auth["password"].as_str());
        if let Some((user, password)) = pair
            && auth["auth"].as_str().unwrap_or_default().is_empty()
        {
            *auth = json!({"auth": base64(format!("{user}:{password}").as_bytes())});
        }
    }
    json!({"auths": all})
}

pub(crate) fn keychain() -> Result<Keychain, Error> {
    let config = docker_config().to_string();
    Keychain::from_docker_config(config.as_bytes())
        .map_err(|error| Error::Json("the configuration of registries".to_owned(), error))
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_credentials_win_and_all_are_in_one_form() {
        let first = json!({"auths": {"a": {"auth": "eDp5"}, "b": {"auth": "eDp5"}}, "credsStore": "desktop"});
        let second = json!({"auths": {"b": {"username": "u", "password": "p"}}});
        assert_eq!(
            merged([first, json!([]), second].into_iter()),
            json!({"auths": {"a": {"auth": "eDp5"}, "b": {"auth": "dTpw"}}})
        );
    }
}
