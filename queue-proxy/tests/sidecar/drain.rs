//! Going away without failing anybody.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{body, fetch, get, read_until, text};
use crate::{Sidecar, soon};

fn probe() -> http::Request<crate::client::Body> {
    get("/")
        .header("k-network-probe", "queue")
        .body(body(""))
        .unwrap()
}

#[tokio::test]
async fn a_stopped_sidecar_fails_probes_serves_on_and_finishes_what_runs() {
    let sidecar = Sidecar::start(&[]).await;
    let held = tokio::spawn(async move {
        text(fetch(sidecar.at.serving, get("/hold").body(body("")).unwrap()).await).await
    });
    while sidecar.app.seen.running.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    sidecar.terminate.cancel();
    while fetch(sidecar.at.serving, probe()).await.status() != 503 {
        tokio::task::yield_now().await;
    }
    let late = fetch(sidecar.at.serving, get("/").body(body("")).unwrap()).await;
    assert_eq!(late.status(), 200);
    // Quiet is over after 300 ms; the request in flight keeps the sidecar alive.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!sidecar.task.is_finished());
    assert!(
        TcpStream::connect(sidecar.at.serving).await.is_err(),
        "no new connections after the quiet period"
    );
    sidecar.app.seen.release.add_permits(1);
    assert_eq!(soon(held).await.unwrap(), "held");
    soon(sidecar.task).await.unwrap();
}

#[tokio::test]
async fn wait_for_drain_is_taken_back_when_no_signal_follows() {
    let sidecar = Sidecar::start(&[]).await;
    // Requests keep the drain from ending before the second is over.
    let at = sidecar.at;
    let traffic = tokio::spawn(async move {
        loop {
            fetch(at.serving, get("/").body(body("")).unwrap()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let wait = tokio::spawn(fetch(at.admin, get("/wait-for-drain").body(body("")).unwrap()));
    while fetch(at.serving, probe()).await.status() != 503 {
        tokio::task::yield_now().await;
    }
    assert_eq!(soon(wait).await.unwrap().status(), 200);
    assert_eq!(soon(fetch(at.serving, probe())).await.status(), 200);
    traffic.abort();
    assert_eq!(
        fetch(at.admin, get("/else").body(body("")).unwrap())
            .await
            .status(),
        404
    );
}

#[tokio::test]
async fn wait_for_drain_followed_by_the_signal_is_final() {
    let sidecar = Sidecar::start(&[]).await;
    let wait = tokio::spawn(fetch(
        sidecar.at.admin,
        get("/wait-for-drain").body(body("")).unwrap(),
    ));
    sidecar.terminate.cancel();
    assert_eq!(soon(wait).await.unwrap().status(), 200);
    soon(sidecar.task).await.unwrap();
}

#[tokio::test]
async fn an_upgraded_connection_outlives_the_listeners() {
    let sidecar = Sidecar::start(&[]).await;
    let mut stream = TcpStream::connect(sidecar.at.serving).await.unwrap();
    stream
        .write_all(b"GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        .await
        .unwrap();
    soon(read_until(&mut stream, "\r\n\r\n")).await;
    sidecar.terminate.cancel();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!sidecar.task.is_finished());
    stream.write_all(b"still").await.unwrap();
    soon(read_until(&mut stream, "still")).await;
    drop(stream);
    soon(sidecar.task).await.unwrap();
}
