use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, LINK, LOCATION, RANGE};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::digest::Digest;
use crate::manifest::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use crate::store::StoreConfig;

struct Client {
    router: Router,
    store: ImageStore,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: impl http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
    fn code(&self) -> (u16, String) {
        (
            self.status,
            self.json()["errors"][0]["code"].as_str().unwrap().to_owned(),
        )
    }
}

impl Client {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(StoreConfig::new(dir.path())).unwrap();
        Self {
            router: router(store.clone()),
            store,
            _dir: dir,
        }
    }

    async fn send(
        &self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.into())).unwrap();
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    async fn get(&self, uri: &str) -> Answer {
        self.send("GET", uri, &[], "").await
    }

    async fn push_blob(&self, name: &str, data: &'static [u8]) -> Digest {
        let digest = Digest::of(data);
        let answer = self
            .send(
                "POST",
                &format!("/v2/{name}/blobs/uploads/?digest={digest}"),
                &[],
                data,
            )
            .await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        digest
    }

    async fn push_manifest(&self, name: &str, reference: &str, manifest: &Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap_or(OCI_MANIFEST).to_owned();
        let uri = format!("/v2/{name}/manifests/{reference}");
        self.send(
            "PUT",
            &uri,
            &[(CONTENT_TYPE.as_str(), &media_type)],
            manifest.to_string(),
        )
        .await
    }
}

fn manifest(config: Digest, layers: &[Digest], subject: Option<Digest>) -> Value {
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config, "size": 2},
        "layers": layers.iter().map(|d| json!({"mediaType": OCI_LAYER, "digest": d, "size": 5})).collect::<Vec<_>>(),
    });
    if let Some(subject) = subject {
        manifest["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject, "size": 9});
        manifest["artifactType"] = json!("application/signature");
        manifest["annotations"] = json!({"by": "me"});
    }
    manifest
}

#[tokio::test]
async fn blobs_come_in_chunks_and_go_out_in_ranges() {
    let client = Client::new();
    assert_eq!(client.get("/v2/").await.status, 200);
    let started = client.send("POST", "/v2/team/app/blobs/uploads/", &[], "").await;
    assert_eq!(started.status, 202);
    let location = started.header(LOCATION).to_owned();
    let first = client
        .send("PATCH", &location, &[("content-range", "0-4")], "hello")
        .await;
    assert_eq!((first.status, first.header(RANGE)), (202, "0-4"));
    let gap = client
        .send("PATCH", &location, &[("content-range", "6-10")], "world")
        .await;
    assert_eq!(gap.status, 416);
    let status = client.get(&location).await;
    assert_eq!(
        (status.status, status.header(RANGE)),
        (204, "0-4"),
        "a refused chunk changes nothing"
    );
    assert_eq!(
        client.send("PATCH", &location, &[], " wor").await.header(RANGE),
        "0-8"
    );
    let digest = Digest::of(b"hello world");
    let done = client
        .send("PUT", &format!("{location}?digest={digest}"), &[], "ld")
        .await;
    assert_eq!(
        (done.status, done.header("docker-content-digest")),
        (201, digest.to_string().as_str())
    );
    assert_eq!(
        client.get(&location).await.code(),
        (404, "BLOB_UPLOAD_UNKNOWN".into())
    );

    let uri = format!("/v2/team/app/blobs/{digest}");
    assert_eq!(client.get(&uri).await.body, "hello world");
    let head = client.send("HEAD", &uri, &[], "").await;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, "11", 0)
    );
    let part = client.send("GET", &uri, &[("range", "bytes=6-")], "").await;
    assert_eq!((part.status, part.header(CONTENT_RANGE)), (206, "bytes 6-10/11"));
    assert_eq!(part.body, "world");
    assert_eq!(
        client
            .send("GET", &uri, &[("range", "bytes=11-")], "")
            .await
            .status,
        416
    );
    assert_eq!(
        client.get(&format!("/v2/other/blobs/{digest}")).await.code(),
        (404, "BLOB_UNKNOWN".into())
    );
}

#[tokio::test]
async fn wrong_digests_and_cut_off_chunks_leave_nothing() {
    let client = Client::new();
    let digest = Digest::of(b"right");
    let wrong = client
        .send(
            "POST",
            &format!("/v2/a/blobs/uploads/?digest={digest}"),
            &[],
            "wrong",
        )
        .await;
    assert_eq!(wrong.code(), (400, "DIGEST_INVALID".into()));
    let location = client
        .send("POST", "/v2/a/blobs/uploads/", &[], "")
        .await
        .header(LOCATION)
        .to_owned();
    let short = client
        .send("PATCH", &location, &[("content-range", "0-9")], "short")
        .await;
    assert_eq!(short.code(), (400, "SIZE_INVALID".into()));
    assert_eq!(client.get(&location).await.status, 404, "the upload starts anew");
    let location = client
        .send("POST", "/v2/a/blobs/uploads/", &[], "")
        .await
        .header(LOCATION)
        .to_owned();
    assert_eq!(
        client.send("PUT", &location, &[], "right").await.code(),
        (400, "DIGEST_INVALID".into())
    );
    assert_eq!(client.send("DELETE", &location, &[], "").await.status, 204);
    assert_eq!(client.get(&location).await.status, 404);
    assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).await.status, 404);
    assert_eq!(std::fs::read_dir(&client.store.inner().tmp).unwrap().count(), 0);
}

