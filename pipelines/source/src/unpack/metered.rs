//! A reader that gives only as much as was allowed.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Gives what `inner` has, as far as its [`Meter`] allows.
pub(super) struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

/// How much may be read.
#[derive(Debug, Default)]
pub(super) struct Meter {
    left: Cell<u64>,
    used_up: Cell<bool>,
}

impl<R> Metered<R> {
    pub(super) fn new(inner: R) -> (Self, Rc<Meter>) {
        let meter = Rc::new(Meter::default());
        let reader = Self {
            inner,
            meter: meter.clone(),
        };
        (reader, meter)
    }
}

impl Meter {
    /// From now on so many bytes may be read, whatever was left.
    pub(super) fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }

    pub(super) fn left(&self) -> u64 {
        self.left.get()
    }

    /// Was more wanted than was allowed?
    pub(super) fn is_used_up(&self) -> bool {
        self.used_up.get()
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.meter.left.get();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            self.meter.used_up.set(true);
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the archive has more than may be read",
            ));
        }
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.meter.left.set(left - read as u64);
        Ok(read)
    }
}
