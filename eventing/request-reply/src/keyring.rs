//! What a request is recognised by: `<id>:<sealed id>:<mark of the RequestReply>`.
//!
//! The id of the event is sealed with AES-GCM for its RequestReply, under a nonce that is the name under which the
//! request waits. An answer is believed if its seal opens with any of the keys: so keys can be replaced while requests
//! wait, and those that wait keep the keys they were sealed with. Comparing is the cipher's own work, in constant time.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

/// What is between the parts. The id may have some of its own.
const SEPARATOR: char = ':';
/// Longest text that is opened: an id has a few dozen bytes, and a header at most some kilobytes.
const LONGEST: usize = 16 * 1024;
/// Longest id that is sealed, in bytes: it is in the text twice, and travels in a header.
const LONGEST_ID: usize = 2 * 1024;

/// The name under which a request waits.
pub(crate) type Ticket = [u8; NONCE_LEN];

/// No text of ours, or not for this RequestReply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no request of this RequestReply has this id")]
pub(crate) struct Forged;

/// Why nothing can be sealed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("there is no key yet")]
    NoKey,
    #[error("the system has no random numbers")]
    NoRandom,
    #[error("the id has {0} bytes, of at most {LONGEST_ID}")]
    TooLong(usize),
}

/// Keys by their names; the last one seals, all of them open.
#[derive(Default)]
pub(crate) struct Keyring {
    keys: Vec<LessSafeKey>,
}

impl Keyring {
    /// Of a Secret's data. Values that are no AES keys (16 or 32 bytes) are left out; their names are returned.
    pub fn new(data: &BTreeMap<String, &[u8]>) -> (Self, Vec<String>) {
        let (mut keys, mut unusable) = (Vec::new(), Vec::new());
        for (name, bytes) in data {
            match key(bytes) {
                Some(key) => keys.push(key),
                None => unusable.push(name.clone()),
            }
        }
        (Self { keys }, unusable)
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The text by which the request with this event is recognised, and where it waits. `of` is the UID of the
    /// RequestReply, `mark` what its trigger looks for.
    pub fn seal(&self, of: &str, mark: &str, id: &str) -> Result<(String, Ticket), SealError> {
        if id.len() > LONGEST_ID {
            return Err(SealError::TooLong(id.len()));
        }
        let key = self.keys.last().ok_or(SealError::NoKey)?;
        let mut ticket = Ticket::default();
        SystemRandom::new()
            .fill(&mut ticket)
            .map_err(|_| SealError::NoRandom)?;
        let mut sealed = id.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(ticket);
        key.seal_in_place_append_tag(nonce, Aad::from(of.as_bytes()), &mut sealed)
            .map_err(|_| SealError::NoKey)?;
        let whole = [&ticket[..], &sealed].concat();
        let sealed = URL_SAFE_NO_PAD.encode(whole);
        Ok((format!("{id}{SEPARATOR}{sealed}{mark}"), ticket))
    }

    /// Where the request waits that such a text names.
    pub fn open(&self, of: &str, mark: &str, text: &str) -> Result<Ticket, Forged> {
        let Parts { id, ticket, sealed } = Parts::of(mark, text)?;
        let opens = |key: &LessSafeKey| {
            let mut sealed = sealed.clone();
            let nonce = Nonce::assume_unique_for_key(ticket);
            key.open_in_place(nonce, Aad::from(of.as_bytes()), &mut sealed)
                .is_ok_and(|opened| *opened == *id.as_bytes())
        };
        // The newest key first: it has sealed most of what comes.
        self.keys.iter().rev().any(opens).then_some(ticket).ok_or(Forged)
    }
}

/// What such a text consists of. Nobody has looked yet whether it is ours.
struct Parts<'a> {
    id: &'a str,
    ticket: Ticket,
    sealed: Vec<u8>,
}

impl<'a> Parts<'a> {
    fn of(mark: &str, text: &'a str) -> Result<Self, Forged> {
        if text.len() > LONGEST {
            return Err(Forged);
        }
        let (id, sealed) = text
            .strip_suffix(mark)
            .and_then(|text| text.rsplit_once(SEPARATOR))
            .ok_or(Forged)?;
        let whole = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Forged)?;
        let (ticket, sealed) = whole.split_first_chunk::<NONCE_LEN>().ok_or(Forged)?;
        Ok(Self {
            id,
            ticket: *ticket,
            sealed: sealed.to_vec(),
        })
    }
}

