//! Where events are kept until they are delivered: the trait, and a durable log on local disk.
