use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};

use proptest::prelude::*;
use tar::{EntryType, Header};

use super::*;

/// One entry with exactly the bytes given: the tar builder itself refuses hostile names.
fn raw(builder: &mut Vec<u8>, kind: u8, name: &[u8], link: &[u8], data: &[u8]) {
    let mut header = Header::new_gnu();
    {
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..name.len()].copy_from_slice(name);
        gnu.linkname[..link.len()].copy_from_slice(link);
    }
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000);
    header.set_size(data.len() as u64);
    header.set_cksum();
    builder.extend(header.as_bytes());
    builder.extend(data);
    builder.resize(builder.len().next_multiple_of(512), 0);
}

struct Tar(Vec<u8>);

impl Tar {
    fn new() -> Self {
        Self(Vec::new())
    }
    fn entry(mut self, kind: u8, name: &str, link: &str, data: &[u8]) -> Self {
        raw(&mut self.0, kind, name.as_bytes(), link.as_bytes(), data);
        self
    }
    fn file(self, name: &str, data: &str) -> Self {
        self.entry(b'0', name, "", data.as_bytes())
    }
    fn dir(self, name: &str) -> Self {
        self.entry(b'5', name, "", b"")
    }
    fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(b'2', name, target, b"")
    }
    fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(b'1', name, target, b"")
    }
    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let digits = (1..).find(|d| (rest + d).to_string().len() == *d).unwrap();
            text += &format!("{} {key}={value}\n", rest + digits);
        }
        self.entry(b'x', "pax", "", text.as_bytes())
    }
    fn finish(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn unpack_with(bytes: &[u8], limits: Limits) -> (tempfile::TempDir, Result<Unpacked, String>) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("root")).unwrap();
    fs::write(dir.path().join("layer"), bytes).unwrap();
    let file = File::open(dir.path().join("layer")).unwrap();
    let result = unpack(file, &dir.path().join("root"), limits);
    (dir, result)
}

fn unpacked(tar: Tar) -> (tempfile::TempDir, Result<Unpacked, String>) {
    unpack_with(&tar.finish(), Limits::default())
}

#[test]
fn plain_gzip_and_zstd_give_the_same_layer() {
    let tar = Tar::new()
        .dir("etc/")
        .file("etc/hello", "world")
        .symlink("etc/link", "/etc/hello")
        .finish();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    for bytes in [&tar, &gzip, &zstd] {
        let (dir, result) = unpack_with(bytes, Limits::default());
        let result = result.unwrap();
        assert_eq!(
            result,
            Unpacked {
                diff_id: Digest::of(&tar),
                bytes: 5,
                skipped_devices: 0
            }
        );
        let root = dir.path().join("root");
        assert_eq!(fs::read_to_string(root.join("etc/hello")).unwrap(), "world");
        assert_eq!(fs::metadata(root.join("etc/hello")).unwrap().mtime(), 1_000);
        assert_eq!(fs::metadata(root.join("etc")).unwrap().mtime(), 1_000);
        assert_eq!(
            fs::read_link(root.join("etc/link")).unwrap(),
            Path::new("/etc/hello")
        );
    }
}

