#![no_main]

use libfuzzer_sys::fuzz_target;
use pipelines::substitution::{Piece, Scope, Template};

// The pieces are the text, in order; a text without known variables stays, and what is put in is not read again.
fuzz_target!(|text: &str| {
    let template = Template::parse(text);
    let mut joined = String::new();
    for piece in template.pieces() {
        match piece {
            Piece::Text(text) => joined.push_str(text),
            Piece::Variable(variable) => {
                assert_eq!(variable.span.start, joined.len());
                assert_eq!(&text[variable.span.clone()], variable.source);
                joined.push_str(variable.source);
            }
        }
    }
    assert_eq!(joined, text);
    assert_eq!(Scope::new().text(text).as_deref(), Ok(text));

    // Every variable of the text stands for the text itself.
    let mut scope = Scope::new();
    for variable in template.variables() {
        scope.set(&variable.path, text);
    }
    let expected: usize = template
        .pieces()
        .iter()
        .map(|piece| match piece {
            Piece::Text(kept) => kept.len(),
            Piece::Variable(variable) if variable.selector == pipelines::substitution::Selector::None => text.len(),
            Piece::Variable(variable) => variable.source.len(),
        })
        .sum();
    assert_eq!(scope.text(text).map(|filled| filled.len()), Ok(expected));
});
