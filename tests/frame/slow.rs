//! Clients that send or read too slowly, and those that only seem to.

use std::time::{Duration, Instant};

use aidlc_auth::http::serve::Limits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::world::{DEADLINE, GET_PEER, SHORT, Server, patient};

#[tokio::test]
async fn a_head_in_drips_is_cut_at_the_header_timeout() {
    let server = Server::start(Limits {
        header_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    let began = Instant::now();

    client.send(b"GET /peer HTTP/1.1\r\n").await;
    // A byte of a header every 20 ms: an idle time-out would never notice.
    while began.elapsed() < DEADLINE {
        if client.stream.write_all(b"a").await.is_err() {
            break;
        }
        match timeout(Duration::from_millis(20), client.stream.read_u8()).await {
            Err(_not_yet) => {}
            Ok(ended) => {
                assert!(ended.is_err(), "cut without an answer");
                break;
            }
        }
    }

    assert!(began.elapsed() >= SHORT, "cut early: {:?}", began.elapsed());
    assert!(began.elapsed() < DEADLINE, "never cut");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_at_the_header_timeout() {
    let server = Server::start(Limits {
        header_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn the_second_head_has_its_own_timeout_after_resting_longer() {
    let server = Server::start(Limits {
        header_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    client.send(GET_PEER).await;
    client.answer().await.is(200);

    // Resting longer than a head may take is fine...
    let rested = timeout(SHORT * 3, client.stream.read_u8()).await;
    assert!(rested.is_err(), "cut while resting");
    client.send(GET_PEER).await;
    client.answer().await.is(200);

    // ...and a head that does not end is not.
    client.send(b"GET /peer HT").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_resting_connection_is_closed_at_the_idle_timeout() {
    let server = Server::start(Limits {
        idle_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    client.send(GET_PEER).await;
    client.answer().await.is(200);
    let began = Instant::now();
    assert_eq!(client.rest().await, "");
    assert!(
        began.elapsed() >= SHORT / 2,
        "closed early: {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_is_cut_at_the_body_timeout() {
    let server = Server::start(Limits {
        body_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    client
        .send(b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        .await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_slow_handler_is_not_cut_by_any_of_the_clients_timeouts() {
    let server = Server::start(Limits {
        header_timeout: SHORT,
        body_timeout: SHORT,
        idle_timeout: SHORT,
        write_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    client
        .send(b"POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .await;
    server.gate.arrived().await;

    let early = timeout(SHORT * 3, client.stream.read_u8()).await;
    assert!(early.is_err(), "cut although the client waits for us");
    server.gate.open();
    client.answer().await.is(200);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_at_the_write_timeout() {
    let server = Server::start(Limits {
        write_timeout: SHORT,
        ..patient()
    })
    .await;
    let mut client = server.connect().await;
    client.send(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // The handler's body is dropped when the connection is.
    timeout(DEADLINE, server.gate.arrived())
        .await
        .expect("never cut");
    client.rest().await;
}
