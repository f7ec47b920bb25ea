//! Two upgraded connections, joined: bytes pass both ways without being understood.

use std::io;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

/// The two halves of a switched protocol (WebSocket, for one), not yet flowing.
pub struct Splice {
    client: OnUpgrade,
    upstream: OnUpgrade,
}

impl Splice {
    pub(super) fn new(client: OnUpgrade, upstream: OnUpgrade) -> Self {
        Self { client, upstream }
    }

    /// Copies both ways until both sides have ended; dropping the future cuts both connections.
    ///
    /// Start it beside the 101 response: the client's half only exists once that was written.
    ///
    /// # Errors
    /// The first failure of either connection.
    pub async fn run(self) -> io::Result<()> {
        let (client, upstream) = futures::future::try_join(self.client, self.upstream)
            .await
            .map_err(io::Error::other)?;
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        tokio::io::copy_bidirectional(&mut client, &mut upstream).await?;
        Ok(())
    }
}