#[test]
fn nothing_leaves_the_root() {
    let cases: Vec<(&str, Tar)> = vec![
        ("leaves the layer", Tar::new().file("../escape", "x")),
        (
            "leaves the layer",
            Tar::new().dir("a").file("a/../../escape", "x"),
        ),
        (
            "symbolic link",
            Tar::new().symlink("out", "..").file("out/escape", "x"),
        ),
        (
            "symbolic link",
            Tar::new().symlink("out", "/").file("out/tmp/escape", "x"),
        ),
        (
            "symbolic link",
            Tar::new()
                .symlink("a", ".")
                .symlink("b", "a/..")
                .file("b/escape", "x"),
        ),
        ("symbolic link", Tar::new().symlink("out", "..").dir("out/escape")),
        (
            "symbolic link",
            Tar::new().symlink("out", "..").file("out/.wh.layer", ""),
        ),
        ("leaves the layer", Tar::new().hardlink("mine", "../layer")),
        (
            "symbolic link",
            Tar::new().symlink("out", "..").hardlink("mine", "out/layer"),
        ),
        ("not in this layer", Tar::new().hardlink("mine", "/etc/passwd")),
        ("whiteout without a name", Tar::new().file(".wh...", "")),
        ("whiteout without a name", Tar::new().dir("a").file("a/.wh.", "")),
        (
            "leaves the layer",
            Tar::new().pax(&[("path", "../escape")]).file("harmless", "x"),
        ),
        ("no directory", Tar::new().file("a", "x").file("a/b", "x")),
        ("without a target", Tar::new().symlink("a", "")),
        ("is no file", Tar::new().dir("a").hardlink("b", "a")),
        ("the root can only", Tar::new().file(".", "x")),
    ];
    for (expected, tar) in cases {
        let (dir, result) = unpacked(tar);
        let error = result.expect_err(expected);
        assert!(error.contains(expected), "{expected}: {error}");
        let mut left: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["layer", "root"], "{expected}");
    }
}

