//! `config-defaults`

use gotmpl::{Template, Value};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::data::{ConfigError, ensure, parse_bool, read, read_bool, read_quantity, read_text};
use super::{Data, Snapshot};

/// What a template gets where it says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Seconds that a request may take.
    pub revision_timeout_seconds: i64,
    /// Largest `timeoutSeconds` that a template may ask for.
    pub max_revision_timeout_seconds: i64,
    /// Seconds to the first byte of a response.
    pub revision_response_start_timeout_seconds: i64,
    /// Seconds without a byte of the response; 0 is no limit.
    pub revision_idle_timeout_seconds: i64,
    /// Requests that one pod may work on at once; 0 is no limit.
    pub container_concurrency: i64,
    /// Largest `containerConcurrency` that a template may ask for.
    pub container_concurrency_max_limit: i64,
    /// May a template ask for no limit?
    pub allow_container_concurrency_zero: bool,
    /// Resources of containers that ask for none.
    pub resources: ContainerResources,
    /// Go template for the names of unnamed containers, over the metadata of what holds the template.
    pub container_name_template: String,
    /// The same for init containers.
    pub init_container_name_template: String,
    /// Environment variables for every Service of the namespace? `None` leaves it to Kubernetes.
    pub enable_service_links: Option<bool>,
}

/// Requests and limits; what is `None` is left unset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerResources {
    /// CPU request.
    pub cpu_request: Option<Quantity>,
    /// CPU limit.
    pub cpu_limit: Option<Quantity>,
    /// Memory request.
    pub memory_request: Option<Quantity>,
    /// Memory limit.
    pub memory_limit: Option<Quantity>,
    /// Ephemeral storage request.
    pub ephemeral_storage_request: Option<Quantity>,
    /// Ephemeral storage limit.
    pub ephemeral_storage_limit: Option<Quantity>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            revision_timeout_seconds: 300,
            max_revision_timeout_seconds: 600,
            revision_response_start_timeout_seconds: 300,
            revision_idle_timeout_seconds: 0,
            container_concurrency: 0,
            container_concurrency_max_limit: 1000,
            allow_container_concurrency_zero: true,
            resources: ContainerResources::default(),
            container_name_template: "user-container".to_owned(),
            init_container_name_template: "init-container".to_owned(),
            enable_service_links: Some(false),
        }
    }
}

impl Snapshot for Defaults {
    const NAME: &'static str = "config-defaults";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read(
            data,
            "revision-timeout-seconds",
            &mut config.revision_timeout_seconds,
        )?;
        read(
            data,
            "max-revision-timeout-seconds",
            &mut config.max_revision_timeout_seconds,
        )?;
        config.revision_response_start_timeout_seconds = config.revision_timeout_seconds;
        read(
            data,
            "revision-response-start-timeout-seconds",
            &mut config.revision_response_start_timeout_seconds,
        )?;
        read(
            data,
            "revision-idle-timeout-seconds",
            &mut config.revision_idle_timeout_seconds,
        )?;
        read(data, "container-concurrency", &mut config.container_concurrency)?;
        read(
            data,
            "container-concurrency-max-limit",
            &mut config.container_concurrency_max_limit,
        )?;
        read_bool(
            data,
            "allow-container-concurrency-zero",
            &mut config.allow_container_concurrency_zero,
        )?;
        let resources = &mut config.resources;
        read_quantity(data, &["revision-cpu-request"], &mut resources.cpu_request)?;
        read_quantity(data, &["revision-cpu-limit"], &mut resources.cpu_limit)?;
        read_quantity(data, &["revision-memory-request"], &mut resources.memory_request)?;
        read_quantity(data, &["revision-memory-limit"], &mut resources.memory_limit)?;
        read_quantity(
            data,
            &["revision-ephemeral-storage-request"],
            &mut resources.ephemeral_storage_request,
        )?;
        read_quantity(
            data,
            &["revision-ephemeral-storage-limit"],
            &mut resources.ephemeral_storage_limit,
        )?;
        read_text(
            data,
            &["container-name-template"],
            &mut config.container_name_template,
        );
        read_text(
            data,
            &["init-container-name-template"],
            &mut config.init_container_name_template,
        );
        config.read_service_links(data)?;
        config.check_timeouts()?;
        config.check_concurrency()?;
        config.check_names()?;
        Ok(config)
    }
}

