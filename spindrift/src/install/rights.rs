//! Accounts of the components, and roles.

use anyhow::Context;
use futures::future::try_join_all;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::{Api, Client};
use serde_json::Value;

use super::MANAGER;

/// Creates or updates the roles for users and what they run.
pub async fn for_users(client: &Client) -> anyhow::Result<()> {
    apply(client, accounts::for_users()?).await
}

/// Creates or updates the account of each component, and what it may do. Needs the namespaces of the platform.
pub async fn for_components(client: &Client, system_namespace: &str) -> anyhow::Result<()> {
    apply(client, accounts::for_components(system_namespace)?).await
}

async fn apply(client: &Client, objects: Vec<Value>) -> anyhow::Result<()> {
    let params = PatchParams::apply(MANAGER).force();
    let params = &params;
    try_join_all(objects.into_iter().map(|object| async move {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let kind = TypeMeta {
            api_version: text("/apiVersion").to_owned(),
            kind: text("/kind").to_owned(),
        };
        let name = text("/metadata/name");
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&kind)?);
        let api: Api<DynamicObject> = match text("/metadata/namespace") {
            "" => Api::all_with(client.clone(), &resource),
            namespace => Api::namespaced_with(client.clone(), namespace, &resource),
        };
        api.patch(name, params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("cannot install the {} {name}", kind.kind))?;
        anyhow::Ok(())
    }))
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use crate::cli::Cli;
    use crate::hooks;

    #[test]
    fn every_component_has_an_account() {
        let no_components = [
            "up",
            "down",
            "status",
            "cluster",
            "image",
            "install",
            "manifests",
            "completion",
            // Its account is given by who makes the listener.
            "event-listener",
        ];
        let cli = Cli::command();
        let commands: BTreeSet<&str> = cli
            .get_subcommands()
            .map(clap::Command::get_name)
            .filter(|name| !no_components.contains(name))
            .collect();
        let components: BTreeSet<&str> = accounts::COMPONENTS
            .iter()
            .map(|component| component.command)
            .collect();
        assert_eq!(components, commands);
    }

    /// The names are listed where the rights are: another hook needs another name there.
    #[test]
    fn the_webhook_may_register_itself_and_nobody_else() {
        let mut all = hooks::serving(serving::admission::Settings::default);
        all.extend(hooks::eventing(eventing::admission::Settings::default));
        all.extend(hooks::pipelines(pipelines::admission::Settings::default));
        all.extend(hooks::push());
        all.extend(hooks::triggers());
        all.push(hooks::sink_bindings(|| None));
        let objects = accounts::for_components("knative-serving").unwrap();
        let named = |resource: &str| -> BTreeSet<String> {
            let rules = objects
                .iter()
                .filter_map(|object| object["rules"].as_array())
                .flatten();
            rules
                .filter(|rule| rule["resources"][0] == resource)
                .flat_map(|rule| rule["resourceNames"].as_array().unwrap())
                .map(|name| name.as_str().unwrap().to_owned())
                .collect()
        };
        let registered = |mutating: bool| -> BTreeSet<String> {
            let of_kind = all.iter().filter(|hook| hook.mutating == mutating);
            of_kind.map(|hook| hook.name.clone()).collect()
        };
        assert_eq!(named("mutatingwebhookconfigurations"), registered(true));
        assert_eq!(named("validatingwebhookconfigurations"), registered(false));
        let converted = hooks::PIPELINES_CONVERTER.definitions.iter();
        let converted: BTreeSet<String> = converted.map(|name| (*name).to_owned()).collect();
        assert_eq!(named("customresourcedefinitions"), converted);
    }
}
