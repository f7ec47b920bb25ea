//! The parser.
//!
//! ```text
//! variable = "$(" word { "." word | "[" quoted "]" } [ "[*]" | "[" digits "]" ] ")"
//! word     = ( letter | digit | "_" | "-" )+
//! quoted   = "'" … "'" | '"' … '"'            for names with dots
//! ```
//!
//! `$$(` is the kubelet's escape: it stays, and what follows is no variable. Anything else that begins like a variable
//! and is none, such as the command substitution of a shell, is text; a variable within it is found.

use std::fmt;
use std::ops::Range;

/// First words of the variables that we know. Text that begins with one and cannot be read is a mistake of its author.
const ROOTS: [&str; 11] = [
    "params",
    "tasks",
    "finally",
    "context",
    "workspaces",
    "results",
    "step",
    "steps",
    "inputs",
    "credentials",
    "artifacts",
];

/// A text, cut at its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<'a> {
    pieces: Vec<Piece<'a>>,
    malformed: Vec<Malformed>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    Variable(Variable<'a>),
}

/// One `$(…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable<'a> {
    /// As it was written, from `$(` to `)`.
    pub source: &'a str,
    /// Where it was written, in bytes.
    pub span: Range<usize>,
    /// Its words and quoted names, at least one.
    pub path: Vec<&'a str>,
    pub selector: Selector,
}

/// Which part of a list or object is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Nothing is said.
    None,
    /// `[*]`
    All,
    /// `[3]`, counted from 0
    At(usize),
}

/// Something that begins like a variable that we know, and is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("variable at bytes {}..{} cannot be read: expected {expected} here: {near:?}", span.start, span.end)]
pub struct Malformed {
    /// From `$(` to where reading ended, in bytes.
    pub span: Range<usize>,
    /// What should have been there.
    pub expected: &'static str,
    /// The text from `$(` on, cut.
    pub near: String,
}

impl<'a> Template<'a> {
    /// Cuts `text` at its variables. Takes time in proportion to its length.
    pub fn parse(text: &'a str) -> Self {
        let mut template = Self {
            pieces: Vec::new(),
            malformed: Vec::new(),
        };
        let (mut kept, mut from) = (0, 0);
        while let Some(start) = find(text, from) {
            from = start + 2;
            if text.as_bytes().get(start.wrapping_sub(1)) == Some(&b'$') {
                continue;
            }
            match variable(text, start) {
                Ok(variable) => {
                    template.push_text(text, kept..start);
                    (kept, from) = (variable.span.end, variable.span.end);
                    template.pieces.push(Piece::Variable(variable));
                }
                Err(Some(malformed)) => template.malformed.push(malformed),
                Err(None) => {}
            }
        }
        template.push_text(text, kept..text.len());
        template
    }

    /// The parts, in order; there is no empty text among them, and never two texts in a row.
    pub fn pieces(&self) -> &[Piece<'a>] {
        &self.pieces
    }

    pub fn variables(&self) -> impl Iterator<Item = &Variable<'a>> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(variable),
            Piece::Text(_) => None,
        })
    }

    /// What an author most likely meant as a variable, for whoever checks what he wrote.
    pub fn malformed(&self) -> &[Malformed] {
        &self.malformed
    }

    /// The variable, if the whole text is one.
    pub fn whole(&self) -> Option<&Variable<'a>> {
        match self.pieces.as_slice() {
            [Piece::Variable(variable)] => Some(variable),
            _ => None,
        }
    }

    fn push_text(&mut self, text: &'a str, range: Range<usize>) {
        if let Some(text) = text.get(range).filter(|text| !text.is_empty()) {
            self.pieces.push(Piece::Text(text));
        }
    }
}

impl fmt::Display for Variable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source)
    }
}

fn find(text: &str, from: usize) -> Option<usize> {
    Some(from + text.get(from..)?.find("$(")?)
}

/// Reads the variable that begins at `start`. `None` in the error: it is only text.
fn variable(text: &str, start: usize) -> Result<Variable<'_>, Option<Malformed>> {
    let mut cursor = Cursor { text, at: start + 2 };
    let read = cursor.read();
    let span = start..cursor.at;
    match read {
        Ok((path, selector)) => Ok(Variable {
            source: text.get(span.clone()).unwrap_or_default(),
            span,
            path,
            selector,
        }),
        Err(Expected { what, root }) => Err(root.filter(|root| ROOTS.contains(root)).map(|_| Malformed {
            near: text.get(start..).unwrap_or_default().chars().take(40).collect(),
            span,
            expected: what,
        })),
    }
}

