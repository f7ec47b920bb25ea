//! What producers are answered when the disk of the events is full, and when there is room again.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

#[path = "support/all.rs"]
mod support;

use std::process::Command;

use event_store::Options;
use serde_json::json;
use support::eventually;
use support::plane::{self, Plane, Setup};
use support::subscriber::Subscriber;

/// A file system of 4 MiB.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "none"])
            .arg(folder.path())
            .status();
        assert!(mount.unwrap().success(), "cannot mount a file system");
        Self(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: mounts a small file system"]
async fn a_full_disk_is_answered_with_507_until_there_is_room() {
    let disk = Disk::mount();
    let api = plane::api().await;
    plane::broker(&api, "default").await;
    let mut subscriber = Subscriber::start().await;
    let spec = json!({"broker": "default", "subscriber": {}});
    plane::trigger(&api, "all", spec, &subscriber.url).await;
    let options = Options {
        least_free_bytes: 0,
        ..Options::default()
    };
    let setup = Setup {
        options,
        ..Setup::default()
    };
    let plane = Plane::start(&api, &disk.0.path().join("log"), setup).await;
    let url = plane.serves("/default/default").await;
    assert_eq!(plane.producer.event(&url, "before", &[], "x").await.status, 202);

    let other = disk.0.path().join("other");
    // Fills what is left, whatever that is: the write ends with an error.
    assert!(std::fs::write(&other, vec![1; 5 << 20]).is_err());
    let refused = eventually("a refusal", async || {
        let answer = plane.producer.event(&url, "refused", &[], LARGE).await;
        (answer.status != 202).then_some(answer)
    })
    .await;
    assert_eq!(refused.status, 507, "{}", refused.text);
    assert!(
        refused.headers.contains_key("retry-after"),
        "{:?}",
        refused.headers
    );

    std::fs::remove_file(&other).unwrap();
    assert_eq!(plane.producer.event(&url, "after", &[], "x").await.status, 202);
    let mut seen = Vec::new();
    // Those that still had room before the refusal come, too.
    while !["before", "after"]
        .iter()
        .all(|id| seen.iter().any(|seen| seen == id))
    {
        seen.push(subscriber.next().await.event.id.to_string());
    }
    plane.stop().await;
}

/// More than what is left in a page that was begun.
const LARGE: &str = match std::str::from_utf8(&[b'x'; 64 << 10]) {
    Ok(text) => text,
    Err(_) => "",
};
