//! Images that come into the embedded registry by `skopeo copy`, run from there, and are copied back unchanged.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::busybox::{self, FOREIGN, OWN};
use e2e::images::{digest, digest_of, skopeo};
use e2e::tools::Need;
use e2e::{Platform, Workload, cases, eventually, shared, stop_shared, suite};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl, Need::Busybox, Need::Skopeo];
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// `skopeo copy` into the registry, as README and `spindrift up` tell it.
fn copy_in(arguments: &[&str]) -> anyhow::Result<()> {
    let copy = ["copy", "--quiet", "--dest-tls-verify=false"];
    skopeo(&[&copy, arguments].concat()).map(drop)
}

fn copy_out(arguments: &[&str]) -> anyhow::Result<()> {
    let copy = ["copy", "--quiet", "--src-tls-verify=false"];
    skopeo(&[&copy, arguments].concat()).map(drop)
}

fn inspect_raw(image: &str) -> anyhow::Result<String> {
    skopeo(&[
        "inspect",
        "--tls-verify=false",
        "--no-tags",
        "--raw",
        &format!("docker://{image}"),
    ])
}

/// What the one name of an OCI folder stands for.
fn named(folder: &Path) -> anyhow::Result<Value> {
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json"))?)?;
    let mut manifests = index["manifests"].as_array().context("no manifests")?.clone();
    ensure!(manifests.len() == 1, "{index}");
    manifests.pop().context("no manifest")
}

/// The service runs what the registry has as `digest`, and answers with `page`.
fn serves(platform: &Platform, name: &str, image: &str, digest: &str, page: &str) -> anyhow::Result<()> {
    Workload::new(name, image).small().deploy(platform)?;
    let answer = platform
        .curl(&format!("{name}.default.localhost"), "/", &["-f"])?
        .ok()?;
    ensure!(answer == page, "{name} answers {answer}");
    let revision = platform.get(&["revision", &format!("{name}-00001")])?;
    let resolved = revision["status"]["containerStatuses"][0]["imageDigest"]
        .as_str()
        .context("no digest")?;
    ensure!(resolved.ends_with(digest), "{resolved}, not {digest}");
    platform.kubectl(&["delete", "ksvc", name])?.ok()?;
    Ok(())
}

fn a_docker_archive_and_an_oci_folder_are_copied_in_and_back() -> anyhow::Result<()> {
    let platform = shared()?;
    let folder = tempfile::tempdir()?;
    let registry = platform.registry();
    let archive = busybox::archive_for(folder.path(), "localhost/anything:at-all", OWN, "from an archive")?;
    let archive = format!("docker-archive:{}", archive.display());
    let oci = folder.path().join("oci");
    copy_in(&[&archive, &format!("oci:{}:v1", oci.display())])?;
    let sources = [
        ("archive", archive),
        ("folder", format!("oci:{}:v1", oci.display())),
    ];
    for (name, source) in &sources {
        let image = format!("{registry}/copied/{name}:v1");
        copy_in(&[source, &format!("docker://{image}")])?;
        let in_registry = digest_of(&image)?;
        if *name == "folder" {
            ensure!(named(&oci)?["digest"] == in_registry.as_str(), "{in_registry}");
        }
        ensure!(digest(inspect_raw(&image)?.as_bytes()) == in_registry);
        serves(platform, name, &image, &in_registry, "from an archive")?;

        // Back by tag and by digest, each blob as it was.
        for (number, reference) in [image.clone(), format!("{registry}/copied/{name}@{in_registry}")]
            .iter()
            .enumerate()
        {
            let back = folder.path().join(format!("back-{name}-{number}"));
            copy_out(&[
                &format!("docker://{reference}"),
                &format!("dir:{}", back.display()),
            ])?;
            let manifest = std::fs::read(back.join("manifest.json"))?;
            ensure!(digest(&manifest) == in_registry, "{reference}");
            let manifest: Value = serde_json::from_slice(&manifest)?;
            let layers = manifest["layers"].as_array().context("no layers")?;
            for blob in layers.iter().chain([&manifest["config"]]) {
                let name = blob["digest"].as_str().context("no digest")?;
                let content = std::fs::read(back.join(name.trim_start_matches("sha256:")))?;
                ensure!(digest(&content) == name && blob["size"] == content.len());
            }
        }
    }
    let tags = skopeo(&[
        "list-tags",
        "--tls-verify=false",
        &format!("docker://{registry}/copied/folder"),
    ])?;
    ensure!(
        serde_json::from_str::<Value>(&tags)?["Tags"] == json!(["v1"]),
        "{tags}"
    );
    Ok(())
}

