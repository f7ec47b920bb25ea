//! What tokens say of themselves.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// Longest token that is looked at; those of API servers have about a kilobyte.
const LONGEST: usize = 16 * 1024;

/// What a token claims. Nobody has looked at its signature: good only to refuse it, or after somebody has.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Claims {
    #[serde(default, rename = "aud")]
    pub audiences: Audiences,
    /// Seconds since 1970.
    #[serde(rename = "exp")]
    pub expires: i64,
}

/// One, or several.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audiences {
    One(String),
    Several(Vec<String>),
}

impl Default for Audiences {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Claims {
    /// `None` if it is no JSON Web Token that expires.
    pub(crate) fn of(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
        if token.len() > LONGEST || parts.next().is_some() {
            return None;
        }
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok()
    }

    pub(crate) fn is_for(&self, audience: &str) -> bool {
        match &self.audiences {
            Audiences::One(one) => one == audience,
            Audiences::Several(several) => several.iter().any(|one| one == audience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn claims_tell_audiences_and_the_end() {
        for (claims, audience, expected) in [
            (r#"{"aud":"a","exp":7}"#, "a", Some(true)),
            (r#"{"aud":["x","a"],"exp":7}"#, "a", Some(true)),
            (r#"{"aud":["x"],"exp":7}"#, "a", Some(false)),
            (r#"{"aud":"ab","exp":7}"#, "a", Some(false)),
            (r#"{"exp":7}"#, "a", Some(false)),
            (r#"{"aud":"a"}"#, "a", None),
            (r#"{"aud":7,"exp":7}"#, "a", None),
            ("nonsense", "a", None),
        ] {
            let found = Claims::of(&token(claims));
            let told = found.as_ref().map(|claims| claims.is_for(audience));
            assert_eq!(told, expected, "{claims}");
        }
        let whole = token(r#"{"aud":"a","exp":7}"#);
        assert_eq!(Claims::of(&whole).unwrap().expires, 7);
        for broken in [
            "",
            "a",
            "a.b",
            "a.b.c",
            "a.!.c",
            &format!("{whole}.x"),
            &format!("{whole}{}", "x".repeat(LONGEST)),
        ] {
            assert_eq!(Claims::of(broken), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_reader(text in "[a-zA-Z0-9._=-]{0,60}") {
            let _ = Claims::of(&text);
            let _ = Claims::of(&token(&text));
        }
    }
}
