//! What the data plane tells the autoscaler: protobuf messages of the scrape answer and of the activators' WebSocket.
//!
//! Field numbers and types are those of upstream's `stat.proto`; an upstream autoscaler can scrape our sidecars and
//! take our activators' frames, and the other way round.

use prost::Message;

/// Content type of a scrape answer, asked for by `Accept`.
pub const CONTENT_TYPE: &str = "application/protobuf";

/// One report about the requests of a revision, by a pod's queue-proxy or by an activator.
#[derive(Clone, PartialEq, Message)]
pub struct Stat {
    /// Who measured: the pod of the queue-proxy, or the activator.
    #[prost(string, tag = "1")]
    pub pod_name: String,
    /// Requests in flight, averaged over the reporting period.
    #[prost(double, tag = "2")]
    pub average_concurrent_requests: f64,
    /// The part of `average_concurrent_requests` that came through an activator (which reports it too).
    #[prost(double, tag = "3")]
    pub average_proxied_concurrent_requests: f64,
    /// Requests that arrived per second of the reporting period.
    #[prost(double, tag = "4")]
    pub request_count: f64,
    /// The part of `request_count` that came through an activator.
    #[prost(double, tag = "5")]
    pub proxied_request_count: f64,
    /// Seconds since the reporting process started.
    #[prost(double, tag = "6")]
    pub process_uptime: f64,
    /// Unix time of the report in milliseconds; 0 lets the receiver use its own clock.
    #[prost(int64, tag = "7")]
    pub timestamp: i64,
}

/// A [`Stat`] addressed to a revision.
#[derive(Clone, PartialEq, Message)]
pub struct WireStatMessage {
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Name of the revision.
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(message, optional, tag = "3")]
    pub stat: Option<Stat>,
}

/// One binary WebSocket frame from an activator.
#[derive(Clone, PartialEq, Message)]
pub struct WireStatMessages {
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<WireStatMessage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_has_the_upstream_wire_format() {
        let stat = Stat {
            pod_name: "p".into(),
            average_concurrent_requests: 1.0,
            timestamp: 5,
            ..Stat::default()
        };
        // Field 1 length-delimited "p", field 2 fixed64 1.0, field 7 varint 5.
        let expected = [0x0a, 1, b'p', 0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x38, 5];
        assert_eq!(stat.encode_to_vec(), expected);
        assert_eq!(Stat::decode(&expected[..]).unwrap(), stat);
    }

    #[test]
    fn messages_nest_and_unknown_fields_are_skipped() {
        let frame = WireStatMessages {
            messages: vec![WireStatMessage {
                namespace: "n".into(),
                name: "r".into(),
                stat: Some(Stat::default()),
            }],
        };
        let mut bytes = frame.encode_to_vec();
        bytes.extend([0x48, 1]); // field 9, varint 1: from a newer sender
        assert_eq!(WireStatMessages::decode(&bytes[..]).unwrap(), frame);
    }
}