/// Where the request would wait that such a text names. Good only to find the keys that open it.
pub(crate) fn claimed(mark: &str, text: &str) -> Option<Ticket> {
    Parts::of(mark, text).ok().map(|parts| parts.ticket)
}

fn key(bytes: &[u8]) -> Option<LessSafeKey> {
    let algorithm = match bytes.len() {
        16 => &AES_128_GCM,
        32 => &AES_256_GCM,
        _ => return None,
    };
    UnboundKey::new(algorithm, bytes).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARK: &str = ":0123abcd-0";

    fn ring(keys: &[(&str, u8)]) -> Keyring {
        let held: Vec<(String, [u8; 32])> = keys
            .iter()
            .map(|(name, byte)| ((*name).to_owned(), [*byte; 32]))
            .collect();
        let data = held.iter().map(|(name, key)| (name.clone(), &key[..])).collect();
        Keyring::new(&data).0
    }

    #[test]
    fn what_was_sealed_opens_and_nothing_else_does() {
        let keys = ring(&[("a", 1)]);
        let (text, ticket) = keys.seal("uid", MARK, "order:7").unwrap();
        assert!(text.starts_with("order:7:") && text.ends_with(MARK), "{text}");
        assert_eq!(keys.open("uid", MARK, &text), Ok(ticket));
        assert_eq!(claimed(MARK, &text), Some(ticket));
        let sealed = text.trim_start_matches("order:7:");
        let changed = text.replace(sealed, &sealed.replacen(|_: char| true, "_", 1));
        let cut = format!("{}{MARK}", &text[..text.len() - MARK.len() - 1]);
        for forged in [
            "",
            MARK,
            "order:7",
            &format!("order:7:{MARK}"),
            &format!("order:8:{sealed}"),
            &format!("x{text}"),
            &text[..text.len() - 1],
            &cut,
            &changed,
            &"a".repeat(LONGEST + 1),
        ] {
            assert_eq!(keys.open("uid", MARK, forged), Err(Forged), "{forged}");
        }
        assert_eq!(keys.open("other", MARK, &text), Err(Forged));
        assert_eq!(keys.open("uid", ":ffffffff-0", &text), Err(Forged));
        assert_eq!(ring(&[("a", 2)]).open("uid", MARK, &text), Err(Forged));
    }

    #[test]
    fn ids_are_bounded_so_that_all_that_is_sealed_opens() {
        let keys = ring(&[("a", 1)]);
        let longest = "i".repeat(LONGEST_ID);
        let (text, ticket) = keys.seal("uid", MARK, &longest).unwrap();
        assert_eq!(keys.open("uid", MARK, &text), Ok(ticket));
        let longer = longest + "i";
        assert_eq!(
            keys.seal("uid", MARK, &longer),
            Err(SealError::TooLong(LONGEST_ID + 1))
        );
    }

    #[test]
    fn keys_are_replaced_while_requests_wait() {
        let (old, _) = ring(&[("1", 1)]).seal("uid", MARK, "a").unwrap();
        let both = ring(&[("1", 1), ("2", 2)]);
        assert!(both.open("uid", MARK, &old).is_ok());
        let (new, _) = both.seal("uid", MARK, "a").unwrap();
        // The one whose name comes last seals.
        assert!(ring(&[("2", 2)]).open("uid", MARK, &new).is_ok());
        assert!(ring(&[("1", 1)]).open("uid", MARK, &new).is_err());
        assert_eq!(Keyring::default().seal("uid", MARK, "a"), Err(SealError::NoKey));
    }

    #[test]
    fn what_is_no_key_is_named() {
        let data = BTreeMap::from([
            ("empty".to_owned(), &b""[..]),
            ("short".to_owned(), &[0; 16][..]),
            ("text".to_owned(), &b"secret"[..]),
        ]);
        let (keys, unusable) = Keyring::new(&data);
        assert!(!keys.is_empty());
        assert_eq!(unusable, ["empty", "text"]);
    }

    proptest! {
        #[test]
        fn any_id_comes_back_and_no_text_breaks(id in "\\PC{0,40}", text in "\\PC{0,80}") {
            let keys = ring(&[("a", 1)]);
            let (sealed, ticket) = keys.seal("uid", MARK, &id).unwrap();
            prop_assert_eq!(keys.open("uid", MARK, &sealed), Ok(ticket));
            prop_assert_eq!(keys.open("uid", MARK, &text), Err(Forged));
            prop_assert_eq!(keys.open("uid", MARK, &format!("{text}{MARK}")), Err(Forged));
        }
    }
}
