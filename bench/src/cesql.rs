//! How often a second one thread can ask a filter about an event.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use cesql::{Attributes, Expression, Value};
use event::{Event, ValueRef};

use crate::say;

/// Shapes that filters have: the first is the one with a goal.
const EXPRESSIONS: [&str; 5] = [
    "type = 'x' AND subject LIKE 'a%'",
    "type = 'dev.example.order.created'",
    "source LIKE '%/orders/%' AND NOT (urgent OR count > 10)",
    "EXISTS traceparent AND type IN ('a', 'b', 'dev.example.order.created')",
    "LOWER(CONCAT(subject, '-', count)) = 'anna-7'",
];

/// Evaluations between two looks at the clock.
const ROUND: u32 = 10_000;

/// Prints a line for each expression, on the attributes of an event as the broker holds it.
pub fn measure(seconds: u32) -> anyhow::Result<()> {
    let time = Duration::from_secs(seconds.into());
    say("CESQL, evaluations per second on one core");
    for text in EXPRESSIONS {
        let expression = Expression::compile(text)?;
        // The right operand of AND is only looked at when the left one holds.
        let event = event(if text == EXPRESSIONS[0] {
            "x"
        } else {
            "dev.example.order.created"
        });
        ensure!(expression.matches(&OfEvent(&event)), "{text} does not hold");
        let rate = rate(&expression, &OfEvent(&event), time);
        say(&format!("  {rate:>12.0}/s  {:>6.1} ns  {text}", 1e9 / rate));
    }
    Ok(())
}

fn rate(expression: &Expression, event: &OfEvent<'_>, time: Duration) -> f64 {
    let start = Instant::now();
    let mut count = 0.0;
    while start.elapsed() < time {
        for _ in 0..ROUND {
            black_box(black_box(expression).matches(black_box(event)));
        }
        count += f64::from(ROUND);
    }
    count / start.elapsed().as_secs_f64()
}

fn event(type_: &str) -> Event {
    let mut event = Event::new("0b9f6e5c-8b0e-4a39-9a5c-6a3f8f6f1f11", "/shop/orders/eu", type_);
    event.set_extension("datacontenttype", "application/json");
    event.set_extension("time", "2026-11-21T09:00:00.123456789Z");
    event.set_extension("knativearrivaltime", "2026-11-21T09:00:00.223456789Z");
    event.set_extension("knativebrokerttl", 255);
    event.set_extension(
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    event.set_extension("subject", "anna");
    event.set_extension("count", 7);
    event.set_extension("urgent", false);
    event
}

struct OfEvent<'e>(&'e Event);

impl Attributes for OfEvent<'_> {
    fn attribute(&self, name: &str) -> Option<Value<'_>> {
        Some(match self.0.get(name)? {
            ValueRef::String(text) => text.into(),
            ValueRef::Integer(number) => number.into(),
            ValueRef::Boolean(truth) => truth.into(),
        })
    }
}
