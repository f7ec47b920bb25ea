//! etcd and kube-apiserver as child processes on free ports of the loopback address.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use kube::{Client, Config};
use tokio::process::{Child, Command};

/// Names the folder of the binaries.
const ASSETS: &str = "KUBEBUILDER_ASSETS";
const TOKEN: &str = "test-admin";
/// A server on a busy machine needs a while for its first start.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Both processes and their directory. They are killed when it is dropped.
pub(crate) struct Server {
    processes: [Child; 2],
    dir: tempfile::TempDir,
}

/// The folder with the binaries, if tests shall use them.
pub(crate) fn assets() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os(ASSETS).filter(|folder| !folder.is_empty())?);
    for binary in ["etcd", "kube-apiserver"] {
        let path = folder.join(binary);
        assert!(
            path.is_file(),
            "{ASSETS} is set, but {} is missing",
            path.display()
        );
    }
    Some(folder)
}

/// Starts both, and waits until the API is ready and has its `default` namespace.
pub(crate) async fn start(assets: &Path) -> (Client, Server) {
    let dir = tempfile::tempdir().unwrap();
    let [etcd_port, peer_port, port] = free_ports();
    let etcd = format!("http://127.0.0.1:{etcd_port}");
    let peer = format!("http://127.0.0.1:{peer_port}");
    let store = launch(
        &assets.join("etcd"),
        dir.path(),
        "etcd.log",
        &[
            format!("--data-dir={}", dir.path().join("etcd").display()),
            format!("--listen-client-urls={etcd}"),
            format!("--advertise-client-urls={etcd}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            // What is lost in a crash of the machine would be thrown away anyway.
            "--unsafe-no-fsync".to_owned(),
        ],
    );
    let authority = write_keys(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let api = launch(
        &assets.join("kube-apiserver"),
        dir.path(),
        "kube-apiserver.log",
        &[
            format!("--etcd-servers={etcd}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", file("serving.crt")),
            format!("--tls-private-key-file={}", file("serving.key")),
            format!("--token-auth-file={}", file("tokens.csv")),
            "--authorization-mode=RBAC".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", file("accounts.pub")),
            format!("--service-account-signing-key-file={}", file("accounts.key")),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            // Nobody makes service accounts here, and pods would wait for theirs.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ],
    );
    let mut server = Server {
        processes: [store, api],
        dir,
    };
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.root_cert = Some(vec![authority]);
    config.auth_info.token = Some(TOKEN.to_owned().into());
    let client = Client::try_from(config).unwrap();
    let [store, api] = &mut server.processes;
    let ready = tokio::select! {
        () = ready(&client) => Ok(()),
        () = tokio::time::sleep(STARTS_WITHIN) => Err("it took too long".to_owned()),
        ended = store.wait() => Err(format!("etcd ended: {ended:?}")),
        ended = api.wait() => Err(format!("it ended: {ended:?}")),
    };
    if let Err(reason) = ready {
        panic!("kube-apiserver did not start, {reason}: {}", server.logs());
    }
    (client, server)
}

async fn ready(client: &Client) {
    loop {
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        if client.request_text(request).await.is_ok_and(|text| text == "ok") {
            let request = http::Request::get("/api/v1/namespaces/default")
                .body(Vec::new())
                .unwrap();
            if client.request_text(request).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Server {
    /// The ends of both logs.
    fn logs(&self) -> String {
        let tail = |name: &str| {
            let text = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(20)..].join("\n")
        };
        format!("\n{}\n{}", tail("etcd.log"), tail("kube-apiserver.log"))
    }
}

fn launch(binary: &Path, dir: &Path, log: &str, arguments: &[String]) -> Child {
    let log = File::create(dir.join(log)).unwrap();
    Command::new(binary)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", binary.display()))
}

/// Ports that were free a moment ago: all are held until the last one is known, so they differ.
fn free_ports() -> [u16; 3] {
    let held = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// Writes certificate, keys and tokens; returns the certificate in DER.
fn write_keys(dir: &Path) -> Vec<u8> {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let serving = rcgen::generate_simple_self_signed(names).unwrap();
    let write = |name: &str, text: String| std::fs::write(dir.join(name), text).unwrap();
    write("serving.crt", serving.cert.pem());
    write("serving.key", serving.signing_key.serialize_pem());
    let accounts = rcgen::KeyPair::generate().unwrap();
    write("accounts.key", accounts.serialize_pem());
    write("accounts.pub", accounts.public_key_pem());
    write("tokens.csv", format!("{TOKEN},admin,admin,\"system:masters\"\n"));
    serving.cert.der().to_vec()
}
