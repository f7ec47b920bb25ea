//! One agent's connection: lines in, lines out, both bounded.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use nix::poll::PollFlags;

use crate::shim::protocol::{MAX_LINE_BYTES, Message, Request};

/// An agent that does not read for this long a stretch of messages is cut off; it can ask again.
const MAX_OUTGOING_BYTES: usize = 16 << 20;

pub(super) struct Connection {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    pub(super) closed: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            closed: false,
        }
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn interest(&self) -> PollFlags {
        match self.outgoing.is_empty() {
            true => PollFlags::POLLIN,
            false => PollFlags::POLLIN | PollFlags::POLLOUT,
        }
    }

    /// Reads and writes as far as the socket allows and returns the requests that are complete.
    pub(super) fn converse(&mut self, flags: PollFlags) -> Vec<Request> {
        if flags.contains(PollFlags::POLLOUT) {
            self.flush();
        }
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.receive();
        }
        let mut requests = Vec::new();
        while let Some(end) = self.incoming.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.incoming.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(request) => requests.push(request),
                // A peer that speaks another protocol: nothing it says can be trusted.
                Err(_) => self.closed = true,
            }
        }
        if self.incoming.len() > MAX_LINE_BYTES {
            self.closed = true;
        }
        requests
    }

    fn receive(&mut self) {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.closed = true;
                    return;
                }
                Ok(length) => self.incoming.extend(buffer.iter().take(length)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.closed |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
            if self.incoming.len() > MAX_LINE_BYTES {
                return;
            }
        }
    }

    pub(super) fn send(&mut self, message: &Message) {
        if let Ok(mut line) = serde_json::to_vec(message) {
            line.push(b'\n');
            self.outgoing.append(&mut line);
        }
        self.flush();
        if self.outgoing.len() > MAX_OUTGOING_BYTES {
            self.closed = true;
        }
    }

    fn flush(&mut self) {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(length) => {
                    self.outgoing.drain(..length);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.closed |= error.kind() != ErrorKind::WouldBlock;
                    return;
                }
            }
        }
    }
}
