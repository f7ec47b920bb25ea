//! What every test with a real shim needs: the program to re-execute and a root file system of busybox.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![allow(dead_code, reason = "every test file uses its own part")]

use std::path::{Path, PathBuf};

/// The `shim` example that cargo builds beside the tests.
pub fn shim_program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/shim");
    assert!(
        program.exists(),
        "{} is missing: build it with cargo build -p cluster-node --examples",
        program.display()
    );
    program
}

/// An unpacked image layer with busybox and what a container may expect of an image.
pub fn busybox_layer(dir: &Path) -> PathBuf {
    let layer = dir.join("layer");
    for name in ["bin", "etc", "tmp", "var/log", "proc", "sys", "dev"] {
        std::fs::create_dir_all(layer.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", layer.join("bin/busybox")).unwrap();
    for applet in [
        "sh", "echo", "sleep", "cat", "id", "ls", "true", "false", "hostname", "mount", "httpd", "touch",
    ] {
        std::os::unix::fs::symlink("busybox", layer.join("bin").join(applet)).unwrap();
    }
    std::fs::write(
        layer.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    )
    .unwrap();
    std::fs::write(
        layer.join("etc/group"),
        "root:x:0:\napp:x:1000:\nextra:x:2000:app\n",
    )
    .unwrap();
    layer
}
