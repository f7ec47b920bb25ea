//! Parser and evaluator of CloudEvents SQL.
