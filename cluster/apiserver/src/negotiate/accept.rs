//! `Accept` and `Accept-Encoding`.

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

use crate::represent::Representation;
use crate::status::StatusError;

const OFFERED: &str = "application/json, application/yaml";

/// Text form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Encoding {
    #[default]
    Json,
    Yaml,
}

/// What discovery may answer with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Document {
    #[default]
    Plain,
    /// `APIGroupDiscoveryList`, with the version that was asked for.
    Aggregated(&'static str),
}

/// The first acceptable form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) encoding: Encoding,
    pub(crate) representation: Representation,
    pub(crate) document: Document,
}

impl Accepted {
    /// Chooses from the header; the order of the list is the client's preference.
    ///
    /// # Errors
    /// 406 when nothing can be offered.
    pub(crate) fn parse(headers: &HeaderMap, include_object: &str) -> Result<Self, StatusError> {
        let header = headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect::<Vec<_>>()
            .join(",");
        if header.trim().is_empty() {
            return Ok(Self::default());
        }
        header
            .split(',')
            .find_map(|range| parse_range(range, include_object))
            .ok_or_else(|| StatusError::not_acceptable(OFFERED))
    }
}

fn parse_range(range: &str, include_object: &str) -> Option<Accepted> {
    let mut parts = range.split(';').map(str::trim);
    let encoding = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" | "*/*" | "application/*" => Encoding::Json,
        "application/yaml" => Encoding::Yaml,
        _ => return None,
    };
    let (mut kind, mut group, mut version) = ("", "", "");
    for part in parts {
        match part.split_once('=') {
            Some(("as", value)) => kind = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    let mut accepted = Accepted {
        encoding,
        ..Accepted::default()
    };
    match (kind, group, version) {
        ("", _, _) => {}
        ("Table", "meta.k8s.io", "v1") => {
            accepted.representation = Representation::table("v1", include_object)
        }
        ("Table", "meta.k8s.io", "v1beta1") => {
            accepted.representation = Representation::table("v1beta1", include_object)
        }
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
            accepted.representation = Representation::Metadata("v1");
        }
        ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1beta1") => {
            accepted.representation = Representation::Metadata("v1beta1");
        }
        ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => {
            accepted.document = Document::Aggregated("v2")
        }
        _ => return None,
    }
    Some(accepted)
}

/// Returns whether the client takes gzip.
pub(crate) fn wants_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim() == "gzip" && !matches!(quality.trim(), "q=0" | "q=0.0")
        })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn accept(value: &'static str) -> Result<Accepted, StatusError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(value));
        Accepted::parse(&headers, "")
    }

    #[test]
    fn the_first_possible_form_wins() {
        let table = Representation::table("v1", "");
        for (header, representation) in [
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
                table,
            ),
            (
                "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1, application/json",
                Representation::Object,
            ),
            (
                "application/json;as=Unknown;v=v1;g=x, */*",
                Representation::Object,
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Representation::Metadata("v1"),
            ),
        ] {
            assert_eq!(accept(header).unwrap().representation, representation, "{header}");
        }
        assert_eq!(accept("application/yaml").unwrap().encoding, Encoding::Yaml);
        assert_eq!(
            accept("application/vnd.kubernetes.protobuf").unwrap_err().code,
            406
        );
        assert_eq!(
            accept("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json")
                .unwrap()
                .document,
            Document::Aggregated("v2")
        );
    }
}
