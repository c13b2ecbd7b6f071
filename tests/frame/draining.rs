//! Shutdown: what is under way finishes, what rests is closed, what lasts too long is cut.

use aidlc_auth::http::serve::{Limits, shutdown};
use tokio::{net::TcpStream, time::timeout};

use crate::world::{DEADLINE, GET_PEER, SHORT, Server, patient};

#[tokio::test]
async fn draining_closes_the_resting_and_finishes_what_is_under_way() {
    let server = Server::start(patient()).await;
    let address = server.address;
    let mut resting = server.connect().await;
    resting.send(GET_PEER).await;
    resting.answer().await.is(200);
    let mut silent = server.connect().await;
    let mut working = server.connect().await;
    working.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.gate.arrived().await;
    let mut sending = server.connect().await;
    sending
        .send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        .await;
    sending.send(b"c").await;
    server.counting.arrived().await;

    server.drain.begin();

    assert_eq!(resting.rest().await, "");
    assert_eq!(silent.rest().await, "");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "still listening"
    );
    server.gate.open();
    let all = working.rest().await;
    assert!(all.starts_with("HTTP/1.1 200 "), "{all}");
    assert!(all.contains("connection: close"), "{all}");
    sending.send(b"d").await;
    let all = sending.rest().await;
    assert!(all.ends_with("\r\n\r\n4"), "{all}");
    assert_eq!(server.ended().await, 0);
}

#[tokio::test]
async fn draining_cuts_what_outlasts_it_and_counts_it() {
    let server = Server::start(Limits {
        drain_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut working = server.connect().await;
    working.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    server.gate.arrived().await;
    let mut sending = server.connect().await;
    sending
        .send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        .await;
    server.counting.arrived().await;

    server.drain.begin();

    assert_eq!(working.rest().await, "");
    assert_eq!(sending.rest().await, "");
    assert_eq!(server.ended().await, 2);
}

#[tokio::test]
async fn an_order_that_nobody_can_give_any_more_counts_as_given() {
    let (drain, mut heard) = shutdown();
    assert!(!heard.has_begun());
    let other = heard.clone();
    drop(drain);
    assert!(other.has_begun());
    timeout(DEADLINE, heard.begun()).await.expect("begun");
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_no_other() {
    let server = Server::start(patient()).await;
    let mut other = server.connect().await;
    let mut client = server.connect().await;
    client.send(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    other.send(GET_PEER).await;
    other.answer().await.is(200);
}