#[tokio::test]
async fn blobs_are_mounted_across_repositories() {
    let client = Client::new();
    let digest = client.push_blob("from/here", b"hello").await;
    let mount = |query: String| {
        let client = &client;
        async move {
            client
                .send("POST", &format!("/v2/to/blobs/uploads/?{query}"), &[], "")
                .await
                .status
        }
    };
    assert_eq!(
        mount(format!("mount={digest}&from=else/where")).await,
        202,
        "the client then uploads"
    );
    assert_eq!(mount(format!("mount={digest}&from=UPPER")).await, 202);
    assert_eq!(mount(format!("mount={digest}&from=from/here")).await, 201);
    assert_eq!(client.get(&format!("/v2/to/blobs/{digest}")).await.status, 200);
    let uri = format!("/v2/from/here/blobs/{digest}");
    assert_eq!(client.send("DELETE", &uri, &[], "").await.status, 202);
    assert_eq!(client.send("DELETE", &uri, &[], "").await.status, 404);
    assert_eq!(
        client.get(&format!("/v2/to/blobs/{digest}")).await.status,
        200,
        "the other repository keeps it"
    );
}

#[tokio::test]
async fn manifests_need_their_parts_and_are_found_by_tag_and_digest() {
    let client = Client::new();
    let (config, layer) = (Digest::of(b"{}"), Digest::of(b"layer"));
    let image = manifest(config, &[layer], None);
    assert_eq!(
        client.push_manifest("a", "v1", &image).await.code(),
        (400, "MANIFEST_BLOB_UNKNOWN".into())
    );
    client.push_blob("a", b"{}").await;
    client.push_blob("a", b"layer").await;
    let pushed = client.push_manifest("a", "v1", &image).await;
    let digest = Digest::of(image.to_string().as_bytes());
    assert_eq!(
        (pushed.status, pushed.header("docker-content-digest")),
        (201, digest.to_string().as_str())
    );
    for reference in ["v1".to_owned(), digest.to_string()] {
        let got = client.get(&format!("/v2/a/manifests/{reference}")).await;
        assert_eq!((got.status, got.header(CONTENT_TYPE)), (200, OCI_MANIFEST));
        assert_eq!(got.json(), image);
    }
    let head = client.send("HEAD", "/v2/a/manifests/v1", &[], "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), image.to_string().len().to_string());
    let other = Digest::of(b"other");
    let mismatch = client.push_manifest("a", &other.to_string(), &image).await;
    assert_eq!(mismatch.code(), (400, "DIGEST_INVALID".into()));

    let child = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}});
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]});
    assert_eq!(client.push_manifest("a", "multi", &index).await.status, 201);
    assert_eq!(
        client.get("/v2/a/manifests/multi").await.header(CONTENT_TYPE),
        OCI_INDEX
    );
    assert_eq!(
        client.push_manifest("b", "multi", &index).await.code(),
        (400, "MANIFEST_BLOB_UNKNOWN".into())
    );

    assert_eq!(
        client
            .send("DELETE", "/v2/a/manifests/multi", &[], "")
            .await
            .status,
        202
    );
    assert_eq!(
        client.get("/v2/a/manifests/multi").await.code(),
        (404, "MANIFEST_UNKNOWN".into())
    );
    assert_eq!(
        client
            .send("DELETE", &format!("/v2/a/manifests/{digest}"), &[], "")
            .await
            .status,
        202
    );
    assert_eq!(
        client.get("/v2/a/manifests/v1").await.status,
        404,
        "its tags went with it"
    );
    let huge = client
        .send("PUT", "/v2/a/manifests/huge", &[], vec![b' '; (4 << 20) + 1])
        .await;
    assert_eq!(huge.code(), (413, "SIZE_INVALID".into()));
}

#[tokio::test]
async fn lists_are_paged_and_referrers_filtered() {
    let client = Client::new();
    assert_eq!(
        client.get("/v2/a/tags/list").await.code(),
        (404, "NAME_UNKNOWN".into())
    );
    client.push_blob("a", b"{}").await;
    let image = manifest(Digest::of(b"{}"), &[], None);
    for tag in ["v3", "v1", "v2"] {
        client.push_manifest("a", tag, &image).await;
    }
    let first = client.get("/v2/a/tags/list?n=2").await;
    assert_eq!(first.json(), json!({"name": "a", "tags": ["v1", "v2"]}));
    let next = first
        .header(LINK)
        .trim_start_matches('<')
        .split('>')
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(client.get(&next).await.json()["tags"], json!(["v3"]));
    client.push_blob("b/c", b"{}").await;
    assert_eq!(
        client.get("/v2/_catalog").await.json(),
        json!({"repositories": ["a", "b/c"]})
    );

    let subject = Digest::of(image.to_string().as_bytes());
    let empty = client.get(&format!("/v2/a/referrers/{subject}")).await;
    assert_eq!(
        (empty.status, empty.json()["manifests"].clone()),
        (200, json!([]))
    );
    let signature = manifest(Digest::of(b"{}"), &[], Some(subject));
    let digest = Digest::of(signature.to_string().as_bytes());
    let pushed = client.push_manifest("a", &digest.to_string(), &signature).await;
    assert_eq!(pushed.header("oci-subject"), subject.to_string());
    let listed = client.get(&format!("/v2/a/referrers/{subject}")).await;
    assert_eq!(listed.header(CONTENT_TYPE), OCI_INDEX);
    let found = &listed.json()["manifests"][0];
    assert_eq!(
        (&found["digest"], &found["artifactType"]),
        (&json!(digest), &json!("application/signature"))
    );
    assert_eq!(found["annotations"], json!({"by": "me"}));
    let filtered = client
        .get(&format!("/v2/a/referrers/{subject}?artifactType=other"))
        .await;
    assert_eq!(filtered.json()["manifests"], json!([]));
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told() {
    let client = Client::new();
    assert_eq!(client.get("/").await.status, 404);
    let answer = client.send("POST", "/v2/a/tags/list", &[], "").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET"));
    assert_eq!(
        client.get("/v2/Upper/tags/list").await.code(),
        (400, "NAME_INVALID".into())
    );
}
