//! The object in a layer: a tar with one file, packed or not, or the object itself.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::question::MAX_DATA;

/// # Errors
/// If there is no such file, or it is too long.
pub(super) fn content(blob: &[u8]) -> Result<Vec<u8>, String> {
    let unpacked = match blob.starts_with(&[0x1f, 0x8b]) {
        true => read(GzDecoder::new(blob))?,
        false => blob.to_vec(),
    };
    // The magic of tar, at its place in the first header.
    if unpacked.get(257..262) != Some(b"ustar") {
        return Ok(unpacked);
    }
    let mut archive = tar::Archive::new(unpacked.as_slice());
    for entry in archive.entries().map_err(|error| error.to_string())? {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.header().entry_type().is_file() {
            return read(entry);
        }
    }
    Err("there is no file in it".to_owned())
}

/// Reads to the end, which must not be far.
fn read(source: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // A little more than the object: headers and padding of the tar.
    let most = MAX_DATA + (1 << 16);
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    source
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    match bytes.len() > most {
        true => Err(format!("it is longer than {MAX_DATA} bytes")),
        false => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn tarred(text: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        builder.append_data(&mut header, "task", text).unwrap();
        builder.into_inner().unwrap()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn objects_come_out_however_they_are_packed() {
        let text = b"kind: Task".as_slice();
        for blob in [text.to_vec(), packed(text), tarred(text), packed(&tarred(text))] {
            assert_eq!(content(&blob).unwrap(), text);
        }
    }

    #[test]
    fn bombs_are_not_unpacked() {
        let error = content(&packed(&vec![0; 64 << 20])).unwrap_err();
        assert!(error.contains("longer than"), "{error}");
        let empty = tar::Builder::new(Vec::new()).into_inner().unwrap();
        assert!(content(&empty).is_ok(), "no header, so no tar");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = content(&bytes);
            let _ = content(&packed(&bytes));
        }
    }
}
