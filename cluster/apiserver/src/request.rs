//! What a request asks for: the path, the verb and the query, parsed once.

mod path;
mod query;

pub(crate) use self::path::{ApiPath, ResourcePath, parse_path};
pub(crate) use self::query::{DeleteQuery, Match, Query, Validation};