#[test]
fn a_file_replaces_a_link_instead_of_writing_through_it() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), "kept").unwrap();
    let target = outside.path().to_str().unwrap().to_owned();
    let (dir, result) = unpacked(Tar::new().symlink("config", &target).file("config", "new"));
    result.unwrap();
    assert_eq!(fs::read_to_string(outside.path()).unwrap(), "kept");
    assert!(
        fs::symlink_metadata(dir.path().join("root/config"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn absolute_names_land_in_the_root_and_the_last_entry_wins() {
    let tar = Tar::new()
        .file("/abs/x", "1")
        .file("./abs/x", "2")
        .dir("d")
        .file("d/inner", "")
        .file("d", "now a file");
    let (dir, result) = unpacked(tar);
    result.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("root/abs/x")).unwrap(), "2");
    assert_eq!(
        fs::read_to_string(dir.path().join("root/d")).unwrap(),
        "now a file"
    );
}

#[test]
fn hard_links_share_the_file() {
    let (dir, result) = unpacked(Tar::new().file("a", "x").hardlink("b", "./a").hardlink("a", "a"));
    result.unwrap();
    let inode = |name| fs::metadata(dir.path().join("root").join(name)).unwrap().ino();
    assert_eq!(inode("a"), inode("b"));
}

#[test]
fn caps_hold() {
    let tar = Tar::new().file("a", "12345").file("b", "x").finish();
    let limits = |bytes, entries| Limits { bytes, entries };
    assert!(unpack_with(&tar, limits(1 << 20, 2)).1.is_ok());
    assert!(
        unpack_with(&tar, limits(1 << 20, 1))
            .1
            .unwrap_err()
            .contains("more than 1 entries")
    );
    assert!(
        unpack_with(&tar, limits(1024, 9))
            .1
            .unwrap_err()
            .contains("limit of bytes")
    );
    // A bomb: a gigabyte of zeros in about a megabyte.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_size(1 << 30);
    header.set_mode(0o644);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    for _ in 0..64 {
        bomb.write_all(&[0; 1 << 20]).unwrap();
    }
    let error = unpack_with(&bomb.finish().unwrap(), limits(1 << 22, 9))
        .1
        .unwrap_err();
    assert!(error.contains("limit of bytes"), "{error}");
    // An extension header that would be read into memory.
    let huge = Tar::new()
        .entry(b'L', "././@LongLink", "", &vec![b'a'; 2 << 20])
        .file("x", "");
    assert!(unpacked(huge).1.unwrap_err().contains("extension header"));
    let long = Tar::new().pax(&[("path", &"a/".repeat(3_000))]).file("x", "");
    assert!(unpacked(long).1.unwrap_err().contains("longer than"));
}

#[test]
fn contradicting_sizes_and_strange_types_are_refused() {
    let (_dir, result) = unpacked(Tar::new().pax(&[("size", "0")]).file("a", "hidden"));
    assert!(result.unwrap_err().contains("contradicts"));
    assert!(
        unpacked(Tar::new().entry(b'S', "a", "", b""))
            .1
            .unwrap_err()
            .contains("sparse")
    );
    assert!(
        unpacked(Tar::new().entry(b'Z', "a", "", b""))
            .1
            .unwrap_err()
            .contains("unknown entry type")
    );
}

#[test]
#[ignore = "needs root: makes whiteout devices and changes owners"]
fn whiteouts_owners_and_attributes_are_overlay_ready() {
    let tar = Tar::new()
        .dir("etc")
        .file("etc/.wh.gone", "")
        .dir("opaque")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "n")
        .file(".wh.again", "")
        .file("again/inner", "i")
        .file(".wh..wh.plnk", "")
        .file("kept", "k")
        .file(".wh.kept", "")
        .pax(&[
            ("uid", "12345"),
            ("SCHILY.xattr.user.mine", "yes"),
            ("SCHILY.xattr.trusted.overlay.redirect", "/etc"),
            ("SCHILY.xattr.user.overlay.opaque", "y"),
        ])
        .file("owned", "")
        .entry(b'3', "dev/null", "", b"")
        .entry(b'6', "pipe", "", b"");
    let (dir, result) = unpacked(tar);
    assert_eq!(result.unwrap().skipped_devices, 1);
    let root = dir.path().join("root");
    let gone = fs::symlink_metadata(root.join("etc/gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let opaque = |name: &str| xattr::get(root.join(name), "trusted.overlay.opaque").unwrap();
    assert_eq!(opaque("opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(
        opaque("again").as_deref(),
        Some(&b"y"[..]),
        "a directory made anew hides the removed one"
    );
    assert_eq!(fs::read_to_string(root.join("kept")).unwrap(), "k");
    assert!(!root.join(".wh..wh.plnk").exists());
    let owned = fs::metadata(root.join("owned")).unwrap();
    assert_eq!((owned.uid(), owned.permissions().mode() & 0o7777), (12345, 0o644));
    let attributes: BTreeMap<String, Option<Vec<u8>>> = xattr::list(root.join("owned"))
        .unwrap()
        .map(|name| {
            (
                name.to_string_lossy().into_owned(),
                xattr::get(root.join("owned"), &name).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        attributes,
        BTreeMap::from([("user.mine".to_owned(), Some(b"yes".to_vec()))])
    );
    assert!(!root.join("dev/null").exists());
    assert!(fs::metadata(root.join("pipe")).unwrap().file_type().is_fifo());
}

fn name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-c]",
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(".wh.a".to_owned()),
        Just(".wh..wh..opq".to_owned())
    ];
    (any::<bool>(), proptest::collection::vec(part, 1..4))
        .prop_map(|(absolute, parts)| format!("{}{}", if absolute { "/" } else { "" }, parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever a layer does, it does it below its root, and unpacking it again does the same.
    #[test]
    fn random_layers_stay_inside(entries in proptest::collection::vec(
        (prop_oneof![Just(b'0'), Just(b'1'), Just(b'2'), Just(b'5'), Just(b'6')], name(), name()), 1..12))
    {
        let mut tar = Tar::new();
        for (kind, path, link) in &entries {
            tar = tar.entry(*kind, path, link, if *kind == b'0' { b"data" } else { b"" });
        }
        let bytes = tar.finish();
        let (dir, first) = unpack_with(&bytes, Limits::default());
        let mut left: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        prop_assert_eq!(left, ["layer", "root"]);
        prop_assert_eq!(fs::read(dir.path().join("layer")).unwrap(), bytes.clone());
        let (_again, second) = unpack_with(&bytes, Limits::default());
        prop_assert_eq!(first, second);
    }

    #[test]
    fn any_bytes_are_an_answer_not_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let (dir, _) = unpack_with(&bytes, Limits::default());
        prop_assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    }
}
