//! Tar entries with their extended headers, each of bounded size.
//!
//! `tar` reads long names and pax records whole, however large a header says they are; so its raw mode is used and the
//! extension headers are read here, with a cap.

use std::io::Read;

/// Largest long name or pax header. Linux paths end at 4 KiB; the rest is room for extended attributes.
const MAX_EXTENSION: u64 = 1 << 20;

/// `PATH_MAX`.
const MAX_PATH: usize = 4_096;

/// `NAME_MAX`.
const MAX_NAME: usize = 255;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Fifo,
    /// Character or block device.
    Device,
}

/// All of an entry but its data.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    /// Components from the root; empty for the root itself. Never `.`, `..` or empty ones.
    pub(super) path: Vec<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) kind: Kind,
    /// Permission bits with set-id and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since the epoch.
    pub(super) mtime: i64,
    /// Only those a layer may set, see [`allowed`].
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

impl Meta {
    /// The path, for messages.
    pub(super) fn name(&self) -> Vec<u8> {
        self.path.join(&b'/')
    }

    pub(super) fn link_target(&self) -> Result<&[u8], String> {
        self.link
            .as_deref()
            .filter(|link| !link.is_empty())
            .ok_or_else(|| "a link without a target".into())
    }
}

/// Iterates over the entries of an archive.
pub(super) struct Entries<'a, R: Read> {
    raw: tar::Entries<'a, R>,
}

#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    size: Option<u64>,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl<'a, R: Read> Entries<'a, R> {
    pub(super) fn new(archive: &'a mut tar::Archive<R>) -> Result<Self, String> {
        Ok(Self {
            raw: archive.entries().map_err(|error| error.to_string())?.raw(true),
        })
    }

    pub(super) fn next(&mut self) -> Result<Option<(Meta, tar::Entry<'a, R>)>, String> {
        let mut extensions = Extensions::default();
        loop {
            let Some(entry) = self.raw.next() else {
                return Ok(None);
            };
            let mut entry = entry.map_err(|error| error.to_string())?;
            match entry.header().entry_type().as_byte() {
                b'L' => extensions.path = Some(until_nul(bounded(&mut entry)?)),
                b'K' => extensions.link = Some(until_nul(bounded(&mut entry)?)),
                b'x' => extensions.read_pax(&bounded(&mut entry)?)?,
                // Global pax records describe the archive (git writes its commit there), no file.
                b'g' => drop(bounded(&mut entry)?),
                _ => {
                    let meta = meta(entry.header(), extensions)?;
                    return Ok(Some((meta, entry)));
                }
            }
        }
    }
}

impl Extensions {
    fn read_pax(&mut self, records: &[u8]) -> Result<(), String> {
        for record in tar::PaxExtensions::new(records) {
            let record = record.map_err(|error| format!("damaged pax header: {error}"))?;
            let value = record.value_bytes();
            let number = || {
                std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse::<u64>().ok())
            };
            match record.key_bytes() {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"uid" => self.uid = number(),
                b"gid" => self.gid = number(),
                b"size" => self.size = number(),
                b"mtime" => self.mtime = seconds(value),
                key => {
                    let name = key
                        .strip_prefix(b"SCHILY.xattr.")
                        .and_then(|name| std::str::from_utf8(name).ok());
                    if let Some(name) = name.filter(|name| allowed(name)) {
                        self.xattrs.push((name.to_owned(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

fn meta(header: &tar::Header, extensions: Extensions) -> Result<Meta, String> {
    let path = extensions
        .path
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let told = || {
        format!(
            "entry `{}`",
            String::from_utf8_lossy(path.get(..200).unwrap_or(&path))
        )
    };
    let kind = match header.entry_type().as_byte() {
        // An old file whose name ends in a slash is a directory.
        b'0' | b'\0' if path.ends_with(b"/") => Kind::Directory,
        b'0' | b'\0' | b'7' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' | b'4' => Kind::Device,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err(format!("{}: sparse files are not supported", told())),
        other => return Err(format!("{}: unknown entry type {other:#x}", told())),
    };
    let size = header
        .entry_size()
        .map_err(|error| format!("{}: {error}", told()))?;
    // A blank field is zero, as in every other tool.
    let number =
        |field: &[u8], value: std::io::Result<u64>| match field.iter().all(|byte| matches!(byte, 0 | b' ')) {
            true => Ok(0),
            false => value.map_err(|error| format!("{}: {error}", told())),
        };
    let old = header.as_old();
    if extensions.size.is_some_and(|pax| pax != size) {
        // Readers differ in which of the two they follow, and would see different files after this one.
        return Err(format!(
            "{}: its pax size contradicts its header (files over 8 GiB need a GNU header)",
            told()
        ));
    }
    let id =
        |value: u64| u32::try_from(value).map_err(|_| format!("{}: owner {value} is out of range", told()));
    let link = extensions
        .link
        .or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
    Ok(Meta {
        path: components(&path).map_err(|reason| format!("{}: {reason}", told()))?,
        link,
        kind,
        mode: u32::try_from(number(&old.mode, header.mode().map(u64::from))?).unwrap_or(0) & 0o7777,
        uid: id(extensions
            .uid
            .map_or_else(|| number(&old.uid, header.uid()), Ok)?)?,
        gid: id(extensions
            .gid
            .map_or_else(|| number(&old.gid, header.gid()), Ok)?)?,
        mtime: extensions
            .mtime
            .unwrap_or_else(|| i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0)),
        xattrs: extensions.xattrs,
    })
}

/// Splits a name at its slashes. A leading slash means the layer's root, as in every other tool.
pub(super) fn components(path: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if path.len() > MAX_PATH {
        return Err(format!("its name is longer than {MAX_PATH} bytes"));
    }
    let mut components = Vec::new();
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err("its name leaves the layer (`..`)".into()),
            long if long.len() > MAX_NAME => {
                return Err(format!("part of its name is longer than {MAX_NAME} bytes"));
            }
            nul if nul.contains(&0) => return Err("its name has a NUL byte".into()),
            name => components.push(name.to_vec()),
        }
    }
    Ok(components)
}

/// Extended attributes a layer may set: file capabilities and the user's own. `trusted.overlay.*` and
/// `user.overlay.*` would let a layer redirect overlayfs to files of other layers.
fn allowed(name: &str) -> bool {
    name == "security.capability" || (name.starts_with("user.") && !name.starts_with("user.overlay."))
}

fn bounded(entry: &mut impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    entry
        .take(MAX_EXTENSION + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_EXTENSION {
        return Err(format!(
            "an extension header is larger than {MAX_EXTENSION} bytes"
        ));
    }
    Ok(bytes)
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Whole seconds of a pax time such as `1700000000.123456789`.
fn seconds(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.split('.').next()?.parse().ok()
}
