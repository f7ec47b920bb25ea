//! Events as they are stored.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crds::triggers::{
    Content, EventListener, Header, ReceivedEvent, ReceivedEventSpec, ReceivedEventStatus, labels,
};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use sha2::{Digest as _, Sha256};

use crate::event::Incoming;

/// Largest body (GitHub's largest payload).
pub(super) const MAX_BODY: usize = 25 << 20;
/// Characters of a body in one object: API servers take objects of 1.5 MiB at most.
const PART: usize = 900 * 1024;
/// Longest id that a sender may give to a delivery.
const LONGEST_ID: usize = 256;
/// Headers by which senders number their deliveries: GitHub, GitLab (new and old), Bitbucket.
const DELIVERY: [&str; 4] = [
    "x-github-delivery",
    "idempotency-key",
    "x-gitlab-event-uuid",
    "x-request-uuid",
];

/// The sender's own id of a delivery, if it has one.
pub(super) fn delivery(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?;
        (!value.is_empty() && value.len() <= LONGEST_ID).then(|| value.to_owned())
    };
    DELIVERY
        .into_iter()
        .find_map(text)
        .or_else(|| Some(format!("{} {}", text("ce-source")?, text("ce-id")?)))
}

/// The id of an event. For a numbered delivery it follows from the number and the body, so that one that is made
/// again has the same; nobody can take a number for another body.
pub(super) fn event_id(listener: &EventListener, delivery: Option<&str>, body: &[u8]) -> String {
    let Some(delivery) = delivery else {
        return uuid::Uuid::new_v4().to_string();
    };
    let uid = listener.metadata.uid.as_deref().unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [uid.as_bytes(), delivery.as_bytes()] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.update(body);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(hash.finalize().get(..16).unwrap_or(&[0; 16]));
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// An event as objects: the first has all but what does not fit into it of the body.
pub(super) fn pack(
    listener: &EventListener,
    delivery: Option<&str>,
    event: &Incoming,
) -> std::io::Result<(ReceivedEvent, Vec<ReceivedEvent>)> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::fast());
    zip.write_all(&event.body)?;
    let text = STANDARD.encode(zip.finish()?);
    let mut parts = text
        .as_bytes()
        .chunks(PART)
        .map(|part| String::from_utf8_lossy(part).into_owned());
    let first = parts.next().unwrap_or_default();
    let rest: Vec<String> = parts.collect();
    let name = listener.metadata.name.clone().unwrap_or_default();
    let object = |id: String, state: &str, content: Content| ReceivedEvent {
        metadata: ObjectMeta {
            name: Some(id),
            namespace: listener.metadata.namespace.clone(),
            labels: Some(BTreeMap::from([
                (labels::LISTENER.to_owned(), name.clone()),
                (labels::STATE.to_owned(), state.to_owned()),
            ])),
            owner_references: listener.owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: ReceivedEventSpec {
            listener: name.clone(),
            event_id: event.id.clone(),
            delivery: delivery.unwrap_or_default().to_owned(),
            received_at: Some(Time(event.received_at)),
            content: Some(content),
        },
        status: None,
    };
    let mut head = object(
        event.id.clone(),
        labels::OPEN,
        Content {
            url: event.url.clone(),
            headers: headers(&event.headers),
            body: first,
            more_parts: u32::try_from(rest.len()).unwrap_or(u32::MAX),
        },
    );
    head.status = Some(ReceivedEventStatus::default());
    let parts = rest.into_iter().enumerate().map(|(index, body)| {
        let content = Content {
            body,
            ..Content::default()
        };
        object(part_name(&event.id, index), labels::PART, content)
    });
    Ok((head, parts.collect()))
}

/// What a further part of an event is called.
pub(super) fn part_name(id: &str, index: usize) -> String {
    format!("{id}.{}", index + 1)
}

fn headers(headers: &HeaderMap) -> Vec<Header> {
    headers
        .iter()
        .filter_map(|(name, value)| {
            Some(Header {
                name: name.as_str().to_owned(),
                value: value.to_str().ok()?.to_owned(),
            })
        })
        .collect()
}

