//! The command line is a client: it links no part of a server, and no second TLS library.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

/// Crates of this workspace that kn may link.
const OWN: [&str; 5] = ["kn", "formats", "event", "registries", "source"];
/// What only servers need, or what needs C libraries.
const UNWANTED: [&str; 6] = [
    "axum",
    "redb",
    "openssl",
    "openssl-sys",
    "aws-lc-rs",
    "aws-lc-sys",
];

#[test]
fn only_a_client_is_linked() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "kn",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let mut names: Vec<&str> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let name = line.split(' ').next().unwrap();
        names.push(name);
        // Members of the workspace are told with their folder.
        let member = line.contains("(/");
        assert!(!member || OWN.contains(&name), "kn links {name}");
        assert!(!UNWANTED.contains(&name), "kn links {name}");
    }
    assert!(names.contains(&"kube-client"), "{tree}");
}
