//! What a git server says that it has: the answer to `GET <url>/info/refs?service=git-upload-pack` (gitprotocol-http(5),
//! protocol version 0), as far as one ref is concerned.

/// What a line has before its content: its length with these, in hexadecimal.
const PREFIX: usize = 4;
/// First line of a server that speaks more than a file server does.
const SERVICE: &[u8] = b"# service=git-upload-pack";

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AdvertisementError {
    #[error("there is no git server that speaks the smart protocol")]
    NoGit,
    #[error("the answer of the git server is damaged")]
    Damaged,
}

/// Where `git_ref` points, as a full hash; `None` if there is no such ref.
pub(super) fn commit(body: &[u8], git_ref: &str) -> Result<Option<String>, AdvertisementError> {
    let mut rest = body;
    let first = line(&mut rest).map_err(|_| AdvertisementError::NoGit)?;
    if !first.is_some_and(|first| first.starts_with(SERVICE)) {
        return Err(AdvertisementError::NoGit);
    }
    // A flush ends the first line, and another one the list.
    let mut flushes = 0;
    while flushes < 2 {
        let Some(content) = line(&mut rest)? else {
            flushes += 1;
            continue;
        };
        // Capabilities follow the first ref.
        let content = content.split(|byte| *byte == 0).next().unwrap_or_default();
        let Ok(content) = std::str::from_utf8(content) else {
            continue;
        };
        if let Some((hash, name)) = content.trim_end().split_once(' ')
            && name == git_ref
        {
            let whole = matches!(hash.len(), 40 | 64) && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
            return match whole {
                true => Ok(Some(hash.to_ascii_lowercase())),
                false => Err(AdvertisementError::Damaged),
            };
        }
    }
    Ok(None)
}

/// Takes a line from `rest`; `None` is a flush.
fn line<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, AdvertisementError> {
    let (length, behind) = rest.split_at_checked(PREFIX).ok_or(AdvertisementError::Damaged)?;
    let length = std::str::from_utf8(length).map_err(|_| AdvertisementError::Damaged)?;
    let length = usize::from_str_radix(length, 16).map_err(|_| AdvertisementError::Damaged)?;
    if length == 0 {
        *rest = behind;
        return Ok(None);
    }
    let length = length.checked_sub(PREFIX).ok_or(AdvertisementError::Damaged)?;
    let (content, behind) = behind
        .split_at_checked(length)
        .ok_or(AdvertisementError::Damaged)?;
    *rest = behind;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(contents: &[&str]) -> Vec<u8> {
        let mut all = String::new();
        for content in contents {
            match content.is_empty() {
                true => all.push_str("0000"),
                false => all.push_str(&format!("{:04x}{content}", content.len() + PREFIX)),
            }
        }
        all.into_bytes()
    }

    #[test]
    fn a_ref_is_found_among_others() {
        let (a, b) = ("a".repeat(40), "B".repeat(64));
        let head = format!("{a} HEAD\0multi_ack symref=HEAD:refs/heads/main agent=git/2\n");
        let (main, other) = (
            format!("{a} refs/heads/main\n"),
            format!("{b} refs/heads/mainly\n"),
        );
        let whole = lines(&["# service=git-upload-pack\n", "", &head, &main, &other, ""]);
        assert_eq!(commit(&whole, "refs/heads/main"), Ok(Some(a)));
        assert_eq!(commit(&whole, "refs/heads/mainly"), Ok(Some("b".repeat(64))));
        assert_eq!(commit(&whole, "refs/heads/gone"), Ok(None));
        // The only ref is in the line with the capabilities.
        let first = lines(&["# service=git-upload-pack\n", "", &head, ""]);
        assert!(commit(&first, "HEAD").unwrap().is_some());
        let cut = &whole[..whole.len() - 10];
        assert_eq!(commit(cut, "refs/heads/gone"), Err(AdvertisementError::Damaged));
        let empty = lines(&["# service=git-upload-pack\n", "", "", ""]);
        assert_eq!(commit(&empty, "refs/heads/main"), Ok(None));
        for page in ["<html>", "", "0000", "not a hash\trefs/heads/main\n"] {
            assert_eq!(
                commit(page.as_bytes(), "refs/heads/main"),
                Err(AdvertisementError::NoGit),
                "{page}"
            );
        }
        let short = lines(&["# service=git-upload-pack\n", "", "abc refs/heads/main\n", ""]);
        assert_eq!(
            commit(&short, "refs/heads/main"),
            Err(AdvertisementError::Damaged)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = commit(&bytes, "refs/heads/main");
            let mut whole = lines(&["# service=git-upload-pack\n", ""]);
            whole.extend(bytes);
            let _ = commit(&whole, "refs/heads/main");
        }
    }
}
