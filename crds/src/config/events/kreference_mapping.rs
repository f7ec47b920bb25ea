//! `config-kreference-mapping`

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{Template, TemplateError, Value};

use crate::config::data::ConfigError;
use crate::config::{Data, Snapshot};
use crate::types::KReference;

/// Addresses of kinds that do not tell them: URL templates by `Kind.version.group`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KReferenceMapping {
    templates: BTreeMap<String, String>,
}

impl Snapshot for KReferenceMapping {
    const NAME: &'static str = "config-kreference-mapping";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let templates: BTreeMap<String, String> = data
            .iter()
            .filter(|(key, _)| !key.starts_with('_'))
            .map(|(key, template)| (key.clone(), template.trim().to_owned()))
            .collect();
        for (key, template) in &templates {
            // Tried, so that a misspelt field is told when it is written.
            render(template, "name", "namespace", "system")
                .map_err(|error| ConfigError::parse(key, error))?;
        }
        Ok(Self { templates })
    }
}

impl KReferenceMapping {
    /// The URL of what `reference` names in `namespace`; `None` if its kind is not mapped.
    pub fn url(
        &self,
        reference: &KReference,
        namespace: &str,
        system_namespace: &str,
    ) -> Option<Result<String, TemplateError>> {
        let api_version = reference.api_version.as_deref().unwrap_or_default();
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let key = format!("{}.{version}.{group}", reference.kind);
        let template = self.templates.get(key.trim_end_matches('.'))?;
        Some(render(template, &reference.name, namespace, system_namespace))
    }
}

fn render(
    template: &str,
    name: &str,
    namespace: &str,
    system_namespace: &str,
) -> Result<String, TemplateError> {
    let values: BTreeMap<Arc<str>, Value> = [
        ("Name", name),
        ("Namespace", namespace),
        ("SystemNamespace", system_namespace),
        ("UID", ""),
    ]
    .into_iter()
    .map(|(key, value)| (Arc::from(key), Value::from(value)))
    .collect();
    let template = Template::new("url").parse(template)?;
    template.execute_to_string(&Value::from(values))
}
