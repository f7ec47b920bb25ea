//! Which types there are, as definitions tell by their labels; for people who may not read definitions, those of the
//! built-in types that answer.

use clap::Args;
use kube::api::{ApiResource, ListParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::cli::NamespaceArgs;
use crate::commands::list::{list_object, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};

/// Flags of `list-types`.
#[derive(Args, Clone, Debug, Default)]
pub struct TypesArgs {
    #[command(flatten)]
    pub namespace: NamespaceArgs,
    /// Leave out the column headers
    #[arg(long)]
    pub no_headers: bool,
    #[command(flatten)]
    form: OutputArgs,
}

/// A type that this program knows of.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    pub group: &'static str,
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    /// What it does, in a sentence.
    pub description: &'static str,
}

/// Definitions of custom resources.
#[derive(Clone, Debug)]
pub struct Types {
    /// In the order of their kinds.
    pub items: Vec<Value>,
    known: &'static [BuiltIn],
}

fn definitions() -> ApiResource {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    ApiResource::from_gvk_with_plural(&kind, "customresourcedefinitions")
}

impl BuiltIn {
    /// What matters of its definition.
    fn definition(&self) -> Value {
        json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": { "name": format!("{}.{}", self.plural, self.group) },
                "spec": { "group": self.group, "names": { "kind": self.kind, "plural": self.plural },
                          "versions": [{ "name": self.version, "served": true }] } })
    }
}

/// How objects of a defined type are reached: by the first version that is served.
pub fn resource(definition: &Value) -> Option<ApiResource> {
    let served = |version: &&Value| version["served"] == true;
    let version = definition["spec"]["versions"].as_array()?.iter().find(served)?;
    let kind = GroupVersionKind::gvk(
        definition["spec"]["group"].as_str()?,
        version["name"].as_str()?,
        definition["spec"]["names"]["kind"].as_str()?,
    );
    Some(ApiResource::from_gvk_with_plural(
        &kind,
        definition["spec"]["names"]["plural"].as_str()?,
    ))
}

impl Types {
    /// Reads the definitions with this label. Whoever may not gets those of `built_in` whose objects can be listed in the
    /// namespace.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn read(
        context: &Context,
        label: &str,
        built_in: &'static [BuiltIn],
        namespace: &NamespaceArgs,
    ) -> Result<Self, CliError> {
        let listed = context
            .api_all(definitions())
            .await?
            .list(&ListParams::default().labels(label))
            .await;
        let mut items: Vec<Value> = match listed {
            Ok(listed) => listed.items.iter().map(|definition| json!(definition)).collect(),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Self::answering(context, built_in, namespace).await?
            }
            Err(error) => return Err(error.into()),
        };
        for definition in &mut items {
            definition["apiVersion"] = json!("apiextensions.k8s.io/v1");
            definition["kind"] = json!("CustomResourceDefinition");
        }
        items.sort_by_key(|definition| text(definition, "/spec/names/kind"));
        Ok(Self {
            items,
            known: built_in,
        })
    }

    async fn answering(
        context: &Context,
        built_in: &'static [BuiltIn],
        namespace: &NamespaceArgs,
    ) -> Result<Vec<Value>, CliError> {
        let namespace = context.namespace(namespace).await?;
        let mut found = Vec::new();
        for known in built_in {
            let definition = known.definition();
            let Some(resource) = resource(&definition) else {
                continue;
            };
            let api = context.api(resource, &namespace).await?;
            match api.list_metadata(&ListParams::default().limit(1)).await {
                Ok(_) => found.push(definition),
                Err(kube::Error::Api(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// What a type does, in a sentence: of those this program knows, its own words, else those of the definition.
    pub fn description(&self, definition: &Value) -> String {
        let kind = text(definition, "/spec/names/kind");
        let known = self.known.iter().find(|known| known.kind == kind);
        known.map_or_else(
            || text(definition, "/spec/versions/0/schema/openAPIV3Schema/description"),
            |known| known.description.to_owned(),
        )
    }
}

impl TypesArgs {
    /// Prints types in the form that was asked for; `false` if none was.
    ///
    /// # Errors
    /// There are no types, and no form was asked for.
    pub fn print(&self, types: &Types, family: &str, output: &mut Output) -> Result<bool, CliError> {
        if self
            .form
            .print(&list_object(&definitions(), &types.items), output)?
        {
            return Ok(true);
        }
        if types.items.is_empty() {
            return Err(CliError::new(
                Exit::NotFound,
                format!("no or newer Knative {family} API found on the backend"),
            )
            .with_hint("check that Knative Eventing or Spindrift is installed there"));
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_served_version_is_used() {
        let definition = json!({ "spec": { "group": "g", "names": { "kind": "K", "plural": "ks" },
            "versions": [{ "name": "v2", "served": false }, { "name": "v1", "served": true }] } });
        let found = resource(&definition).unwrap();
        assert_eq!(
            (found.api_version.as_str(), found.plural.as_str()),
            ("g/v1", "ks")
        );
        assert!(resource(&json!({ "spec": {} })).is_none());
    }
}
