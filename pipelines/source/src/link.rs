//! Where symbolic links may lead.

use std::path::{Component, Path};

/// Why a link is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("the link {0} leads out of the folder, to {1}")]
    Escapes(String, String),
    #[error("the link {0} goes back up after it went down ({1}); make it lead there directly")]
    Winding(String, String),
}

/// Checks the link at `path` (relative to the folder) with this target.
///
/// `..` may only come first, and no oftener than there are folders above the link. Then whatever other links lie on the
/// way, which obey the same rule, the end is within the folder; counting alone would not do, because what is above a
/// link's target is not what is above the link.
///
/// # Errors
/// If it could lead elsewhere.
pub fn check(path: &Path, target: &Path) -> Result<(), LinkError> {
    let told = || (path.display().to_string(), target.display().to_string());
    let escapes = || {
        let (path, target) = told();
        LinkError::Escapes(path, target)
    };
    let mut above = path.components().count().saturating_sub(1);
    let mut down = false;
    for component in target.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return Err(escapes()),
            Component::CurDir => {}
            Component::Normal(_) => down = true,
            Component::ParentDir if down => {
                let (path, target) = told();
                return Err(LinkError::Winding(path, target));
            }
            Component::ParentDir => above = above.checked_sub(1).ok_or_else(escapes)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_within_the_folder() {
        for (path, target, taken) in [
            ("link", "file", true),
            ("link", "./a/b", true),
            ("a/link", "../file", true),
            ("a/b/link", "../../c/d", true),
            ("link", "/etc/passwd", false),
            ("link", "../file", false),
            ("a/link", "../../file", false),
            // With `x` a link to somewhere, what is above `x` is anything.
            ("link", "x/..", false),
            ("a/link", "../x/../y", false),
        ] {
            assert_eq!(
                check(Path::new(path), Path::new(target)).is_ok(),
                taken,
                "{path} -> {target}"
            );
        }
    }
}
