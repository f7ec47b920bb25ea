//! `hostPath`: what the path must be before a container sees it (upstream: pkg/volume/hostpath).

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Checks the path against the type, making it where the type says so.
pub(super) fn prepare(path: &Path, kind: &str) -> Result<PathBuf, String> {
    let shown = path.display();
    let fail = |error: std::io::Error| format!("{shown}: {error}");
    let made =
        |mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(fail);
    match kind {
        "DirectoryOrCreate" if !path.exists() => {
            std::fs::create_dir_all(path).map_err(fail)?;
            made(0o755)?;
        }
        "FileOrCreate" if !path.exists() => {
            std::fs::File::create(path).map_err(fail)?;
            made(0o644)?;
        }
        _ => {}
    }
    let metadata = std::fs::metadata(path);
    let expect = |what: &str, matches: fn(&std::fs::FileType) -> bool| match &metadata {
        Ok(metadata) if matches(&metadata.file_type()) => Ok(path.to_path_buf()),
        _ => Err(format!("hostPath type check failed: {shown} is not a {what}")),
    };
    match kind {
        // Without a type anything goes, and a missing directory is made, as container runtimes do.
        "" => {
            if metadata.is_err() {
                std::fs::create_dir_all(path).map_err(fail)?;
            }
            Ok(path.to_path_buf())
        }
        "Directory" | "DirectoryOrCreate" => expect("directory", std::fs::FileType::is_dir),
        "File" | "FileOrCreate" => expect("file", std::fs::FileType::is_file),
        "Socket" => expect("socket", FileTypeExt::is_socket),
        "CharDevice" => expect("character device", FileTypeExt::is_char_device),
        "BlockDevice" => expect("block device", FileTypeExt::is_block_device),
        other => Err(format!("hostPath type \"{other}\" is unknown")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_must_be_what_its_type_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        assert!(
            prepare(&path("none"), "Directory")
                .unwrap_err()
                .contains("is not a directory")
        );
        assert!(prepare(&path("new"), "DirectoryOrCreate").is_ok());
        assert!(
            prepare(&path("new"), "File")
                .unwrap_err()
                .contains("is not a file")
        );
        assert!(prepare(&path("file"), "FileOrCreate").is_ok());
        assert!(prepare(&path("file"), "").is_ok());
        assert!(prepare(&path("implicit"), "").is_ok() && path("implicit").is_dir());
        assert!(prepare(Path::new("/dev/null"), "CharDevice").is_ok());
        assert!(prepare(&path("file"), "Pipe").unwrap_err().contains("unknown"));
    }
}
