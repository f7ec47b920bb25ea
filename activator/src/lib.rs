//! Holds requests for revisions that have no capacity yet, and wakes them.
