//! The kernel's packet filter tables, asked for without a program that not every machine has.

use std::os::fd::AsRawFd;

use anyhow::Context;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// `NFNL_SUBSYS_NFTABLES`, `NFT_MSG_GETTABLE`; `NFTA_TABLE_NAME`.
const GET_TABLE: u16 = (10 << 8) | 1;
const NAME: u16 = 1;
/// `NLM_F_REQUEST | NLM_F_DUMP`.
const DUMP: u16 = 0x1 | 0x300;
/// `NLMSG_ERROR`, `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Lengths of `nlmsghdr` and `nfgenmsg`.
const HEADER: usize = 16;
const GENERIC: usize = 4;

/// Names of all tables; none on a kernel without nf_tables.
///
/// # Errors
/// If the kernel cannot be asked.
pub fn tables() -> anyhow::Result<Vec<String>> {
    let Ok(socket) = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    ) else {
        return Ok(Vec::new());
    };
    let mut request = Vec::new();
    request.extend(u32::try_from(HEADER + GENERIC)?.to_ne_bytes());
    request.extend(GET_TABLE.to_ne_bytes());
    request.extend(DUMP.to_ne_bytes());
    // Sequence number, port, then family, version and resource.
    request.extend([0; 8 + GENERIC]);
    sendto(
        socket.as_raw_fd(),
        &request,
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )?;
    let mut names = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..count).unwrap_or_default();
        while rest.len() >= HEADER {
            let (length, kind) = (number(rest, 0, 4)?, number(rest, 4, 2)?);
            let message = rest.get(..length).context("a message without its end")?;
            match u16::try_from(kind)? {
                ERROR | DONE => return Ok(names),
                _ => names.extend(name(message.get(HEADER + GENERIC..).unwrap_or_default())),
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The attribute that is the name.
fn name(mut attributes: &[u8]) -> Option<String> {
    loop {
        let (length, kind) = (number(attributes, 0, 2).ok()?, number(attributes, 2, 2).ok()?);
        let value = attributes.get(4..length)?;
        if kind == usize::from(NAME) {
            let text = String::from_utf8_lossy(value);
            return Some(text.trim_end_matches('\0').to_owned());
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

/// `size` bytes in the machine's order.
fn number(bytes: &[u8], at: usize, size: usize) -> anyhow::Result<usize> {
    let field = bytes.get(at..at + size).context("a message is too short")?;
    Ok(match *field {
        [a, b] => u16::from_ne_bytes([a, b]).into(),
        [a, b, c, d] => usize::try_from(u32::from_ne_bytes([a, b, c, d]))?,
        _ => 0,
    })
}
