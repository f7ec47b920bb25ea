//! `kn source container`: a container of one's own that sends events to `$K_SINK`.

use clap::Args;
use serde_json::Value;

use super::verbs::SourceFlags;
use crate::change::container;
use crate::change::json::at;
use crate::commands::list::text;
use crate::error::CliError;
use crate::flags::pod::PodArgs;
use crate::kind::Kind;
use crate::{describe, revision_view};

#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    #[command(flatten)]
    pod: PodArgs,
}

impl SourceFlags for Flags {
    const KIND: Kind = Kind::ContainerSource;
    const EXAMPLE: &str = "--image localhost:5000/heartbeats --env PERIOD=1";
    const CHANGE: &str = "--env PERIOD=5";
    const HEADER: &str = "IMAGE";

    fn missing(&self) -> Vec<&'static str> {
        match self.pod.image.is_empty() {
            true => vec!["image"],
            false => Vec::new(),
        }
    }

    fn load(&mut self) -> Result<(), CliError> {
        self.pod.load()
    }

    fn apply(&self, spec: &mut Value, _: &str) -> Result<(), CliError> {
        if self.pod == PodArgs::default() {
            return Ok(());
        }
        container::apply(at(spec, &["template", "spec"]), &self.pod)
    }

    fn cell(source: &Value) -> String {
        text(source, "/spec/template/spec/containers/0/image")
    }

    fn head(_: &Value) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn blocks(source: &Value, verbose: bool) -> [(&'static str, String); 2] {
        let container = &source["spec"]["template"]["spec"]["containers"][0];
        let args = container["args"].as_array().into_iter().flatten();
        let args: Vec<&str> = args.filter_map(Value::as_str).collect();
        let mut rows = vec![
            ("Image", text(container, "/image")),
            ("Env", describe::listed(&revision_view::env(container), verbose)),
            ("Args", args.join(" ")),
        ];
        rows.retain(|(_, value)| !value.is_empty());
        [("Container", describe::block(&rows)), ("", String::new())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::source::verbs::render;
    use crate::flags::env::EnvFlag;
    use jiff::Timestamp;
    use serde_json::json;

    #[test]
    fn the_container_is_made_and_shown() {
        let mut flags = Flags::default();
        assert_eq!(flags.missing(), ["image"]);
        flags.pod.image = vec!["reg.io/beat".into()];
        flags.pod.env.flags = vec![EnvFlag::Value("A=1".into())];
        flags.pod.arg = vec!["--period".into(), "1".into()];
        let mut spec = json!({});
        flags.apply(&mut spec, "d").unwrap();
        let text = render::<Flags>(
            &json!({ "metadata": { "name": "s" }, "spec": spec }),
            false,
            Timestamp::UNIX_EPOCH,
        );
        assert!(
            text.contains("Container:\n  Image:  reg.io/beat\n  Env:    A=1\n  Args:   --period 1\n"),
            "{text}"
        );
    }
}
