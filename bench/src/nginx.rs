//! The baseline: nginx as a reverse proxy, and as a backend that answers at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::process::Killed;

/// Where nginx answers by itself.
pub const BACKEND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18080);
/// Where it passes requests on.
pub const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18081);

/// Starts it as a proxy of `upstream`, with its files in `folder`.
pub fn start(folder: &Path, upstream: SocketAddr) -> anyhow::Result<Killed> {
    let config = folder.join("nginx.conf");
    let text = format!(
        "worker_processes 2; daemon off; pid {0}/nginx.pid; error_log stderr error;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n\
         client_body_temp_path {0}/b; proxy_temp_path {0}/p; fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         upstream app {{ server {upstream}; keepalive 256; }}\n\
         server {{ listen {BACKEND}; location / {{ return 200 'Hello World!'; }} }}\n\
         server {{ listen {PROXY}; location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; }} }} }}\n",
        folder.display()
    );
    std::fs::write(&config, text)?;
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"]
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    let program = program.context("nginx is the baseline: install nginx-light")?;
    let child = Command::new(program)
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(Killed(child))
}
