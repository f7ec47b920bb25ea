use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

fn digest(text: &str) -> String {
    let hex: String = Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// A registry of documents by path; blobs are a redirect away.
struct Served {
    documents: HashMap<String, String>,
}

impl Served {
    fn put(&mut self, kind: &str, document: &Value) -> String {
        let text = document.to_string();
        let digest = digest(&text);
        let place = if kind == "blobs" {
            "/elsewhere"
        } else {
            "/v2/app/manifests"
        };
        self.documents.insert(format!("{place}/{digest}"), text);
        digest
    }

    /// An image for one platform.
    fn image(&mut self, architecture: &str, config: Value) -> String {
        let config = json!({"os": "linux", "architecture": architecture, "config": config});
        let config = self.put("blobs", &config);
        self.put(
            "manifests",
            &json!({"schemaVersion": 2, "config": {"digest": config}}),
        )
    }

    fn tag(&mut self, tag: &str, digest: &str) {
        let text = self.documents[&format!("/v2/app/manifests/{digest}")].clone();
        self.documents.insert(format!("/v2/app/manifests/{tag}"), text);
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if let Some(blob) = path.strip_prefix("/v2/app/blobs/") {
            let response = Response::builder().status(StatusCode::TEMPORARY_REDIRECT);
            return response
                .header("location", format!("/elsewhere/{blob}"))
                .body(Full::default())
                .unwrap();
        }
        match self.documents.get(path) {
            Some(text) => Response::new(Full::from(text.clone())),
            None => Response::builder()
                .status(StatusCode::NOT_FOUND)
                .body(Full::default())
                .unwrap(),
        }
    }

    /// Serves; gives `host:port`.
    async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = Arc::new(self);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let served = served.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = served.answer(&request);
                        async move { Ok::<_, std::convert::Infallible>(answer) }
                    });
                    let connection = hyper::server::conn::http1::Builder::new();
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        address.to_string()
    }
}

fn command(entrypoint: &[&str], cmd: &[&str]) -> Command {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
    Command {
        entrypoint: words(entrypoint),
        cmd: words(cmd),
    }
}

#[tokio::test]
async fn images_tell_what_they_run_on_each_platform() {
    let mut served = Served {
        documents: HashMap::new(),
    };
    let plain = served.image("amd64", json!({"Entrypoint": ["/tool"], "Cmd": ["help"]}));
    let silent = served.image("arm64", json!(null));
    let index = served.put(
        "manifests",
        &json!({"manifests": [
            {"digest": plain, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": silent, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"digest": "sha256:0", "platform": {"os": "unknown", "architecture": "unknown"}},
        ]}),
    );
    served.tag("one", &plain);
    served.tag("all", &index);
    let host = served.start().await;
    let registry = Registry::new();
    let ask = async |name: &str| {
        let reference = ImageReference::parse(&format!("{host}/app{name}")).unwrap();
        registry.image(&reference, None).await
    };
    let image = ask(":one").await.unwrap();
    assert_eq!(image.digest, plain);
    assert_eq!(
        image.commands,
        BTreeMap::from([("linux/amd64".to_owned(), command(&["/tool"], &["help"]))])
    );
    assert_eq!(ask(&format!("@{plain}")).await.unwrap(), image);
    let image = ask(":all").await.unwrap();
    assert_eq!(image.digest, index);
    assert_eq!(image.commands["linux/arm64/v8"], Command::default());
    assert_eq!(image.commands["linux/amd64"], command(&["/tool"], &["help"]));
    let error = ask(":absent").await.unwrap_err();
    assert!(
        matches!(
            error,
            RegistryError::Status {
                status: StatusCode::NOT_FOUND,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn documents_of_another_digest_are_refused() {
    let mut served = Served {
        documents: HashMap::new(),
    };
    let plain = served.image("amd64", json!({"Cmd": ["sh"]}));
    for (path, text) in &mut served.documents {
        if path.starts_with("/elsewhere/") {
            *text = text.replace("sh", "rm");
        }
    }
    let host = served.start().await;
    let reference = ImageReference::parse(&format!("{host}/app@{plain}")).unwrap();
    let error = Registry::new().image(&reference, None).await.unwrap_err();
    assert!(matches!(error, RegistryError::WrongDigest(_)), "{error}");
}
