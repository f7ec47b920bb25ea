//! Sources: say where their events go. The senders of the data plane read that in the status, and send.

mod ping;
mod sink;

pub(crate) use ping::controller as ping;
