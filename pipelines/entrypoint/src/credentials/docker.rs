//! `.docker/config.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Credentials, Files, basic, read};
use crate::say;

/// Whole configurations first, then single registries, which win.
pub(super) fn files(credentials: &Credentials, files: &mut Files) {
    let (mut config, mut auths) = (Map::new(), Map::new());
    for secret in &credentials.docker_config {
        let Some(mut found) = parsed(credentials, secret, ".dockerconfigjson") else {
            continue;
        };
        if let Some(Value::Object(found)) = found.remove("auths") {
            auths.extend(found);
        }
        config.extend(found);
    }
    for secret in &credentials.docker_cfg {
        auths.extend(parsed(credentials, secret, ".dockercfg").into_iter().flatten());
    }
    for target in &credentials.basic_docker {
        let Some((user, password)) = basic(credentials, &target.secret) else {
            continue;
        };
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let entry = json!({"username": user, "password": password, "auth": auth});
        auths.insert(target.url.clone(), entry);
    }
    if auths.is_empty() && config.is_empty() {
        return;
    }
    config.insert("auths".to_owned(), Value::Object(auths));
    let text = Value::Object(config).to_string();
    files.insert(".docker/config.json".to_owned(), text.into_bytes());
}

fn parsed(credentials: &Credentials, secret: &str, key: &str) -> Option<Map<String, Value>> {
    let text = read(credentials, secret, key)?;
    match serde_json::from_str(&text) {
        Ok(found) => Some(found),
        // The error itself may quote what is in the secret.
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            say(&format!(
                "{key} of secret {secret} is no JSON object at line {line} column {column}"
            ));
            None
        }
    }
}
