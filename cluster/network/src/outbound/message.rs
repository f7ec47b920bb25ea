//! Messages of nf_tables (linux/netfilter/nf_tables.h, nfnetlink.h), as few as two rules need. Pure.

use crate::cidr::Cidr;

/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_CREATE`, `NLM_F_APPEND`.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
/// `NLMSG_ERROR`.
const ERROR: u16 = 2;
/// `NFNL_MSG_BATCH_BEGIN` and `_END`.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
const NFTABLES: u16 = 10;
/// `NFT_MSG_NEWTABLE`, `_DELTABLE`, `_NEWCHAIN`, `_NEWRULE`.
const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const NEW_RULE: u16 = 6;
/// `NFPROTO_UNSPEC`, `NFPROTO_IPV4`.
const UNSPECIFIED: u8 = 0;
const IPV4: u8 = 2;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
/// `NF_INET_POST_ROUTING`, and the priority of source translation (`NF_IP_PRI_NAT_SRC`).
const POST_ROUTING: u32 = 4;
const SOURCE_NAT: u32 = 100;
/// `NFT_PAYLOAD_NETWORK_HEADER`, and where IPv4 keeps its addresses.
const NETWORK_HEADER: u32 = 1;
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// `NFT_REG_1`.
const REGISTER: u32 = 1;
/// `NFT_CMP_EQ`, `NFT_CMP_NEQ`.
const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
/// `NFT_REG_VERDICT`, `NF_DROP`.
const VERDICT: u32 = 0;
const DROP: u32 = 0;
/// `NF_INET_FORWARD` and the priority of filters.
const FORWARD: u32 = 2;
const FILTER: u32 = 0;
/// `NFT_META_IIFNAME`; names have `IFNAMSIZ` bytes.
const INPUT_NAME: u32 = 6;
const NAME: usize = 16;
/// `NFT_CT_STATE`, and the bit of `IP_CT_NEW`, in the machine's byte order.
const CONNECTION_STATE: u32 = 0;
const NEW_CONNECTION: u32 = 8;
const OUT: &str = "postrouting";
const IN: &str = "forward";
/// Length of a message header.
const HEADER: usize = 16;

/// Messages that take effect together.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Sequence number of the message that is answered.
    pub(super) last: u32,
}

/// The table, in the place of whatever has its name, with two rules. After routing,
/// `ip saddr PODS ip daddr != PODS masquerade`; and, as a machine that forwards lets others in as well, while
/// forwarding `iifname != BRIDGE ip daddr PODS ct state new drop`. The bridge's name is the table's.
pub(super) fn replace_table(table: &str, pods: Cidr) -> Batch {
    let name = text(1, table);
    let mask = u32::MAX.checked_shl(32 - u32::from(pods.prefix())).unwrap_or(0);
    let network = pods.network().octets();
    let out = [
        address(SOURCE),
        masked(&mask.to_be_bytes()),
        compared(EQUAL, &network),
        address(DESTINATION),
        masked(&mask.to_be_bytes()),
        compared(UNEQUAL, &network),
        expression("masq", &[]),
    ];
    let mut bridge = table.as_bytes().to_vec();
    bridge.resize(NAME, 0);
    let verdict = nested(2, &number(1, DROP));
    let inwards = [
        expression("meta", &[number(1, REGISTER), number(2, INPUT_NAME)]),
        compared(UNEQUAL, &bridge),
        address(DESTINATION),
        masked(&mask.to_be_bytes()),
        compared(EQUAL, &network),
        expression("ct", &[number(1, REGISTER), number(2, CONNECTION_STATE)]),
        masked(&NEW_CONNECTION.to_ne_bytes()),
        compared(UNEQUAL, &[0; 4]),
        expression("immediate", &[number(1, VERDICT), nested(2, &verdict)]),
    ];
    batch(&[
        // Deleting what is not there fails the batch: so it is there.
        (NEW_TABLE, CREATE, name.clone()),
        (DELETE_TABLE, 0, name.clone()),
        (NEW_TABLE, CREATE, name),
        (
            NEW_CHAIN,
            CREATE,
            chain(table, OUT, "nat", (POST_ROUTING, SOURCE_NAT)),
        ),
        (NEW_RULE, CREATE | APPEND, rule(table, OUT, &out)),
        (NEW_CHAIN, CREATE, chain(table, IN, "filter", (FORWARD, FILTER))),
        (NEW_RULE, CREATE | APPEND, rule(table, IN, &inwards)),
    ])
}

fn chain(table: &str, name: &str, kind: &str, (hook, priority): (u32, u32)) -> Vec<u8> {
    let hook = [number(1, hook), number(2, priority)].concat();
    [text(1, table), text(3, name), nested(4, &hook), text(7, kind)].concat()
}

fn rule(table: &str, chain: &str, expressions: &[Vec<u8>]) -> Vec<u8> {
    [text(1, table), text(2, chain), nested(4, &expressions.concat())].concat()
}

pub(super) fn delete_table(table: &str) -> Batch {
    batch(&[(DELETE_TABLE, 0, text(1, table))])
}

/// Sequence numbers and error numbers of the answers in `received`; 0 is success.
pub(super) fn answers(mut received: &[u8]) -> Vec<(u32, i32)> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind), Some(sequence)) =
        (u32_at(received, 0), u16_at(received, 4), u32_at(received, 8))
    {
        if kind == ERROR
            && let Some(errno) = u32_at(received, HEADER)
        {
            found.push((sequence, errno.cast_signed().saturating_neg()));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX).max(HEADER);
        received = received.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// Loads an address of the packet.
fn address(offset: u32) -> Vec<u8> {
    expression(
        "payload",
        &[
            number(1, REGISTER),
            number(2, NETWORK_HEADER),
            number(3, offset),
            number(4, 4),
        ],
    )
}

fn masked(mask: &[u8; 4]) -> Vec<u8> {
    expression(
        "bitwise",
        &[
            number(1, REGISTER),
            number(2, REGISTER),
            number(3, 4),
            nested(4, &attribute(1, mask)),
            nested(5, &attribute(1, &[0; 4])),
        ],
    )
}

fn compared(operator: u32, with: &[u8]) -> Vec<u8> {
    let value = attribute(1, with);
    expression(
        "cmp",
        &[number(1, REGISTER), number(2, operator), nested(3, &value)],
    )
}

fn expression(name: &str, fields: &[Vec<u8>]) -> Vec<u8> {
    nested(1, &[text(1, name), nested(2, &fields.concat())].concat())
}

fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), b"\0"].concat())
}

fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_be_bytes())
}

fn nested(kind: u16, content: &[u8]) -> Vec<u8> {
    attribute(kind | NESTED, content)
}

fn attribute(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + content.len()).unwrap_or(u16::MAX);
    let mut bytes = [&length.to_ne_bytes(), &kind.to_ne_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn batch(changes: &[(u16, u16, Vec<u8>)]) -> Batch {
    let mut bytes = message(BATCH_BEGIN, REQUEST, 0, UNSPECIFIED, NFTABLES, &[]);
    let mut sequence = 0;
    for (index, (kind, flags, attributes)) in changes.iter().enumerate() {
        sequence += 1;
        let answered = if index + 1 == changes.len() { ACK } else { 0 };
        let kind = NFTABLES << 8 | kind;
        bytes.extend(message(
            kind,
            REQUEST | flags | answered,
            sequence,
            IPV4,
            0,
            attributes,
        ));
    }
    bytes.extend(message(
        BATCH_END,
        REQUEST,
        sequence + 1,
        UNSPECIFIED,
        NFTABLES,
        &[],
    ));
    Batch {
        bytes,
        last: sequence,
    }
}

fn message(kind: u16, flags: u16, sequence: u32, family: u8, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + 4 + attributes.len()).unwrap_or(u32::MAX);
    let [high, low] = resource.to_be_bytes();
    [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &sequence.to_ne_bytes(),
        &[0; 4],
        &[family, 0, high, low],
        attributes,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_but_their_length_is_not() {
        assert_eq!(text(1, "ab"), [7, 0, 1, 0, b'a', b'b', 0, 0]);
        assert_eq!(number(3, 16), [8, 0, 3, 0, 0, 0, 0, 16]);
    }

    #[test]
    fn answers_are_found_among_others_and_in_nonsense() {
        let error = |sequence: u32, errno: i32| {
            let mut bytes = message(ERROR, 0, sequence, 0, 0, &[]);
            bytes.truncate(HEADER);
            bytes.extend(errno.to_ne_bytes());
            bytes
        };
        let other = message(NFTABLES << 8, 0, 9, 0, 0, &[]);
        let all = [error(1, -2), other, error(5, 0)].concat();
        assert_eq!(answers(&all), [(1, 2), (5, 0)]);
        assert_eq!(answers(&[0; 40]), []);
        assert_eq!(answers(b"short"), []);
    }
}
