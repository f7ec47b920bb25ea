//! What every event gets when it enters a broker or channel: its arrival time, and one round less to live.

use event::{Event, Str, Value};
use jiff::Timestamp;

/// Rounds that an event may still make through brokers; never seen by subscribers.
pub const TTL: &str = "knativebrokerttl";
/// When an event was accepted.
pub const ARRIVAL_TIME: &str = "knativearrivaltime";

/// What an event without a count starts with.
const FIRST_TTL: i32 = 255;

/// The event has been through brokers too often: most likely its subscriber answers each event with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "knativebrokerttl is used up: the event has been through brokers 254 times, so probably a subscriber \
     answers it in a loop"
)]
pub struct TtlUsedUp;

/// Stamps an event that enters a broker.
///
/// # Errors
/// When it has no rounds left; it must not be stored.
pub fn enter_broker(event: &mut Event, now: Timestamp) -> Result<(), TtlUsedUp> {
    let left = match event.integer(TTL) {
        Some(left) => i32::try_from(left).unwrap_or(FIRST_TTL).saturating_sub(1).max(0),
        None => FIRST_TTL,
    };
    if left == 0 {
        return Err(TtlUsedUp);
    }
    event.set_extension(Str::from_static(TTL), Value::Integer(left));
    arrive(event, now);
    Ok(())
}

/// Stamps an event that enters a channel, where nothing counts rounds.
pub fn enter_channel(event: &mut Event, now: Timestamp) {
    arrive(event, now);
}

fn arrive(event: &mut Event, now: Timestamp) {
    event.set_extension(Str::from_static(ARRIVAL_TIME), now.to_string());
}

#[cfg(test)]
mod tests {
    use event::ValueRef;

    use super::*;

    #[test]
    fn rounds_are_counted_down_to_refusal() {
        for (before, after) in [
            (None, Ok(255)),
            (Some(Value::from("x")), Ok(255)),
            (Some(Value::from(true)), Ok(255)),
            (Some(Value::from("255")), Ok(254)),
            (Some(Value::from(255)), Ok(254)),
            (Some(Value::from(2)), Ok(1)),
            (Some(Value::from(1)), Err(TtlUsedUp)),
            (Some(Value::from("0")), Err(TtlUsedUp)),
            (Some(Value::from(-5)), Err(TtlUsedUp)),
        ] {
            let mut event = Event::new("1", "/", "t");
            if let Some(before) = before.clone() {
                event.set_extension(TTL, before);
            }
            let now: Timestamp = "2026-01-31T10:00:00.25Z".parse().unwrap();
            let result = enter_broker(&mut event, now);
            assert_eq!(result.map(|()| event.integer(TTL).unwrap()), after, "{before:?}");
            if result.is_ok() {
                let arrival = ValueRef::String("2026-01-31T10:00:00.25Z");
                assert_eq!(event.get(ARRIVAL_TIME), Some(arrival));
            }
        }
    }

    #[test]
    fn channels_only_note_the_arrival() {
        let mut event = Event::new("1", "/", "t");
        enter_channel(&mut event, Timestamp::UNIX_EPOCH);
        assert_eq!(event.get(TTL), None);
        assert!(event.get(ARRIVAL_TIME).is_some());
    }
}
