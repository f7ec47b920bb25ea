//! Receivers of events that ship with the platform: JobSink, which makes a Job for each event.
//!
//! `POST /<namespace>/<sink>` is answered with 202 when the Job is stored, and where to ask how it goes. The name of a
//! Job follows from the event, so that an event that comes again finds its Job instead of making another.

mod jobs;
mod names;
mod refusal;
mod route;
mod run;
mod service;
mod sweep;

pub use run::{Config, run};
