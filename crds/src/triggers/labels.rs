//! Label keys, and their values where they are fixed. Those on what triggers make are with those of tasks.

/// On what runs a listener: its name.
pub const LISTENER: &str = "eventlistener";
/// On what runs a listener, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "EventListener");
/// On what runs a listener, and its value.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "Triggers");
/// On events of a listener that are kept: whether they are [`OPEN`] or [`DONE`].
pub const STATE: &str = "triggers.spindrift.dev/state";
/// Value of [`STATE`]: a trigger has not been decided.
pub const OPEN: &str = "open";
/// Value of [`STATE`]: every trigger has been.
pub const DONE: &str = "done";
/// Value of [`STATE`]: the rest of a body that is too large for one object.
pub const PART: &str = "part";
