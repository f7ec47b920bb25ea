//! The way out for pods: what leaves for other networks carries this machine's address.
//!
//! Two things are needed: the kernel forwards, and it rewrites the source address of what it forwards for pods. The
//! rule is written in the kernel's own messages, so that neither `nft` nor `iptables` has to be installed.

mod message;

use std::io;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;

use crate::cidr::Cidr;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Longest wait for the kernel's answer, which it gives within the call.
const PATIENCE_SECONDS: i64 = 2;
/// An answer is a header, a number and at most the request.
const ANSWER: usize = 8 << 10;

/// Lets the pods of `pods` out. `table` names the rule's table, one per instance; an old one is replaced.
///
/// # Errors
/// What the kernel lacks or refuses.
pub(crate) fn open(table: &str, pods: Cidr) -> io::Result<()> {
    talk(&message::replace_table(table, pods))?;
    if std::fs::read_to_string(FORWARDING)?.trim() == "0" {
        // It stays on, as with every container engine: others may have come to need it.
        std::fs::write(FORWARDING, "1")?;
    }
    Ok(())
}

/// Removes the table; an absent one is fine.
///
/// # Errors
/// What the kernel refuses.
pub(crate) fn close(table: &str) -> io::Result<()> {
    match talk(&message::delete_table(table)) {
        Err(error) if error.raw_os_error() == Some(Errno::ENOENT as i32) => Ok(()),
        other => other,
    }
}

/// Sends a batch, of which the last change asks for an answer, and waits for it or for the first refusal.
fn talk(batch: &message::Batch) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(
        &socket,
        sockopt::ReceiveTimeout,
        &TimeVal::new(PATIENCE_SECONDS, 0),
    )?;
    sendto(
        socket.as_raw_fd(),
        &batch.bytes,
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )?;
    let mut buffer = vec![0; ANSWER];
    loop {
        let count = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let received = buffer.get(..count).unwrap_or_default();
        for (sequence, errno) in message::answers(received) {
            if errno != 0 {
                return Err(io::Error::from_raw_os_error(errno));
            }
            if sequence == batch.last {
                return Ok(());
            }
        }
    }
}