struct Expected<'a> {
    what: &'static str,
    /// The first word, if there is one.
    root: Option<&'a str>,
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn read(&mut self) -> Result<(Vec<&'a str>, Selector), Expected<'a>> {
        let mut path = vec![self.word(None)?];
        let root = path.first().copied();
        loop {
            let expected = |what| Expected { what, root };
            match self.next() {
                Some(b')') => return Ok((path, Selector::None)),
                Some(b'.') => path.push(self.word(root)?),
                Some(b'[') => match self.next() {
                    Some(quote @ (b'\'' | b'"')) => {
                        let name = self.quoted(quote).ok_or(expected("the end of the quoted name"))?;
                        path.push(name);
                        self.take(b']').ok_or(expected("`]`"))?;
                    }
                    Some(b'*') => return self.end().map(|()| (path, Selector::All)).ok_or(expected("`])`")),
                    Some(digit @ b'0'..=b'9') => {
                        let index = self.number(digit).ok_or(expected("a smaller index"))?;
                        return self
                            .end()
                            .map(|()| (path, Selector::At(index)))
                            .ok_or(expected("`])`"));
                    }
                    _ => return Err(expected("`*`, an index, or a name in quotes")),
                },
                _ => return Err(expected("`.`, `[` or `)`")),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        // Only characters of one byte are stepped over, so this stays between characters.
        if next.is_ascii() {
            self.at += 1;
        }
        Some(next)
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn end(&mut self) -> Option<()> {
        self.take(b']').and_then(|()| self.take(b')'))
    }

    fn word(&mut self, root: Option<&'a str>) -> Result<&'a str, Expected<'a>> {
        let word = self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        word.filter(|word| !word.is_empty())
            .ok_or(Expected { what: "a name", root })
    }

    /// A quoted name ends at a dollar sign at the latest, which keeps the parser linear.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        let name = self.take_while(|byte| byte != quote && byte != b'$' && !byte.is_ascii_control())?;
        self.take(quote)?;
        (!name.is_empty()).then_some(name)
    }

    fn number(&mut self, first: u8) -> Option<usize> {
        let mut number = usize::from(first - b'0');
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            self.at += 1;
            number = number.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?;
        }
        Some(number)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let length = rest.bytes().position(|byte| !wanted(byte)).unwrap_or(rest.len());
        let taken = rest.get(..length)?;
        self.at += length;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The words and the selector of each variable.
    fn read(text: &str) -> Vec<(Vec<&str>, Selector)> {
        let variables = Template::parse(text);
        variables
            .variables()
            .map(|found| (found.path.clone(), found.selector))
            .collect()
    }

    #[test]
    fn variables_have_words_quoted_names_and_one_selector() {
        let table: [(&str, &[&str], Selector); 9] = [
            ("$(params.a)", &["params", "a"], Selector::None),
            ("$(params['a.b'])", &["params", "a.b"], Selector::None),
            ("$(params[\"a.b\"])", &["params", "a.b"], Selector::None),
            ("$(params.a[*])", &["params", "a"], Selector::All),
            ("$(params['a.b'][12])", &["params", "a.b"], Selector::At(12)),
            ("$(params.o.key)", &["params", "o", "key"], Selector::None),
            (
                "$(tasks.t.results['r.s'].key)",
                &["tasks", "t", "results", "r.s", "key"],
                Selector::None,
            ),
            ("$(a)", &["a"], Selector::None),
            (
                "$(steps.step-x.exitCode.path)",
                &["steps", "step-x", "exitCode", "path"],
                Selector::None,
            ),
        ];
        for (text, path, selector) in table {
            assert_eq!(read(text), [(path.to_vec(), selector)], "{text}");
            let around = format!("ü {text}${text}");
            assert_eq!(
                read(&around).len(),
                1,
                "the dollar sign hides the second: {around}"
            );
        }
    }

    #[test]
    fn everything_else_is_text() {
        for text in [
            "",
            "$",
            "$(",
            "$()",
            "$(.a)",
            "$(a.)",
            "$(a b)",
            "$(a[)",
            "$(a[])",
            "$(a[x])",
            "$(a[*)",
            "$(a[*].b)",
            "$(a[1].b)",
            "$(a[''])",
            "$(a['b)",
            "$(a['b'",
            "$$(a.b)",
            "$$$(a.b)",
            "$a",
            "$(ä.b)",
            "$( a.b)",
            "$(a[99999999999999999999999])",
        ] {
            let template = Template::parse(text);
            let expected: Vec<Piece<'_>> = [Piece::Text(text)]
                .into_iter()
                .filter(|_| !text.is_empty())
                .collect();
            assert_eq!(template.pieces(), expected, "{text}");
        }
    }

    #[test]
    fn a_variable_within_a_command_is_found_with_its_place() {
        let text = "x=$(cat $(params.file) | head)";
        let template = Template::parse(text);
        let variable = template.variables().next().unwrap();
        assert_eq!(&text[variable.span.clone()], "$(params.file)");
        assert!(template.malformed().is_empty());
    }

    #[test]
    fn mistakes_in_variables_that_we_know_are_told_with_their_place() {
        for (text, expected) in [
            ("ä$(params.)", "a name"),
            ("ä$(params[x])", "`*`, an index, or a name in quotes"),
            ("ä$(tasks.t.results.r[*].x)", "`])`"),
            ("ä$(params['x)", "the end of the quoted name"),
            ("ä$(params.a b)", "`.`, `[` or `)`"),
        ] {
            let template = Template::parse(text);
            let [malformed] = template.malformed() else {
                panic!("{text}")
            };
            assert_eq!(
                (malformed.expected, malformed.span.start),
                (expected, 2),
                "{text}"
            );
        }
        assert!(Template::parse("$(cat [a-z]*) $(seq 3)").malformed().is_empty());
        let told = Template::parse("$(params[x])")
            .malformed()
            .first()
            .unwrap()
            .to_string();
        assert!(told.contains("0..10") && told.contains("$(params[x])"), "{told}");
    }

    proptest! {
        #[test]
        fn the_pieces_are_the_text(text in "(\\PC|\\$\\(|params|\\.|\\[|\\]|\\*|'|\\)|[0-9]){0,40}") {
            let template = Template::parse(&text);
            let mut joined = String::new();
            for piece in template.pieces() {
                match piece {
                    Piece::Text(text) => joined.push_str(text),
                    Piece::Variable(variable) => {
                        prop_assert_eq!(variable.span.start, joined.len());
                        joined.push_str(variable.source);
                    }
                }
            }
            prop_assert_eq!(joined, text);
        }
    }
}
