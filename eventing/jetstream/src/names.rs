//! Names of streams, subjects and consumers. The server forbids `.` in them, the store's names have no `~`.

use event_store::{ConsumerName, Topic};

/// The stream of a topic.
pub fn stream(prefix: &str, topic: &Topic) -> String {
    format!("{prefix}_{}", escape(topic.as_str()))
}

/// The subject that the topic's records are published to.
pub fn subject(prefix: &str, topic: &Topic) -> String {
    format!("{prefix}.{}", escape(topic.as_str()))
}

/// The durable consumer of that name.
pub fn consumer(name: &ConsumerName) -> String {
    escape(name.as_str())
}

/// The name that a durable consumer was made for; `None` if it is not one of ours.
pub fn consumer_name(durable: &str) -> Option<ConsumerName> {
    ConsumerName::new(durable.replace('~', ".")).ok()
}

fn escape(name: &str) -> String {
    name.replace('.', "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_reversible_and_have_no_dots() {
        let topic = Topic::new("a.b-c_d").unwrap();
        assert_eq!(stream("p", &topic), "p_a~b-c_d");
        assert_eq!(subject("p", &topic), "p.a~b-c_d");
        let name = ConsumerName::new("trigger.x").unwrap();
        assert_eq!(consumer_name(&consumer(&name)), Some(name));
    }
}