impl Defaults {
    /// Name of an unnamed container in the template of the object with this metadata.
    pub fn container_name(&self, parent: &ObjectMeta) -> String {
        // The template has been tried when the snapshot was made; what it still trips over gets the common name.
        render_name(&self.container_name_template, parent).unwrap_or_else(|_| "user-container".to_owned())
    }

    /// Name of an unnamed init container in the template of the object with this metadata.
    pub fn init_container_name(&self, parent: &ObjectMeta) -> String {
        render_name(&self.init_container_name_template, parent)
            .unwrap_or_else(|_| "init-container".to_owned())
    }

    fn read_service_links(&mut self, data: &Data) -> Result<(), ConfigError> {
        let key = "enable-service-links";
        if let Some(value) = data.get(key) {
            self.enable_service_links = match value.as_str() {
                "default" => None,
                other => Some(parse_bool(other).ok_or_else(|| {
                    ConfigError::parse(
                        key,
                        format!("{other:?} is none of \"true\", \"false\" and \"default\""),
                    )
                })?),
            };
        }
        Ok(())
    }

    fn check_timeouts(&self) -> Result<(), ConfigError> {
        let max = self.max_revision_timeout_seconds;
        ensure(max > 0, "max-revision-timeout-seconds", max, "must be positive")?;
        for (key, seconds, lowest) in [
            ("revision-timeout-seconds", self.revision_timeout_seconds, 1),
            (
                "revision-response-start-timeout-seconds",
                self.revision_response_start_timeout_seconds,
                0,
            ),
            (
                "revision-idle-timeout-seconds",
                self.revision_idle_timeout_seconds,
                0,
            ),
        ] {
            ensure(
                (lowest..=max).contains(&seconds),
                key,
                seconds,
                format!("must be in [{lowest}, max-revision-timeout-seconds({max})] range"),
            )?;
        }
        Ok(())
    }

    fn check_concurrency(&self) -> Result<(), ConfigError> {
        let max = self.container_concurrency_max_limit;
        ensure(
            max >= 1,
            "container-concurrency-max-limit",
            max,
            "must be at least 1",
        )?;
        let lowest = if self.allow_container_concurrency_zero {
            0
        } else {
            1
        };
        ensure(
            (lowest..=max).contains(&self.container_concurrency),
            "container-concurrency",
            self.container_concurrency,
            format!("must be in [{lowest}, container-concurrency-max-limit({max})] range"),
        )
    }

    fn check_names(&self) -> Result<(), ConfigError> {
        let parent = ObjectMeta {
            name: Some("name".to_owned()),
            namespace: Some("namespace".to_owned()),
            ..ObjectMeta::default()
        };
        for (key, template) in [
            ("container-name-template", &self.container_name_template),
            ("init-container-name-template", &self.init_container_name_template),
        ] {
            render_name(template, &parent).map_err(|error| ConfigError::parse(key, error))?;
        }
        Ok(())
    }
}

/// Renders a name template over what an ObjectMeta offers.
fn render_name(template: &str, parent: &ObjectMeta) -> Result<String, gotmpl::TemplateError> {
    let text = |text: &Option<String>| Value::from(text.clone().unwrap_or_default());
    let map =
        |map: &Option<std::collections::BTreeMap<String, String>>| super::network::string_map(map.as_ref());
    let values = Value::from_entries([
        ("Name".to_owned(), text(&parent.name)),
        ("GenerateName".to_owned(), text(&parent.generate_name)),
        ("Namespace".to_owned(), text(&parent.namespace)),
        ("UID".to_owned(), text(&parent.uid)),
        (
            "Generation".to_owned(),
            Value::Int(parent.generation.unwrap_or_default()),
        ),
        ("Labels".to_owned(), map(&parent.labels)),
        ("Annotations".to_owned(), map(&parent.annotations)),
    ]);
    Template::new("name")
        .missing_key(gotmpl::MissingKey::Error)
        .parse(template)?
        .execute_to_string(&values)
}
