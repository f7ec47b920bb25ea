//! A git server: `git http-backend` behind as little HTTP as it needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::run::run;

/// Bare repositories that are cloned from and pushed to by HTTP.
pub struct GitServer {
    root: TempDir,
    url: String,
}

impl GitServer {
    /// Serves at `address`, on a port of its own, until the tests end.
    ///
    /// # Errors
    /// If nothing can listen there.
    pub fn start(address: &str) -> anyhow::Result<Self> {
        let root = tempfile::tempdir()?;
        let listener = TcpListener::bind((address, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let folder = root.path().to_path_buf();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let folder = folder.clone();
                // Whoever sends nonsense gets no answer.
                std::thread::spawn(move || Request::read(&stream)?.answer(stream, &folder));
            }
        });
        Ok(Self { root, url })
    }

    /// Makes an empty repository; its folder.
    ///
    /// # Errors
    /// If git cannot.
    pub fn create(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.root.path().join(name);
        git(self.root.path(), &["init", "-q", "--bare", "-b", "main", name])?;
        git(&folder, &["config", "http.receivepack", "true"])?;
        Ok(folder)
    }

    /// The address of a repository.
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

/// Runs git in a folder, as nobody in particular and without what this machine has configured; what it printed, and
/// what it said.
///
/// # Errors
/// If it fails.
pub fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let output = run(Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .args(["-c", "user.name=Jane Doe", "-c", "user.email=jane@example.com"])
        // All in one request, whose length is known: the server here reads no other.
        .args(["-c", "http.postBuffer=67108864"])
        .args(arguments))?;
    ensure!(output.code == 0, "git {arguments:?}: {}", output.text());
    Ok(output.stdout + &output.stderr)
}

/// One request, as CGI programs are asked (RFC 3875).
pub struct Request {
    /// What is asked for, with its slash.
    pub path: String,
    variables: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Reads it to its end; a body has a `Content-Length`.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(stream: &TcpStream) -> anyhow::Result<Self> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let (method, target) = words.next().zip(words.next()).context("no request line")?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut variables = vec![
            ("REQUEST_METHOD", method.to_owned()),
            ("PATH_INFO", path.to_owned()),
            ("QUERY_STRING", query.to_owned()),
        ];
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(':') else {
                break;
            };
            let value = value.trim().to_owned();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse()?,
                "content-type" => variables.push(("CONTENT_TYPE", value)),
                "content-encoding" => variables.push(("HTTP_CONTENT_ENCODING", value)),
                "git-protocol" => variables.push(("GIT_PROTOCOL", value)),
                _ => {}
            }
        }
        variables.push(("CONTENT_LENGTH", length.to_string()));
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = path.to_owned();
        Ok(Self {
            path,
            variables,
            body,
        })
    }

    /// Answers it with what `git http-backend` says of the repositories below `root`, to jane, who may push.
    ///
    /// # Errors
    /// If git says nothing, or nobody listens.
    pub fn answer(self, mut stream: TcpStream, root: &Path) -> anyhow::Result<()> {
        let mut running = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("REMOTE_ADDR", "127.0.0.1")
            .env("REMOTE_USER", "jane")
            .envs(self.variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut input = running.stdin.take().context("no input")?;
        // It may answer before it has read all, or read none.
        let sending = std::thread::spawn(move || input.write_all(&self.body));
        let output = running.wait_with_output()?.stdout;
        let _ = sending.join();
        let text = String::from_utf8_lossy(&output);
        let status = text
            .lines()
            .take_while(|line| !line.trim().is_empty())
            .find_map(|line| line.strip_prefix("Status: "))
            .unwrap_or("200 OK");
        write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n")?;
        Ok(stream.write_all(&output)?)
    }
}
