//! What a request asks for.

use event_store::Position;
use http::{Method, Request};
use url::form_urlencoded;

use super::PREFIX;
use super::answer::AdminError;

/// Dead letters that are listed at once unless more are asked for.
const LETTERS: usize = 100;
/// Positions of one replay.
const MOST_POSITIONS: usize = 1_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub namespace: String,
    pub broker: String,
    pub verb: Verb,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Tail {
        from: Begin,
        /// Wait for more at the end.
        follow: bool,
        limit: usize,
        /// Tell of what filters hold back, too.
        filtered: bool,
    },
    DeadLetters {
        from: Position,
        limit: usize,
    },
    Replay(Which),
}

/// Where a tail begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Latest,
    Earliest,
    Position(Position),
}

/// Which dead letters are sent again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    These(Vec<Position>),
}

pub(super) fn read<B>(request: &Request<B>) -> Result<Ask, AdminError> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let ["namespaces", namespace, "brokers", broker, verb] = parts[..] else {
        return Err(AdminError::Path);
    };
    let allowed = if verb == "replay" {
        Method::POST
    } else {
        Method::GET
    };
    let query: Vec<(String, String)> =
        form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let verb = match verb {
        "tail" => tail(&query)?,
        "dead-letters" => Verb::DeadLetters {
            from: number(&query, "from")?.unwrap_or_default(),
            limit: limit(&query)?.unwrap_or(LETTERS),
        },
        "replay" => replay(&query)?,
        _ => return Err(AdminError::Path),
    };
    if *request.method() != allowed {
        return Err(AdminError::Method(allowed));
    }
    Ok(Ask {
        namespace: namespace.to_owned(),
        broker: broker.to_owned(),
        verb,
    })
}

type Query = [(String, String)];

fn tail(query: &Query) -> Result<Verb, AdminError> {
    let from = match value(query, "from") {
        None | Some("latest") => Begin::Latest,
        Some("earliest") => Begin::Earliest,
        Some(_) => Begin::Position(number(query, "from")?.unwrap_or_default()),
    };
    Ok(Verb::Tail {
        from,
        follow: truth(query, "follow", true)?,
        limit: limit(query)?.unwrap_or(usize::MAX),
        filtered: truth(query, "filtered", false)?,
    })
}

fn replay(query: &Query) -> Result<Verb, AdminError> {
    if truth(query, "all", false)? {
        return Ok(Verb::Replay(Which::All));
    }
    let named = query.iter().filter(|(name, _)| name == "position");
    let positions: Vec<Position> = named
        .map(|(_, value)| value.parse().map_err(|_| AdminError::Query("position")))
        .collect::<Result<_, _>>()?;
    if positions.is_empty() || positions.len() > MOST_POSITIONS {
        return Err(AdminError::Query("position"));
    }
    Ok(Verb::Replay(Which::These(positions)))
}

fn value<'a>(query: &'a Query, name: &str) -> Option<&'a str> {
    query
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.as_str())
}

fn number(query: &Query, name: &'static str) -> Result<Option<u64>, AdminError> {
    let number = value(query, name).map(str::parse).transpose();
    number.map_err(|_| AdminError::Query(name))
}

fn limit(query: &Query) -> Result<Option<usize>, AdminError> {
    Ok(number(query, "limit")?.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
}

fn truth(query: &Query, name: &'static str, default: bool) -> Result<bool, AdminError> {
    match value(query, name) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(AdminError::Query(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, rest: &str) -> Result<Verb, String> {
        let target = format!("/.spindrift/v1/namespaces/ns/brokers/default/{rest}");
        let request = Request::builder().method(method).uri(target).body(()).unwrap();
        let ask = read(&request).map_err(|error| error.to_string())?;
        assert_eq!((ask.namespace.as_str(), ask.broker.as_str()), ("ns", "default"));
        Ok(ask.verb)
    }

    #[test]
    fn requests_are_read() {
        let tail = |from, follow, limit| Verb::Tail {
            filtered: from == Begin::Position(8),
            from,
            follow,
            limit,
        };
        for (method, rest, expected) in [
            ("GET", "tail", tail(Begin::Latest, true, usize::MAX)),
            (
                "GET",
                "tail?from=earliest&follow=false&limit=3",
                tail(Begin::Earliest, false, 3),
            ),
            ("GET", "tail?from=7", tail(Begin::Position(7), true, usize::MAX)),
            (
                "GET",
                "tail?from=8&filtered=true",
                tail(Begin::Position(8), true, usize::MAX),
            ),
            ("GET", "dead-letters", Verb::DeadLetters { from: 0, limit: 100 }),
            (
                "GET",
                "dead-letters?from=5&limit=2",
                Verb::DeadLetters { from: 5, limit: 2 },
            ),
            (
                "POST",
                "replay?position=1&position=9",
                Verb::Replay(Which::These(vec![1, 9])),
            ),
            ("POST", "replay?all=true", Verb::Replay(Which::All)),
        ] {
            assert_eq!(asked(method, rest), Ok(expected), "{rest}");
        }
        for (method, rest, says) in [
            ("POST", "tail", "GET"),
            ("GET", "replay?all=true", "POST"),
            ("GET", "tail?from=x", "from"),
            ("GET", "tail?follow=maybe", "follow"),
            ("GET", "tail?filtered=2", "filtered"),
            ("GET", "dead-letters?limit=-1", "limit"),
            ("POST", "replay", "position"),
            ("POST", "replay?position=x", "position"),
            ("GET", "other", "path"),
            ("GET", "tail/x", "path"),
        ] {
            let error = asked(method, rest).unwrap_err();
            assert!(error.contains(says), "{rest}: {error}");
        }
    }
}
