//! The columns that tables are made of.
#![allow(non_snake_case, reason = "columns are written like their headers")]

use jiff::Timestamp;
use serde_json::Value;

use super::text;
use crate::{age, conditions};

/// What makes a cell of an object.
pub type Cell = Box<dyn Fn(&Value, Timestamp) -> String>;

/// One column.
pub struct Column {
    pub header: &'static str,
    /// Whether only `-o wide` shows it.
    pub wide: bool,
    pub cell: Cell,
}

/// A column that is always shown.
pub fn column(header: &'static str, cell: impl Fn(&Value, Timestamp) -> String + 'static) -> Column {
    Column {
        header,
        wide: false,
        cell: Box::new(cell),
    }
}

/// A column of `-o wide`.
pub fn wide(header: &'static str, cell: impl Fn(&Value, Timestamp) -> String + 'static) -> Column {
    Column {
        wide: true,
        ..column(header, cell)
    }
}

/// A column with the text at `pointer`.
pub fn field(header: &'static str, pointer: &'static str) -> Column {
    column(header, move |object, _| text(object, pointer))
}

pub fn NAME() -> Column {
    field("NAME", "/metadata/name")
}

pub fn AGE() -> Column {
    column("AGE", age::of)
}

pub fn CONDITIONS() -> Column {
    column("CONDITIONS", |object, _| conditions::summary(object))
}

pub fn READY() -> Column {
    column("READY", |object, _| conditions::ready(object))
}

pub fn REASON() -> Column {
    column("REASON", |object, _| conditions::reason(object))
}
