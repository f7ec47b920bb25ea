#![no_main]

use libfuzzer_sys::fuzz_target;
use triggers::bindings::{Expression, Piece};

// Whatever is read is the text again, piece by piece, and reading a path alone gives that path.
fuzz_target!(|text: &str| {
    let Ok(expression) = Expression::parse(text) else {
        return;
    };
    let mut joined = String::new();
    for piece in expression.pieces() {
        match piece {
            Piece::Text(text) => joined.push_str(text),
            Piece::Path(path) => {
                let again = Expression::parse(&path.source).expect("a path that was read can be read");
                assert_eq!(again.pieces(), [Piece::Path(path.clone())]);
                joined.push_str(&path.source);
            }
        }
    }
    assert_eq!(joined, text);
});
