//! Sources: say where their events go. The senders of the data plane read that in the status, and send.

mod api_server;
mod container;
mod event_types;
mod git_hub;
mod ping;
mod sink;
mod sink_binding;

pub(crate) use api_server::controller as api_server;
pub(crate) use container::controller as container;
pub(crate) use event_types::controller as event_types;
pub(crate) use git_hub::controller as git_hub;
pub(crate) use ping::controller as ping;
pub(crate) use sink_binding::controller as sink_binding;
