//! Clients that send too much or come too many, and that must still be able to read why they are refused.

use std::time::Instant;

use aidlc_auth::http::serve::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::world::{DEADLINE, GET_PEER, SHORT, Server, patient};

#[tokio::test]
async fn ten_thousand_headers_are_a_431() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let headers = "a: b\r\n".repeat(10_000);
    client
        .send_or_closed(format!("GET /peer HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes())
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431 "));

    let mut client = server.connect().await;
    let headers = "a: b\r\n".repeat(101);
    client
        .send(format!("GET /peer HTTP/1.1\r\n{headers}\r\n").as_bytes())
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn a_megabyte_of_header_is_a_431_that_the_client_can_read() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    let header = "a".repeat(512 * 1024);
    client
        .send(format!("GET /peer HTTP/1.1\r\nHost: a\r\nX: {header}").as_bytes())
        .await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431 "));
    // The server has closed its side, yet still takes the other half: a reset would fail this, and with many
    // clients it would take the answer away before they read it.
    client.send(format!("{header}\r\n\r\n").as_bytes()).await;

    let mut client = server.connect().await;
    let header = "a".repeat(15 * 1024);
    client
        .send(format!("GET /peer HTTP/1.1\r\nHost: a\r\nX: {header}\r\n\r\n").as_bytes())
        .await;
    client.answer().await.is(200);
}

#[tokio::test]
async fn an_endless_body_is_a_413_that_the_client_can_read() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client
        .send(b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let chunk = format!("4000\r\n{}\r\n", "a".repeat(0x4000));
    let (mut incoming, mut outgoing) = client.stream.split();
    let mut all = String::new();
    let began = Instant::now();
    let flood = async { while outgoing.write_all(chunk.as_bytes()).await.is_ok() {} };
    let read = async {
        let mut part = [0; 4096];
        while !all.contains("413") {
            let n = incoming
                .read(&mut part)
                .await
                .expect("the answer is not lost to a reset");
            assert_ne!(n, 0, "closed without an answer: {all}");
            all += str::from_utf8(&part[..n]).unwrap();
        }
    };
    // The flood ends too: nobody may send for ever to a closed ear.
    timeout(DEADLINE, async { tokio::join!(flood, read) })
        .await
        .expect("still reading");
    assert!(all.starts_with("HTTP/1.1 413 "), "{all}");
    assert!(began.elapsed() < DEADLINE);
}

#[tokio::test]
async fn a_full_house_serves_the_next_one_when_somebody_leaves() {
    let server = Server::start(Limits {
        max_connections: 2,
        ..patient()
    })
    .await;
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    first.send(GET_PEER).await;
    first.answer().await.is(200);
    second.send(GET_PEER).await;
    second.answer().await.is(200);

    let mut third = server.connect().await;
    third.send(GET_PEER).await;
    let early = timeout(SHORT, third.stream.read_u8()).await;
    assert!(early.is_err(), "answered above the cap");
    drop(first);
    third.answer().await.is(200);
}
