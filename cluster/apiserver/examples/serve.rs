//! An API server by itself, to point kubectl at: `serve DATA_DIR KUBECONFIG`. Stops on ctrl-c.

use std::path::Path;

use cluster_apiserver::{ApiServer, Config, write_kubeconfig};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(data_dir), Some(kubeconfig)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve DATA_DIR KUBECONFIG".into());
    };
    let server = ApiServer::open(Config::new(data_dir)).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}", listener.local_addr()?);
    write_kubeconfig(
        Path::new(&kubeconfig),
        &server.kubeconfig_entry("spindrift", &url),
        true,
    )?;
    let stop = async {
        // Without a handler the process is simply killed, which the store survives.
        let _ = tokio::signal::ctrl_c().await;
    };
    server.serve(listener, stop).await?;
    server.shutdown().await;
    Ok(())
}