/// Makes an OCI folder with an index over an image for another architecture and one for this.
fn index(folder: &Path) -> anyhow::Result<String> {
    let oci = folder.join("index");
    let mut images = Vec::new();
    for (architecture, page) in [(FOREIGN, "elsewhere"), (OWN, "from an index")] {
        let own = folder.join(architecture);
        std::fs::create_dir(&own)?;
        let archive = busybox::archive_for(&own, "localhost/anything:at-all", architecture, page)?;
        let alone = own.join("oci");
        copy_in(&[
            &format!("docker-archive:{}", archive.display()),
            &format!("oci:{}:v1", alone.display()),
        ])?;
        let mut image = named(&alone)?;
        image["platform"] = json!({"architecture": architecture, "os": "linux"});
        image.as_object_mut().map(|image| image.remove("annotations"));
        images.push(image);
        // Blobs are named by their content: one folder has room for both.
        let target = oci.join("blobs/sha256");
        std::fs::create_dir_all(&target)?;
        for blob in std::fs::read_dir(alone.join("blobs/sha256"))?.flatten() {
            std::fs::copy(blob.path(), target.join(blob.file_name()))?;
        }
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}).to_string();
    let name = digest(index.as_bytes());
    std::fs::write(
        oci.join("blobs/sha256").join(name.trim_start_matches("sha256:")),
        &index,
    )?;
    let top = json!({"schemaVersion": 2, "manifests": [{"mediaType": INDEX, "digest": name, "size": index.len(),
        "annotations": {"org.opencontainers.image.ref.name": "v1"}}]});
    std::fs::write(oci.join("index.json"), top.to_string())?;
    std::fs::write(oci.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(name)
}

fn an_index_is_copied_with_all_of_its_images() -> anyhow::Result<()> {
    let platform = shared()?;
    let folder = tempfile::tempdir()?;
    let registry = platform.registry();
    let name = index(folder.path())?;
    let source = format!("oci:{}:v1", folder.path().join("index").display());
    let image = format!("{registry}/copied/index:v1");
    copy_in(&["--all", &source, &format!("docker://{image}")])?;
    ensure!(digest_of(&image)? == name, "{} is not {name}", digest_of(&image)?);
    serves(platform, "index", &image, &name, "from an index")?;

    let raw: Value = serde_json::from_str(&inspect_raw(&image)?)?;
    let images = raw["manifests"].as_array().context("no images")?;
    ensure!(images.len() == 2, "{raw}");
    for one in images {
        let one = one["digest"].as_str().context("no digest")?;
        let manifest = inspect_raw(&format!("{registry}/copied/index@{one}"))?;
        ensure!(digest(manifest.as_bytes()) == one);
    }
    let back = folder.path().join("back");
    copy_out(&[
        "--all",
        &format!("docker://{image}"),
        &format!("oci:{}:v1", back.display()),
    ])?;
    ensure!(named(&back)?["digest"] == name.as_str(), "{}", named(&back)?);

    // Without `--all` the one image that fits is copied, and is not the index any more.
    let only = format!("{registry}/copied/only:v1");
    copy_in(&[&source, &format!("docker://{only}")])?;
    let fitting = images.iter().find(|one| one["platform"]["architecture"] == OWN);
    ensure!(fitting.is_some_and(|one| one["digest"] == digest_of(&only).unwrap_or_default()));
    serves(platform, "only", &only, &digest_of(&only)?, "from an index")
}

fn what_is_deleted_or_was_never_there_is_said_to_be_missing() -> anyhow::Result<()> {
    let platform = shared()?;
    let folder = tempfile::tempdir()?;
    let image = format!("{}/copied/short-lived:v1", platform.registry());
    let archive = busybox::archive(folder.path(), "localhost/anything:at-all")?;
    copy_in(&[
        &format!("docker-archive:{}", archive.display()),
        &format!("docker://{image}"),
    ])?;
    digest_of(&image)?;
    skopeo(&["delete", "--tls-verify=false", &format!("docker://{image}")])?;
    eventually("the image to be gone", || {
        ensure!(digest_of(&image).is_err(), "it is still there");
        Ok(())
    })?;
    let missing = digest_of(&image).err().context("it is still there")?;
    ensure!(missing.to_string().contains("manifest unknown"), "{missing}");
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_docker_archive_and_an_oci_folder_are_copied_in_and_back,
            an_index_is_copied_with_all_of_its_images,
            what_is_deleted_or_was_never_there_is_said_to_be_missing,
        ]],
        stop_shared,
    )
}
