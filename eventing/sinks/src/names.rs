//! What the Job of an event is called, and where one asks for it.

use md5::{Digest as _, Md5};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What a segment of a path may not hold as it is; others are shown, for people read this.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// An event of a sink, by what identifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub namespace: String,
    pub sink: String,
    pub source: String,
    pub id: String,
}

impl Address {
    /// The event in labels: MD5 of source and id. Two events that differ may share it (`a` + `bc`, `ab` + `c`), so
    /// whoever finds an object by it has to compare both.
    pub fn label(&self) -> String {
        let digest = Md5::digest(format!("{}{}", self.source, self.id));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The name of the Job and of its Secret.
    pub fn job(&self) -> String {
        crds::names::child_name(&format!("{}-", self.sink), &self.label())
    }

    /// Where one asks how the Job goes.
    pub fn location(&self) -> String {
        let [namespace, sink, source, id] = [&self.namespace, &self.sink, &self.source, &self.id]
            .map(|text| utf8_percent_encode(text, SEGMENT));
        format!("/namespaces/{namespace}/name/{sink}/sources/{source}/ids/{id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_sink_source_and_id() {
        let address = |sink: &str, source: &str, id: &str| Address {
            namespace: "ns".into(),
            sink: sink.into(),
            source: source.into(),
            id: id.into(),
        };
        let one = address("s", "/me", "1");
        assert_eq!(one.job(), format!("s-{}", one.label()));
        assert_eq!(one.label().len(), 32);
        assert_eq!(one.location(), "/namespaces/ns/name/s/sources/%2Fme/ids/1");
        let long = "s".repeat(60);
        let (a, b) = (address(&long, "/me", "1").job(), address(&long, "/me", "2").job());
        assert!(a != b && a.len() <= 63 && b.len() <= 63, "{a} {b}");
    }
}
