//! A git host: bare repositories behind `git http-backend`, where pods reach them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::run;

/// A running host; its server lives as long as the test program.
pub struct GitHost {
    folder: tempfile::TempDir,
    port: u16,
}

impl GitHost {
    /// Starts one on a free port of every address.
    ///
    /// # Errors
    /// If there is none.
    pub fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("spindrift-e2e-git-").tempdir()?;
        let listener = TcpListener::bind("0.0.0.0:0")?;
        let port = listener.local_addr()?.port();
        let root = folder.path().to_path_buf();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                std::thread::spawn(move || serve(stream, &root));
            }
        });
        Ok(Self { folder, port })
    }

    /// The address of a repository for those who reach this machine by `host`.
    pub fn url(&self, host: &str, name: &str) -> String {
        format!("http://{host}:{}/{name}.git", self.port)
    }

    /// Makes an empty repository, and a working copy of it.
    ///
    /// # Errors
    /// With what git printed.
    pub fn repository(&self, name: &str) -> anyhow::Result<WorkingCopy> {
        let (bare, copy) = (
            self.folder.path().join(format!("{name}.git")),
            self.folder.path().join(name),
        );
        let told = |path: &Path| path.to_string_lossy().into_owned();
        run(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main", &told(&bare)]))?
            .ok()?;
        run(Command::new("git").args(["clone", "--quiet", &told(&bare), &told(&copy)]))?.ok()?;
        let copy = WorkingCopy { folder: copy, bare };
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
        let mut command = Command::new("git");
        command
            .current_dir(&self.folder)
            .args(["-c", "user.name=E", "-c", "user.email=e@example.com"])
            .args(arguments);
        Ok(run(&mut command)?.ok()?.trim().to_owned())
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
        let bare = self.bare.to_string_lossy().into_owned();
        run(Command::new("git").args(["-C", &bare, "reflog", "expire", "--all", "--expire=now"]))?.ok()?;
        run(Command::new("git").args(["-C", &bare, "gc", "--quiet", "--prune=now"]))?.ok()?;
        Ok(())
    }
}

/// One request by CGI (git-http-backend(1)); the connection ends with it.
fn serve(mut stream: TcpStream, root: &Path) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let (method, target) = (
        words.next().context("no method")?.to_owned(),
        words.next().context("no path")?.to_owned(),
    );
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse()?,
            "content-type" => drop(backend.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(backend.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" => drop(backend.env("GIT_PROTOCOL", value)),
            _ => {}
        }
    }
    let mut child = backend.env("CONTENT_LENGTH", length.to_string()).spawn()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    child.stdin.take().context("no input")?.write_all(&body)?;
    let output = child.wait_with_output()?;
    let end = output
        .stdout
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("no answer of git http-backend")?;
    let (head, content) = output.stdout.split_at(end);
    let head = String::from_utf8_lossy(head).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    write!(
        stream,
        "HTTP/1.1 {}\r\n{head}\r\nContent-Length: {}\r\nConnection: close",
        status.unwrap_or("200 OK"),
        content.len() - 4
    )?;
    stream.write_all(content)?;
    ensure!(output.status.success(), "git http-backend failed");
    Ok(())
}
