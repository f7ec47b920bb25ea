//! The command line: a client only.
