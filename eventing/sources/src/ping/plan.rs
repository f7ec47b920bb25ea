//! What the sender reads of a PingSource.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crds::sources::PingSource;
use event_schedule::Schedule;
use informer::Key;

use crate::post::Sink;

/// A source that ticks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub key: Key,
    pub uid: String,
    /// Of the spec. What was recorded for another one says nothing about this.
    pub generation: i64,
    pub schedule: Schedule,
    pub sink: Sink,
    pub content_type: Option<String>,
    pub data: Option<Bytes>,
    /// Extensions that are set last.
    pub extensions: Vec<(String, String)>,
}

impl Plan {
    /// `None` if the source does not tick: it goes, its sink is not known, or its spec is not what admission lets in.
    pub fn of(source: &PingSource) -> Option<Self> {
        let (meta, spec) = (&source.metadata, &source.spec);
        let status = source.status.as_ref()?;
        let generation = meta.generation.unwrap_or_default();
        // A status of an older spec may name the wrong sink.
        if meta.deletion_timestamp.is_some() || status.observed_generation != Some(generation) {
            return None;
        }
        let data = if spec.data_base64.is_empty() {
            Bytes::from(spec.data.clone())
        } else {
            Bytes::from(STANDARD.decode(&spec.data_base64).ok()?)
        };
        let overrides = spec.ce_overrides.as_ref();
        Some(Self {
            key: Key::of(source),
            uid: meta.uid.clone()?,
            generation,
            schedule: Schedule::parse(default_schedule(&spec.schedule), &spec.timezone).ok()?,
            sink: Sink::of(
                meta.namespace.as_ref(),
                status.sink_uri.as_ref(),
                status.sink_ca_certs.as_ref(),
                status.sink_audience.as_ref(),
                status.auth.as_ref(),
            )?,
            content_type: (!spec.content_type.is_empty()).then(|| spec.content_type.clone()),
            data: (!data.is_empty()).then_some(data),
            extensions: overrides
                .map(|overrides| overrides.extensions.clone())
                .unwrap_or_default()
                .into_iter()
                .collect(),
        })
    }
}

/// Admission fills it in; objects from before it may lack it.
fn default_schedule(schedule: &str) -> &str {
    if schedule.is_empty() {
        "* * * * *"
    } else {
        schedule
    }
}
