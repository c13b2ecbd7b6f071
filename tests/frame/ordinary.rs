//! Clients that do nothing wrong.

use tokio::io::AsyncWriteExt;

use crate::world::{GET_PEER, Server, patient};

#[tokio::test]
async fn a_handler_sees_its_peer() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let own = client.stream.local_addr().unwrap().to_string();
    client.send(GET_PEER).await;
    client.answer().await.is_with(200, &own);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let one = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\na";
    let two =
        "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\naa\r\n0\r\n\r\n";
    let three = "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\naaa";
    client.send(format!("{one}{two}{three}").as_bytes()).await;
    for count in ["1", "2", "3"] {
        client.answer().await.is_with(200, count);
    }
}

#[tokio::test]
async fn a_half_closed_client_gets_its_answer() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.stream.shutdown().await.unwrap();
    server.gate.arrived().await;
    server.gate.open();
    assert!(client.rest().await.starts_with("HTTP/1.1 200 "));
}