/// Why a stored event cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("its content is gone")]
    Gone,
    #[error("its body is no base64: {0}")]
    Encoding(#[from] base64::DecodeError),
    #[error("its body cannot be unpacked: {0}")]
    Packing(#[from] std::io::Error),
}

/// The event of stored objects; `parts` are the further parts of the body.
pub(super) fn unpack(head: &ReceivedEvent, parts: &[ReceivedEvent]) -> Result<Incoming, Unreadable> {
    let content = head.spec.content.as_ref().ok_or(Unreadable::Gone)?;
    let mut text = content.body.clone();
    for part in parts {
        text.push_str(&part.spec.content.as_ref().ok_or(Unreadable::Gone)?.body);
    }
    let packed = STANDARD.decode(text)?;
    let mut body = Vec::new();
    let limit = u64::try_from(MAX_BODY).unwrap_or(u64::MAX);
    GzDecoder::new(packed.as_slice())
        .take(limit)
        .read_to_end(&mut body)?;
    let mut headers = HeaderMap::new();
    for header in &content.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(header.name.as_bytes()),
            HeaderValue::from_str(&header.value),
        ) {
            headers.append(name, value);
        }
    }
    Ok(Incoming {
        id: head.spec.event_id.clone(),
        url: content.url.clone(),
        headers,
        body: Bytes::from(body),
        received_at: head
            .spec
            .received_at
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(uid: &str) -> EventListener {
        let mut listener = EventListener::new("el", crds::triggers::EventListenerSpec::default());
        listener.metadata.uid = Some(uid.to_owned());
        listener
    }

    fn incoming(body: Vec<u8>) -> Incoming {
        let mut headers = HeaderMap::new();
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        Incoming {
            id: "the-id".to_owned(),
            url: "http://x/y".to_owned(),
            headers,
            body: Bytes::from(body),
            received_at: Timestamp::from_second(7).unwrap(),
        }
    }

    #[test]
    fn a_delivery_that_is_made_again_is_the_same_event() {
        let id = |uid: &str, delivery: Option<&str>, body: &[u8]| event_id(&listener(uid), delivery, body);
        let first = id("u", Some("1"), b"{}");
        assert_eq!(first, id("u", Some("1"), b"{}"));
        for other in [
            id("v", Some("1"), b"{}"),
            id("u", Some("2"), b"{}"),
            id("u", Some("1"), b"{ }"),
            id("u", None, b"{}"),
        ] {
            assert_ne!(first, other);
        }
        assert_ne!(id("u", None, b"{}"), id("u", None, b"{}"));
        assert!(uuid::Uuid::parse_str(&first).is_ok());
    }

    #[test]
    fn senders_number_deliveries_in_headers() {
        let of = |all: &[(&'static str, &'static str)]| {
            let headers = all
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            delivery(&headers.collect())
        };
        assert_eq!(of(&[("x-github-delivery", "g")]).as_deref(), Some("g"));
        assert_eq!(of(&[("x-gitlab-event-uuid", "g")]).as_deref(), Some("g"));
        assert_eq!(
            of(&[("ce-id", "1"), ("ce-source", "/s")]).as_deref(),
            Some("/s 1")
        );
        assert_eq!(of(&[("ce-id", "1")]), None);
        assert_eq!(of(&[("x-github-delivery", "")]), None);
    }

    #[test]
    fn events_come_back_as_they_were_stored() {
        // Hashes do not get smaller, so that the second takes several objects.
        let mut noise = Vec::new();
        while noise.len() < 2 << 20 {
            noise.extend_from_slice(&Sha256::digest(noise.len().to_be_bytes()));
        }
        for (body, parts_expected) in [(b"{}".to_vec(), 0), (noise, 3)] {
            let event = incoming(body);
            let (head, parts) = pack(&listener("u"), Some("d"), &event).unwrap();
            assert_eq!(parts.len(), parts_expected);
            for object in parts.iter().chain([&head]) {
                assert!(serde_json::to_vec(object).unwrap().len() < 1_000_000);
            }
            let back = unpack(&head, &parts).unwrap();
            assert_eq!(back.body, event.body);
            assert_eq!(back.headers, event.headers);
            assert_eq!((back.id, back.url), (event.id, event.url));
            assert_eq!(back.received_at, event.received_at);
        }
    }
}
