//! What keeps expressions in CEL bounded, whoever evaluates them.
//!
//! The evaluator knows no limits: it goes round loops as long as there is something to go over, and compiles a pattern
//! each time that it is used. Here an [`Allowance`] is spent by both, and an expression that has none left ends.
//! How long or deep an expression may be is for those who take it to say.

mod allowance;
mod patterns;
mod turns;

pub use allowance::Allowance;
pub use turns::count;
