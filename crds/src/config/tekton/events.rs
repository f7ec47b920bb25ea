//! `config-events`

use crate::config::data::{ConfigError, ensure, read_text};
use crate::config::{Data, Snapshot};

use super::Defaults;

/// The one format that there is.
const FORMAT: &str = "tektonv1";

/// Who is told by CloudEvents what becomes of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// The URL that events are sent to; empty: `config-defaults` says.
    pub sink: String,
}

impl Events {
    /// Where events go. `None`: nobody is told.
    pub fn sink<'a>(&'a self, defaults: &'a Defaults) -> Option<&'a str> {
        [&self.sink, &defaults.cloud_events_sink]
            .into_iter()
            .map(String::as_str)
            .find(|sink| !sink.is_empty())
    }
}

impl Snapshot for Events {
    const NAME: &'static str = "config-events";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut found = Self::default();
        let mut formats = FORMAT.to_owned();
        read_text(data, &["formats"], &mut formats);
        ensure(
            formats.trim() == FORMAT,
            "formats",
            format_args!("{formats:?}"),
            format!("must be {FORMAT}; without a sink nothing is sent"),
        )?;
        found.sink = sink(data, "sink")?;
        Ok(found)
    }
}

/// The sink that a key names.
///
/// # Errors
/// If events cannot be sent there.
pub(super) fn sink(data: &Data, key: &'static str) -> Result<String, ConfigError> {
    let sink = data.get(key).map(|sink| sink.trim()).unwrap_or_default();
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| sink.strip_prefix(scheme))
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    ensure(
        sink.is_empty() || host,
        key,
        sink,
        "must be an absolute URL, http:// or https://",
    )?;
    Ok(sink.to_owned())
}
