//! What somebody works in: a clone of a bare repository on a git server, with a server of one page as its source.

use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::Platform;
use crate::git::{GitServer, git};
use crate::tools::{Need, find};

/// Serves `index.html` with busybox.
pub const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY index.html /srv/index.html\n\
                              CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/srv\"]\n";

/// What it takes to push one, and to have it built.
pub const NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Busybox,
    Need::Buildah,
    Need::Git,
    Need::Openssl,
];

/// A clone, and the repository that it pushes to.
pub struct Checkout {
    server: GitServer,
    bare: PathBuf,
    folder: PathBuf,
    name: String,
    /// Keeps the folder, unless somebody else does.
    _temporary: Option<TempDir>,
}

impl Checkout {
    /// A new repository at an address of this machine that pods reach, and an empty clone of it.
    ///
    /// # Errors
    /// If git cannot.
    pub fn start(platform: &Platform, name: &str) -> anyhow::Result<Self> {
        let temporary = tempfile::tempdir()?;
        let checkout = Self::within(platform, name, temporary.path())?;
        Ok(Self {
            _temporary: Some(temporary),
            ..checkout
        })
    }

    /// The same with a folder that is there.
    ///
    /// # Errors
    /// If git cannot.
    pub fn within(platform: &Platform, name: &str, folder: &Path) -> anyhow::Result<Self> {
        let server = GitServer::start(&platform.address()?)?;
        let bare = server.create(name)?;
        let checkout = Self {
            server,
            bare,
            folder: folder.to_path_buf(),
            name: name.to_owned(),
            _temporary: None,
        };
        checkout.git(&["init", "-q", "-b", "main"])?;
        checkout.git(&["remote", "add", "origin", &checkout.url()])?;
        Ok(checkout)
    }

    /// Where it is cloned from and pushed to.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Where its files are.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder of the repository that it pushes to.
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// Runs git in it.
    ///
    /// # Errors
    /// If it fails.
    pub fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        git(self.path(), arguments)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// If that cannot be.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.path().join(file), text)?)
    }

    /// Writes the source of a server of one page.
    ///
    /// # Errors
    /// If there is no busybox.
    pub fn write_server(&self) -> anyhow::Result<()> {
        write_server(self.path())
    }

    /// Commits a page; the commit.
    ///
    /// # Errors
    /// If git cannot.
    pub fn commit(&self, page: &str) -> anyhow::Result<String> {
        self.write("index.html", page)?;
        self.git(&["add", "-A"])?;
        self.git(&["commit", "-q", "--allow-empty", "-m", &format!("Say {page}")])?;
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Pushes; what was said, by the hook, too.
    ///
    /// # Errors
    /// If git cannot.
    pub fn push(&self, refspec: &str) -> anyhow::Result<String> {
        self.git(&["push", "--force", "origin", refspec])
    }

    /// Gives the repository the hook of `examples/git`, with the address and the secret of a webhook.
    ///
    /// # Errors
    /// If git cannot.
    pub fn hook(&self, url: &str, secret: &str) -> anyhow::Result<()> {
        let file = self.bare.join("secret");
        std::fs::write(&file, format!("{secret}\n"))?;
        let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/git/post-receive");
        std::fs::copy(hook, self.bare.join("hooks/post-receive"))?;
        git(&self.bare, &["config", "spindrift.url", url])?;
        git(
            &self.bare,
            &["config", "spindrift.secretFile", &file.to_string_lossy()],
        )
        .map(drop)
    }
}

/// Writes the source of a server of one page into a folder, without the page.
///
/// # Errors
/// If there is no busybox.
pub fn write_server(folder: &Path) -> anyhow::Result<()> {
    let busybox = find("busybox").context("there is no busybox")?;
    std::fs::copy(busybox, folder.join("busybox"))?;
    Ok(std::fs::write(folder.join("Dockerfile"), DOCKERFILE)?)
}
