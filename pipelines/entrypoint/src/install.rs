//! What is done in a pod before the steps: this program installed, links made, scripts and working directories written.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::paths;

/// Steps of any user may run the program, and nobody may read or change it.
const PROGRAM_MODE: u32 = 0o311;
const SCRIPT_MODE: u32 = 0o755;
/// Working directories are for whichever user a step has.
const FOLDER_MODE: u32 = 0o777;

/// `init SOURCE DESTINATION [STEP…]`: installs the program, and links each step by name and number.
pub(crate) fn init(arguments: &[String]) -> io::Result<()> {
    let [source, destination, steps @ ..] = arguments else {
        return Err(usage("SOURCE DESTINATION [STEP...]"));
    };
    program(Path::new(source), Path::new(destination))?;
    link_steps(Path::new(paths::STEPS), steps)
}

fn program(source: &Path, destination: &Path) -> io::Result<()> {
    let bytes = fs::read(source).map_err(|error| about(source, &error))?;
    // Written aside, as one that exists cannot be opened any more, and a half one must not be found.
    let aside = destination.with_extension("new");
    remove(&aside)?;
    fs::write(&aside, bytes)
        .and_then(|()| fs::set_permissions(&aside, Permissions::from_mode(PROGRAM_MODE)))
        .and_then(|()| fs::rename(&aside, destination))
        .map_err(|error| about(destination, &error))
}

fn link_steps(folder: &Path, steps: &[String]) -> io::Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let status = paths::metadata(index);
        for name in [step.clone(), index.to_string()] {
            let link = folder.join(name);
            match symlink(&status, &link) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(about(&link, &error)),
            }
        }
    }
    Ok(())
}

/// `decode-script -o FILE BASE64… [-o FILE BASE64…]…`: writes scripts. They arrive encoded because Kubernetes replaces
/// `$(VAR)` in arguments, and in pieces because Linux limits the length of one.
pub(crate) fn scripts(arguments: &[String]) -> io::Result<()> {
    let mut files = arguments.split(|argument| argument == "-o");
    if files.next() != Some(&[]) {
        return Err(usage("-o FILE BASE64... [-o FILE BASE64...]..."));
    }
    for file in files {
        let [path, encoded @ ..] = file else {
            return Err(usage("-o FILE BASE64..."));
        };
        let path = Path::new(path);
        let script = STANDARD
            .decode(encoded.concat())
            .map_err(|error| about(path, &io::Error::new(io::ErrorKind::InvalidData, error)))?;
        remove(path)?;
        fs::write(path, script)
            .and_then(|()| fs::set_permissions(path, Permissions::from_mode(SCRIPT_MODE)))
            .map_err(|error| about(path, &error))?;
    }
    Ok(())
}

/// `working-dir FOLDER…`: makes folders, relative ones below `/workspace`, that every user can work in.
pub(crate) fn working_directories(folders: &[String]) -> io::Result<()> {
    folders.iter().try_for_each(|folder| {
        let folder = Path::new(paths::WORKSPACE).join(folder);
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&folder)
            .and_then(|()| fs::set_permissions(&folder, Permissions::from_mode(FOLDER_MODE)))
            .map_err(|error| about(&folder, &error))
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(about(path, &error)),
        _ => Ok(()),
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn usage(arguments: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("the arguments are {arguments}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn the_program_and_links_may_be_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let (source, destination) = (folder.path().join("s"), folder.path().join("d"));
        let steps = ["step-a", "step-b"].map(str::to_owned);
        for text in ["one", "two"] {
            fs::write(&source, text).unwrap();
            program(&source, &destination).unwrap();
            link_steps(folder.path(), &steps).unwrap();
        }
        assert_eq!(mode(&destination), 0o311);
        for name in ["step-b", "1"] {
            let target = fs::read_link(folder.path().join(name)).unwrap();
            assert_eq!(target, Path::new("/tekton/run/1/status"));
        }
        fs::set_permissions(&destination, Permissions::from_mode(0o400)).unwrap();
        assert_eq!(fs::read_to_string(&destination).unwrap(), "two");
    }

    #[test]
    fn scripts_come_in_pieces_and_can_be_run() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        let encoded = STANDARD.encode("#!/bin/sh\necho $(HOME)\n");
        let (one, two) = encoded.split_at(8);
        let arguments: Vec<String> = ["-o", a.to_str().unwrap(), one, two, "-o", b.to_str().unwrap()]
            .map(str::to_owned)
            .to_vec();
        scripts(&arguments).unwrap();
        scripts(&arguments).unwrap();
        assert_eq!(fs::read_to_string(&a).unwrap(), "#!/bin/sh\necho $(HOME)\n");
        assert_eq!((mode(&a), fs::read(&b).unwrap().len()), (0o755, 0));
        assert!(scripts(&["a".to_owned()]).is_err());
        let bad = ["-o", a.to_str().unwrap(), "!"].map(str::to_owned);
        assert!(scripts(&bad).is_err());
    }

    #[test]
    fn working_directories_are_made_for_everybody_and_kept_if_there() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x/y");
        working_directories(&[deep.to_str().unwrap().to_owned()]).unwrap();
        assert_eq!(mode(&deep), 0o777);
        fs::set_permissions(&deep, Permissions::from_mode(0o700)).unwrap();
        working_directories(&[deep.to_str().unwrap().to_owned()]).unwrap();
        assert_eq!(mode(&deep), 0o700);
    }
}
