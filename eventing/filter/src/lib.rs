//! The filters of triggers, compiled once.
