//! The pod's sandbox: namespaces of the shim itself, which containers inherit.

use std::io;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::protocol::Tmpfs;
use super::{MEMORY_DIR, RUN_DIR, ShimConfig};

/// Leaves the host's namespaces. Called once, while the shim has a single thread.
pub(super) fn enter(pod_dir: &Path, config: &ShimConfig) -> io::Result<()> {
    let mut flags = CloneFlags::CLONE_NEWNS;
    if !config.host_ipc {
        flags |= CloneFlags::CLONE_NEWIPC;
    }
    if !config.host_network {
        flags |= CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS;
    }
    unshare(flags)?;
    // What is mounted on the host later may appear in the pod (hostPath volumes), never the other way round.
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_SLAVE,
        None::<&str>,
    )?;
    mount_tmpfs(&Tmpfs {
        path: pod_dir.join(MEMORY_DIR),
        size_bytes: None,
        mode: 0o755,
    })?;
    mount_tmpfs(&Tmpfs {
        path: pod_dir.join(RUN_DIR),
        size_bytes: None,
        mode: 0o700,
    })?;
    mount_tmpfs(&Tmpfs {
        path: pod_dir.join("shm"),
        size_bytes: Some(64 << 20),
        mode: 0o1777,
    })?;
    if !config.host_network {
        nix::unistd::sethostname(&config.hostname)?;
        raise_loopback()?;
        // As container runtimes do: an unprivileged user may serve port 80 and ping within its own pod.
        set_sysctl("net.ipv4.ip_unprivileged_port_start", "0")?;
        set_sysctl("net.ipv4.ping_group_range", "0 2147483647")?;
    }
    for (name, value) in &config.sysctls {
        set_sysctl(name, value)?;
    }
    Ok(())
}

/// Mounts a memory file system, making its directory.
pub(super) fn mount_tmpfs(tmpfs: &Tmpfs) -> io::Result<()> {
    std::fs::create_dir_all(&tmpfs.path)?;
    let mut options = format!("mode={:o}", tmpfs.mode);
    if let Some(size) = tmpfs.size_bytes {
        options.push_str(&format!(",size={size}"));
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(
        Some("tmpfs"),
        &tmpfs.path,
        Some("tmpfs"),
        flags,
        Some(options.as_str()),
    )?;
    Ok(())
}

/// `/proc/sys` shows the namespaces of whoever opens it.
fn set_sysctl(name: &str, value: &str) -> io::Result<()> {
    let path = Path::new("/proc/sys").join(name.replace('.', "/"));
    std::fs::write(&path, value)
        .map_err(|error| io::Error::new(error.kind(), format!("sysctl {name}: {error}")))
}

/// A new network namespace has its loopback device down.
#[expect(unsafe_code, reason = "interface flags are set by ioctl")]
fn raise_loopback() -> io::Result<()> {
    use std::os::fd::AsRawFd;

    use nix::libc;

    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: an all-zero `ifreq` is a valid value of that plain C struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the descriptor is an open socket and the pointer is to a live `ifreq`, as SIOCSIFFLAGS demands.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
