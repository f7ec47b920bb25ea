//! Facts as bytes. Numbers are LEB128, strings have their length before them.

use super::{Fact, Place, Places, Salt};
use crate::log::cursor::Cursor;

const MAGIC: [u8; 4] = *b"SCu1";
/// Magic, length and checksum.
const HEADER: usize = 12;
/// Longest body: names and as many ranges as a consumer may have.
const LONGEST: usize = 1 << 20;

const CONSUMER: u64 = 1;
const FORGOTTEN: u64 = 2;
const ACKNOWLEDGED: u64 = 3;
const REMOVED: u64 = 4;

/// What a file says.
pub struct Replay {
    /// The sum of all good facts.
    pub places: Places,
    /// Bytes up to the end of the last good fact.
    pub good_until: usize,
    /// Bytes before that which are no facts.
    pub damaged: usize,
}

/// Reads a file, skipping what is damaged.
pub fn replay(salt: Salt, bytes: &[u8]) -> Replay {
    let mut replay = Replay {
        places: Places::default(),
        good_until: 0,
        damaged: 0,
    };
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEADER) {
        let Some((fact, length)) = read_frame(salt, rest) else {
            at += 1;
            continue;
        };
        replay.damaged += at - replay.good_until;
        replay.places.apply(fact);
        at += length;
        replay.good_until = at;
    }
    replay
}

/// Appends the frame of a fact to `out`.
pub fn frame(salt: Salt, fact: &Fact, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    match fact {
        Fact::Nothing => return,
        Fact::Consumer(topic, name, place) => {
            number(CONSUMER, &mut body);
            text(topic, &mut body);
            text(name, &mut body);
            let mut last = place.cursor.low();
            number(last, &mut body);
            number(place.lost, &mut body);
            body.extend_from_slice(&place.seen_micros.to_le_bytes());
            for range in place.cursor.above().iter() {
                number(range.start - last, &mut body);
                number(range.end - range.start, &mut body);
                last = range.end;
            }
        }
        Fact::Forgotten(topic, name) => {
            number(FORGOTTEN, &mut body);
            text(topic, &mut body);
            text(name, &mut body);
        }
        Fact::Acknowledged(topic, next) => {
            number(ACKNOWLEDGED, &mut body);
            text(topic, &mut body);
            number(*next, &mut body);
        }
        Fact::Removed(topic) => {
            number(REMOVED, &mut body);
            text(topic, &mut body);
        }
    }
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&salt.checksum(&body).to_le_bytes());
    out.extend_from_slice(&body);
}

/// The fact at the start of `bytes`, and the length of its frame.
fn read_frame(salt: Salt, bytes: &[u8]) -> Option<(Fact, usize)> {
    if !bytes.starts_with(&MAGIC) {
        return None;
    }
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = word(4)? as usize;
    if length > LONGEST {
        return None;
    }
    let body = bytes.get(HEADER..HEADER + length)?;
    if word(8)? != salt.checksum(body) {
        return None;
    }
    Some((read_fact(&mut &*body)?, HEADER + length))
}

fn read_fact(body: &mut &[u8]) -> Option<Fact> {
    Some(match read_number(body)? {
        CONSUMER => {
            let (topic, name) = (read_text(body)?, read_text(body)?);
            let mut last = read_number(body)?;
            let mut cursor = Cursor::new(last);
            let lost = read_number(body)?;
            let (seen, rest) = body.split_first_chunk::<8>()?;
            *body = rest;
            while !body.is_empty() {
                let start = last.checked_add(read_number(body)?)?;
                last = start.checked_add(read_number(body)?)?;
                cursor.done(start..last);
            }
            let place = Place {
                cursor,
                lost,
                seen_micros: i64::from_le_bytes(*seen),
            };
            Fact::Consumer(topic, name, place)
        }
        FORGOTTEN => Fact::Forgotten(read_text(body)?, read_text(body)?),
        ACKNOWLEDGED => Fact::Acknowledged(read_text(body)?, read_number(body)?),
        REMOVED => Fact::Removed(read_text(body)?),
        _ => return None,
    })
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn text(value: &str, out: &mut Vec<u8>) {
    number(value.len() as u64, out);
    out.extend_from_slice(value.as_bytes());
}

fn read_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn read_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(read_number(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts() -> impl Strategy<Value = Vec<Fact>> {
        let name = || prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
        let place = (
            any::<u32>(),
            any::<u64>(),
            any::<i64>(),
            prop::collection::vec((1u64..9, 1u64..9), 0..5),
        );
        let place = place.prop_map(|(low, lost, seen_micros, above)| {
            let mut cursor = Cursor::new(u64::from(low));
            let mut last = u64::from(low);
            for (gap, length) in above {
                cursor.done(last + gap..last + gap + length);
                last += gap + length;
            }
            Place {
                cursor,
                lost,
                seen_micros,
            }
        });
        let fact = prop_oneof![
            4 => (name(), name(), place).prop_map(|(topic, name, place)| Fact::Consumer(topic, name, place)),
            1 => (name(), name()).prop_map(|(topic, name)| Fact::Forgotten(topic, name)),
            2 => (name(), any::<u64>()).prop_map(|(topic, next)| Fact::Acknowledged(topic, next)),
            1 => name().prop_map(Fact::Removed),
        ];
        prop::collection::vec(fact, 0..20)
    }

    fn sum<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Places {
        let mut places = Places::default();
        facts.into_iter().for_each(|fact| places.apply(fact.clone()));
        places
    }

    proptest! {
        #[test]
        fn facts_survive_but_the_damaged_one(facts in facts(), at in any::<prop::sample::Index>(), torn in any::<bool>()) {
            let (mut bytes, mut starts) = (Vec::new(), Vec::new());
            for fact in &facts {
                starts.push(bytes.len());
                frame(Salt(3), fact, &mut bytes);
            }
            let all = replay(Salt(3), &bytes);
            prop_assert_eq!(&all.places, &sum(&facts));
            prop_assert_eq!((all.good_until, all.damaged), (bytes.len(), 0));
            if bytes.is_empty() {
                return Ok(());
            }
            let hit = at.index(bytes.len());
            let index = starts.iter().rposition(|start| *start <= hit).unwrap();
            let left: Vec<Fact> = if torn {
                bytes.truncate(hit);
                facts[..index].to_vec()
            } else {
                bytes[hit] ^= 4;
                facts.iter().enumerate().filter(|(n, _)| *n != index).map(|(_, fact)| fact.clone()).collect()
            };
            let again = replay(Salt(3), &bytes);
            prop_assert_eq!(again.places, sum(&left));
            prop_assert_eq!(again.damaged > 0, !torn && index + 1 < facts.len());
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(replay(Salt(0), &bytes).good_until <= bytes.len());
        }
    }
}
