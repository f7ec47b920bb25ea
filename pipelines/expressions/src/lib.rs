//! What keeps expressions in CEL bounded, whoever evaluates them.
//!
//! The evaluator knows no limits: it goes round loops as long as there is something to go over, compiles a pattern each
//! time that it is used, and makes texts and lists as long as it is told to. Here an [`Allowance`] is spent by all of
//! that, and an expression that has none left ends.
//! How long or deep an expression may be is for those who take it to say.

mod allowance;
mod patterns;
mod sizes;
mod turns;

pub use allowance::Allowance;
pub use turns::count;
