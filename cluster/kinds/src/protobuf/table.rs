//! The table of messages: read once from the committed text, then looked up by index.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cardinality {
    One,
    List,
    /// A map with text keys.
    Map,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Bool,
    Integer,
    Double,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    Raw,
    SchemaOrList,
    SchemaOrBool,
    SchemaOrNames,
    /// Index of the message in the table.
    Message(usize),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub tag: u32,
    /// JSON name; `None` for the fields of an embedded struct, which belong to the message itself.
    pub name: Option<&'static str>,
    pub cardinality: Cardinality,
    pub kind: Type,
    /// Whether JSON shows the field when it is zero.
    pub show_zero: bool,
}

#[derive(Debug)]
pub(super) struct Message {
    pub name: &'static str,
    pub fields: Vec<Field>,
}

impl Message {
    pub(super) fn field(&self, tag: u32) -> Option<&Field> {
        self.fields.iter().find(|field| field.tag == tag)
    }

    /// A named list inside a map (`ExtraValue`) is a message on the wire and a list in JSON.
    pub(super) fn list(&self) -> Option<&Field> {
        match self.fields.as_slice() {
            [field] if field.name.is_none() && field.cardinality == Cardinality::List => Some(field),
            _ => None,
        }
    }
}

/// All messages.
pub(super) struct Table {
    messages: Vec<Message>,
    by_name: HashMap<&'static str, usize>,
}

impl Table {
    pub(super) fn get(&self, index: usize) -> Option<&Message> {
        self.messages.get(index)
    }

    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    #[cfg(test)]
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }
}

/// Returns the table.
pub(super) fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| parse(include_str!("messages.txt")));
    &TABLE
}

fn parse(text: &'static str) -> Table {
    let lines = || {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
    };
    let by_name: HashMap<&str, usize> = lines()
        .filter(|line| !line.contains(' '))
        .enumerate()
        .map(|(index, name)| (name, index))
        .collect();
    let mut messages: Vec<Message> = Vec::with_capacity(by_name.len());
    for line in lines() {
        if !line.contains(' ') {
            messages.push(Message {
                name: line,
                fields: Vec::new(),
            });
        } else if let (Some(message), Some(field)) = (messages.last_mut(), parse_field(line, &by_name)) {
            message.fields.push(field);
        }
    }
    Table { messages, by_name }
}

/// Reads `tag name type`. A line of another form would be a defect of the generator: a test reads the whole table.
fn parse_field(line: &'static str, by_name: &HashMap<&str, usize>) -> Option<Field> {
    let mut words = line.split(' ');
    let (tag, name, code) = (words.next()?, words.next()?, words.next()?);
    let (code, show_zero) = match code.strip_suffix('!') {
        Some(code) => (code, true),
        None => (code, false),
    };
    let (code, cardinality) = match (code.strip_prefix('*'), code.strip_prefix('%')) {
        (Some(code), _) => (code, Cardinality::List),
        (_, Some(code)) => (code, Cardinality::Map),
        _ => (code, Cardinality::One),
    };
    let kind = match code {
        "s" => Type::Text,
        "b" => Type::Bool,
        "i" => Type::Integer,
        "d" => Type::Double,
        "y" => Type::Bytes,
        "T" => Type::Time,
        "U" => Type::MicroTime,
        "Q" => Type::Quantity,
        "I" => Type::IntOrString,
        "R" | "J" => Type::Raw,
        "A" => Type::SchemaOrList,
        "B" => Type::SchemaOrBool,
        "S" => Type::SchemaOrNames,
        message => Type::Message(*by_name.get(message)?),
    };
    Some(Field {
        tag: tag.parse().ok()?,
        name: (name != "~").then_some(name),
        cardinality,
        kind,
        show_zero,
    })
}
