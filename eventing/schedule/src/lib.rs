//! When a PingSource ticks: schedules as cron has them, in time zones.
//!
//! A schedule is a set of local times, and it ticks at every instant whose local time is in the set. So where clocks go
//! forward, what falls into the skipped hour does not tick that day; where they go back, what falls into the repeated
//! hour ticks twice. That is also what the peers' scheduler does.
//!
//! ```
//! use event_schedule::Schedule;
//!
//! let schedule = Schedule::parse("30 8 * * MON-FRI", "Europe/Berlin")?;
//! let friday = "2026-11-20T12:00:00Z".parse()?;
//! assert_eq!(schedule.next(friday), Some("2026-11-23T07:30:00Z".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod days;
mod error;
mod field;
mod next;
mod parse;
mod zone;

pub use error::ScheduleError;
pub use next::{HORIZON_YEARS, Schedule};
