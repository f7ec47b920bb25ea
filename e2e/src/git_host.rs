//! A git host: repositories where pods reach them, and what somebody works in.

use std::path::{Path, PathBuf};

use crate::git::{GitServer, git};

/// A running host; its server lives as long as the test program.
pub struct GitHost {
    server: GitServer,
    copies: tempfile::TempDir,
}

impl GitHost {
    /// Starts one on a free port of every address.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self {
            server: GitServer::start("0.0.0.0")?,
            copies: tempfile::Builder::new().prefix("spindrift-e2e-git-").tempdir()?,
        })
    }

    /// The address of a repository for those who reach this machine by `host`.
    pub fn url(&self, host: &str, name: &str) -> String {
        self.server.url(&format!("{name}.git")).replace("0.0.0.0", host)
    }

    /// Makes an empty repository, and a working copy of it.
    ///
    /// # Errors
    /// With what git printed.
    pub fn repository(&self, name: &str) -> anyhow::Result<WorkingCopy> {
        let bare = self.server.create(&format!("{name}.git"))?;
        let folder = self.copies.path().join(name);
        let told = |path: &Path| path.to_string_lossy().into_owned();
        git(
            self.copies.path(),
            &["clone", "--quiet", &told(&bare), &told(&folder)],
        )?;
        let copy = WorkingCopy { folder, bare };
        copy.git(&["checkout", "--quiet", "-B", "main"])?;
        Ok(copy)
    }
}

/// What somebody works in.
pub struct WorkingCopy {
    folder: PathBuf,
    bare: PathBuf,
}

impl WorkingCopy {
    /// Where files go.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Runs git in it.
    ///
    /// # Errors
    /// With what git printed.
    pub fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        Ok(git(&self.folder, arguments)?.trim().to_owned())
    }

    /// Commits everything, pushes it with force, and gives the commit.
    ///
    /// # Errors
    /// With what git printed.
    pub fn push(&self, message: &str) -> anyhow::Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        self.git(&["push", "--quiet", "--force", "origin", "main"])?;
        self.git(&["rev-parse", "HEAD"])
    }

    /// Takes what no branch has out of the repository.
    ///
    /// # Errors
    /// With what git printed.
    pub fn forget(&self) -> anyhow::Result<()> {
        git(&self.bare, &["reflog", "expire", "--all", "--expire=now"])?;
        git(&self.bare, &["gc", "--quiet", "--prune=now"])?;
        Ok(())
    }
}
