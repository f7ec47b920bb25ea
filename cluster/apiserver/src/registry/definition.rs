//! Custom resource definitions: their rules, and the end of one with everything that it defined.

use std::sync::Arc;
use std::time::Duration;

use cluster_machinery::FieldError;
use cluster_machinery::schema::structural_errors;
use serde_json::{Value, json};
use tracing::warn;

use super::strategy::INSTANCES_FINALIZER;
use super::{Call, Registry};
use crate::meta;
use crate::resource::ResourceRef;
use crate::store::{EventKind, Received, Scope};
use crate::webhook::bundle_problem;

/// Prefix of the keys of all definitions.
pub(super) const PREFIX: &str = "apiextensions.k8s.io/customresourcedefinitions/";
/// Wait before a failed clean-up is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Checks a definition (`k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`).
pub(super) fn errors(definition: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &definition["spec"];
    let (group, plural) = (meta::text(spec, "/group"), meta::text(spec, "/names/plural"));
    if meta::name(definition) != format!("{plural}.{group}") {
        errors.push(FieldError::invalid(
            "metadata.name",
            &definition["metadata"]["name"],
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if cluster_kinds::builtin()
        .iter()
        .any(|kind| kind.group == group && kind.plural == plural)
    {
        errors.push(FieldError::forbidden(
            "spec.names.plural",
            "it is the name of a built-in resource of this group",
        ));
    }
    if !matches!(meta::text(spec, "/scope"), "Namespaced" | "Cluster") {
        errors.push(FieldError::not_supported(
            "spec.scope",
            &spec["scope"],
            &["Cluster", "Namespaced"],
        ));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    if versions
        .iter()
        .filter(|version| version["storage"] == true)
        .count()
        != 1
    {
        errors.push(FieldError::invalid(
            "spec.versions",
            &Value::String(format!("{} versions", versions.len())),
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            Some(schema) => errors.extend(structural_errors(schema, &path)),
            None => errors.push(FieldError::required(path, "schemas are required")),
        }
    }
    if let Some(why) = bundle_problem(&spec["conversion"]["webhook"]["clientConfig"]) {
        errors.push(FieldError::invalid(
            "spec.conversion.webhook.clientConfig.caBundle",
            &json!("<PEM>"),
            &why,
        ));
    }
    if let Some(old) = old {
        for field in ["group", "scope"] {
            if spec[field] != old["spec"][field] {
                errors.push(FieldError::invalid(
                    format!("spec.{field}"),
                    &spec[field],
                    "field is immutable",
                ));
            }
        }
        for field in ["plural", "kind"] {
            if spec["names"][field] != old["spec"]["names"][field] {
                errors.push(FieldError::invalid(
                    format!("spec.names.{field}"),
                    &spec["names"][field],
                    "field is immutable",
                ));
            }
        }
    }
    errors
}

/// Removes the instances of definitions that are being deleted, then lets the definitions go. Runs until watches end.
pub(crate) async fn clean_up(registry: Arc<Registry>) {
    let scope = || Scope {
        resource: PREFIX.into(),
        prefix: PREFIX.into(),
    };
    loop {
        let (_, definitions, mut changes) = registry.store.list_and_watch(scope());
        let mut pending: Vec<String> = Vec::new();
        for (_, definition) in &definitions {
            note_deleting(&definition.value(), &mut pending);
        }
        loop {
            let mut remaining = Vec::new();
            for name in pending.drain(..) {
                if !remove_instances(&registry, &name).await {
                    remaining.push(name);
                }
            }
            pending = remaining;
            // Instances with finalizers go when somebody removes those; look again after a while.
            let wait = if pending.is_empty() { Duration::MAX } else { RETRY };
            match tokio::time::timeout(wait, changes.next()).await {
                Ok(Received::Event(event)) => {
                    note_deleting(&event.object.value(), &mut pending);
                    if event.kind == EventKind::Deleted {
                        accept_waiting(&registry).await;
                    }
                }
                Ok(Received::Lagged) => break,
                Ok(Received::Closed) => return,
                Err(_) => {}
            }
        }
    }
}

/// Lets definitions have the names that another one no longer has.
async fn accept_waiting(registry: &Arc<Registry>) {
    let table = registry.table();
    let Some(definitions) = table.get("apiextensions.k8s.io", "v1", "customresourcedefinitions") else {
        return;
    };
    for (_, definition) in registry.store.list(PREFIX).1 {
        let definition = definition.value();
        if !super::names::waits(&definition) {
            continue;
        }
        // A write that changes nothing: accepted names are decided with each one.
        let mut call = Call::own(definitions.clone(), "", meta::name(&definition));
        let result = registry
            .modify(&mut call, &mut |_, _, current| Ok(current.clone()))
            .await;
        if let Err(error) = result {
            warn!(%error, name = call.name, "Names of a definition could not be looked at again");
        }
    }
}

fn note_deleting(definition: &Value, pending: &mut Vec<String>) {
    let name = meta::name(definition);
    let waits =
        meta::is_deleting(definition) && meta::finalizers(definition).any(|f| f == INSTANCES_FINALIZER);
    if waits && !pending.iter().any(|other| other == name) {
        pending.push(name.to_owned());
    }
}

/// Deletes all instances; once none is left, removes the finalizer. Returns whether there is nothing more to do.
async fn remove_instances(registry: &Arc<Registry>, name: &str) -> bool {
    let table = registry.table();
    let Some(definition) = registry.store.get(&format!("{PREFIX}/{name}")) else {
        return true;
    };
    let definition = definition.value();
    let group = meta::text(&definition, "/spec/group");
    let plural = meta::text(&definition, "/spec/names/plural");
    let instances = format!("{group}/{plural}/");
    let versions = || {
        let of_definition = |resource: &&ResourceRef| resource.group == group && resource.plural == plural;
        table.iter().filter(of_definition)
    };
    // In the stored version nobody has to convert them: they go even if the webhook is gone.
    let stored = versions().find(|resource| resource.api_version() == resource.storage_api_version);
    if let Some(resource) = stored.or_else(|| versions().next()) {
        let mut call = Call::own(resource.clone(), "", "");
        if let Err(error) = registry.delete_collection(&mut call).await {
            warn!(%error, name, "Instances of a definition could not be deleted");
            return false;
        }
    }
    if registry.store.any(&instances) {
        return false;
    }
    let Some(definitions) = table.get("apiextensions.k8s.io", "v1", "customresourcedefinitions") else {
        return true;
    };
    let mut call = Call::own(definitions.clone(), "", name);
    let freed = registry
        .modify(&mut call, &mut |_, _, current| {
            let mut next = current.clone();
            let metadata = meta::metadata_mut(&mut next);
            if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
                finalizers.retain(|finalizer| finalizer != INSTANCES_FINALIZER);
            }
            Ok(next)
        })
        .await;
    match freed {
        Ok(_) => true,
        Err(error) if error.code == 404 => true,
        Err(error) => {
            warn!(%error, name, "Definition could not be released");
            false
        }
    }
}
