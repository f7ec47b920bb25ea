//! Text formats of the field that several rooms read: quantities, Go durations, image references, JSONPath.
