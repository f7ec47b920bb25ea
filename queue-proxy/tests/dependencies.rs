//! The sidecar runs in every pod: what it links is checked.

use std::process::Command;

#[test]
fn no_kubernetes_library_is_linked() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--package",
            "queue-proxy",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    assert!(
        text.contains("hyper v"),
        "{text}{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    for unwanted in ["kube", "k8s-openapi", "rustls", "schemars"] {
        let linked: Vec<_> = text.lines().filter(|line| line.starts_with(unwanted)).collect();
        assert!(linked.is_empty(), "{linked:?}");
    }
}
