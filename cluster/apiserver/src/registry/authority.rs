//! Who asks.

use std::collections::BTreeMap;

/// An authenticated caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: Vec<String>,
    pub(crate) extra: BTreeMap<String, Vec<String>>,
    /// What `User-Agent` says up to the first slash: the field manager of those who do not name one.
    pub(crate) agent: String,
}

impl Caller {
    /// The platform itself, over the client in process.
    pub(crate) fn platform() -> Self {
        Self {
            name: "system:admin".into(),
            groups: vec!["system:masters".into(), "system:authenticated".into()],
            ..Self::default()
        }
    }
}
