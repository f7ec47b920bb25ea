//! From a query's bytes to an answer's bytes, or to the need to ask elsewhere.

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};

use super::zone::{Found, Zone};
use crate::catalog::State;

/// Answers over UDP without EDNS (RFC 1035 §4.2.1).
const PLAIN_PAYLOAD: u16 = 512;

/// Largest answer over UDP: what passes any link unfragmented (DNS flag day 2020).
pub(super) const MAX_PAYLOAD: u16 = 1_232;

/// What to do about a query.
#[derive(Debug)]
pub(super) enum Reply {
    /// Answer so.
    Ready(Message),
    /// Hand the query on as it is.
    Forward(Message),
    /// Ask elsewhere for the end of an alias chain and put it behind these answers.
    Complete {
        reply: Message,
        target: Name,
        kind: RecordType,
    },
    /// Not a query, or too damaged to answer.
    Nothing,
}

/// Decides about one query. `state` is `None` while it is not known yet.
pub(super) fn reply(packet: &[u8], zone: &Zone, state: Option<&State>) -> Reply {
    let Ok(query) = Message::from_vec(packet) else {
        return damaged(packet);
    };
    if query.metadata.message_type != MessageType::Query {
        return Reply::Nothing;
    }
    let refuse = |code| {
        let mut reply = start(&query);
        reply.metadata.response_code = code;
        Reply::Ready(reply)
    };
    if query.metadata.op_code != OpCode::Query {
        return refuse(ResponseCode::NotImp);
    }
    if query.edns.as_ref().is_some_and(|edns| edns.version() > 0) {
        return refuse(ResponseCode::BADVERS);
    }
    let [question] = query.queries.as_slice() else {
        return refuse(ResponseCode::FormErr);
    };
    if question.query_class() != DNSClass::IN {
        return refuse(ResponseCode::Refused);
    }
    let Some(state) = state else {
        return refuse(ResponseCode::ServFail);
    };
    let kind = question.query_type();
    let found = zone.find(state, question.name(), kind);
    let mut reply = start(&query);
    match found {
        Found::Outside => return Reply::Forward(query),
        Found::Alias { answers, target } => {
            reply.answers = answers;
            return Reply::Complete { reply, target, kind };
        }
        Found::Records { answers, additionals } => {
            reply.answers = shuffled(answers);
            reply.additionals = additionals;
        }
        Found::NoData => reply.authorities = vec![zone.soa()],
        Found::NoName => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.authorities = vec![zone.soa()];
        }
    }
    Reply::Ready(reply)
}

/// Says that nobody could be asked.
pub(super) fn server_failure(query: &Message) -> Message {
    let mut reply = start(query);
    reply.metadata.authoritative = false;
    reply.metadata.response_code = ResponseCode::ServFail;
    reply
}

/// Encodes for UDP: what does not fit is cut, and the client asks again over TCP.
pub(super) fn encode_udp(reply: &Message, limit: u16) -> Option<Vec<u8>> {
    let bytes = reply.to_vec().ok()?;
    if bytes.len() <= usize::from(limit) {
        return Some(bytes);
    }
    reply.truncate().to_vec().ok()
}

/// How much the client of this query takes over UDP.
pub(super) fn udp_limit(packet: &[u8]) -> u16 {
    let edns = Message::from_vec(packet).ok().and_then(|query| query.edns);
    edns.map_or(PLAIN_PAYLOAD, |edns| {
        edns.max_payload().clamp(PLAIN_PAYLOAD, MAX_PAYLOAD)
    })
}

fn start(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = query.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.authoritative = true;
    reply.queries.clone_from(&query.queries);
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_PAYLOAD);
        reply.edns = Some(edns);
    }
    reply
}

/// A header that can be read gets FORMERR.
fn damaged(packet: &[u8]) -> Reply {
    match packet {
        [high, low, flags, _, ..] if packet.len() >= 12 && flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            Reply::Ready(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr))
        }
        _ => Reply::Nothing,
    }
}

/// Spreads clients that always take the first address.
fn shuffled(mut answers: Vec<Record>) -> Vec<Record> {
    let addresses = answers.iter().all(|record| record.record_type() == RecordType::A);
    if addresses && answers.len() > 1 {
        let first = rand::random_range(0..answers.len());
        answers.rotate_left(first);
    }
    answers
}
