use proptest::prelude::*;

use super::*;
use crate::test_support::any_event;

fn encoded(event: &Event) -> Bytes {
    let mut out = Vec::new();
    encode(event, &mut out);
    Bytes::from(out)
}

/// What format 1 looks like: this record must be readable for ever.
const FIRST: &[u8] = b"\x01\x19\x01i\x02/s\x01t\x05\x01\x00\x10application/json\x02\x00\x01x\x07\x01\xfe\0\0\0\x00\x02ok\x03\x00\x03not\x02{}";

fn first() -> Event {
    let mut event = Event::new("i", "/s", "t");
    event.set_extension("datacontenttype", "application/json");
    event.set_extension("subject", "x");
    event.set_extension("knativebrokerttl", 254);
    event.set_extension("ok", true);
    event.set_extension("not", false);
    event.data = Some(Bytes::from_static(b"{}"));
    event
}

#[test]
fn the_first_format_stays_readable() {
    assert_eq!(encoded(&first()), FIRST);
    assert_eq!(decode(Bytes::from_static(FIRST)).unwrap(), first());
}

#[test]
fn names_keep_their_numbers() {
    for (index, name) in NAMES.iter().enumerate() {
        assert_eq!(number(name).map(usize::from), Some(index + 1));
        assert_eq!(crate::attribute::check_name(name), Ok(()));
    }
    assert_eq!(&NAMES[..3], ["datacontenttype", "subject", "time"]);
    assert_eq!(number("other"), None);
}

#[test]
fn reading_copies_nothing() {
    let record = Bytes::from_static(FIRST);
    let event = decode(record.clone()).unwrap();
    let within = |part: &[u8]| record.as_ptr_range().contains(&part.as_ptr());
    assert!(within(event.id.as_bytes()) && within(event.data.as_ref().unwrap()));
}

#[test]
fn records_that_are_no_events_are_refused() {
    let changed = |at: usize, byte: u8| {
        let mut record = FIRST.to_vec();
        record[at] = byte;
        decode(Bytes::from(record))
    };
    assert_eq!(changed(0, 2), Err(DecodeError::Format(2)));
    assert!(matches!(changed(1, 0x3D), Err(DecodeError::Malformed(_))));
    assert!(matches!(changed(1, 0xFF), Err(DecodeError::Malformed(_))));
    assert_eq!(changed(2, 0x7F), Err(DecodeError::Truncated));
    assert!(matches!(changed(3, 0xFF), Err(DecodeError::Malformed(_))));
    for end in 0..FIRST.len() - 2 {
        assert!(decode(Bytes::from_static(&FIRST[..end])).is_err(), "{end}");
    }
    let endless = Bytes::from_static(b"\x01\x01\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(decode(endless), Err(DecodeError::Malformed("length")));
}

proptest! {
    #[test]
    fn events_come_back_as_they_were(event in any_event()) {
        prop_assert_eq!(decode(encoded(&event)).unwrap(), event);
    }

    #[test]
    fn any_bytes_can_be_read(bytes in any::<Vec<u8>>(), cut in 0..FIRST.len(), at in 0..FIRST.len()) {
        if let Ok(event) = decode(Bytes::from(bytes.clone())) {
            prop_assert_eq!(decode(encoded(&event)).unwrap(), event);
        }
        let mut record = FIRST[..cut].to_vec();
        record.extend_from_slice(&bytes);
        if let Some(byte) = record.get_mut(at) {
            *byte ^= 0x55;
        }
        let _ = decode(Bytes::from(record));
    }
}
