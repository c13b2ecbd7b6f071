//! Requests that two servers might read differently, which is how requests are smuggled.

use aidlc_auth::http::serve::Limits;

use crate::world::{GET_PEER, SHORT, Server, patient};

#[tokio::test]
async fn two_ways_to_say_the_length_never_make_two_requests() {
    // Whichever length a proxy in front believed, `GET /hidden` must not be taken for a request here.
    for head in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
    ] {
        let server = Server::start(patient()).await;
        let mut client = server.connect().await;
        let request = format!(
            "POST /count HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\nGET /peer HTTP/1.1\r\nHost: a\r\n\r\n"
        );
        client.send(request.as_bytes()).await;
        let all = client.rest().await;
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{head}: {all}");
        assert!(
            all.to_lowercase().contains("connection: close"),
            "{head}: {all}"
        );
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_the_connection_ends() {
    let refused = [
        (
            "two lengths",
            "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        ),
        (
            "a signed length",
            "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        ),
        (
            "a list of lengths",
            "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd",
        ),
        (
            "chunked not last",
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        ),
        (
            "unknown coding",
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunked in 1.0",
            "POST /count HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "a folded header",
            "GET /peer HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        ),
        (
            "a space before the colon",
            "POST /count HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
        ),
        ("a bare CR", "GET /peer HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
        ("a zero byte", "GET /peer HTTP/1.1\r\nHost: a\0\r\n\r\n"),
        ("no HTTP", "EHLO example.org\r\n\r\n"),
    ];
    for (what, request) in refused {
        let server = Server::start(patient()).await;
        let mut client = server.connect().await;
        client.send(request.as_bytes()).await;
        client.send_or_closed(GET_PEER).await;
        let all = client.rest().await;
        assert!(all.starts_with("HTTP/1.1 400 "), "{what}: {all:?}");
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{what}: {all}");
    }
}

#[tokio::test]
async fn http_2_is_not_spoken_here() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn the_same_length_twice_is_one_length() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client
        .send(
            b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        )
        .await;
    client.answer().await.is_with(200, "3");
    client.send(GET_PEER).await;
    client.answer().await.is(200);
}

#[tokio::test]
async fn a_bare_line_feed_ends_a_line_and_nothing_more() {
    // RFC 9112 §2.2 lets a server take a lone LF for a line's end, and hyper does. What matters is that it is
    // taken so everywhere: the length below counts, and the rest is one further request.
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client
        .send(b"POST /count HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc")
        .await;
    client.answer().await.is_with(200, "3");
    client.send(GET_PEER).await;
    client.answer().await.is(200);
}

#[tokio::test]
async fn chunk_sizes_are_not_open_to_interpretation() {
    for chunks in [
        "3 \r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc",
    ] {
        let server = Server::start(Limits {
            body_timeout: SHORT,
            ..patient()
        })
        .await;
        let mut client = server.connect().await;
        let request = format!(
            "POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        );
        client.send(request.as_bytes()).await;
        client.send_or_closed(GET_PEER).await;
        let all = client.rest_or_one_answer().await;
        // Either the body is refused, or it is the three bytes that everyone would read.
        let is_refused = !all.contains("HTTP/1.1 200") && all.matches("HTTP/1.1 ").count() <= 1;
        let is_three = all.ends_with("\r\n\r\n3");
        assert!(is_refused || is_three, "{chunks:?}: {all:?}");
    }
}

#[tokio::test]
async fn http_1_0_gets_one_answer() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client.send(b"GET /peer HTTP/1.0\r\n\r\n").await;
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.0 200 "), "{all}");
}

#[tokio::test]
async fn an_absolute_form_is_routed_by_its_path() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client
        .send(b"GET http://other.example/peer?q HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    client.answer().await.is(200);
}

#[tokio::test]
async fn expect_continue_is_answered_when_the_body_is_wanted() {
    let server = Server::start(patient()).await;
    let mut client = server.connect().await;
    client
        .send(
            b"POST /count HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        )
        .await;
    client.answer().await.is(100);
    client.send(b"abc").await;
    client.answer().await.is_with(200, "3");

    // Nobody wants it here: the answer comes at once, and the connection ends, since whether the body is still
    // to come is anyone's guess.
    client
        .send(
            b"POST /peer HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        )
        .await;
    let all = client.rest().await;
    assert!(all.starts_with("HTTP/1.1 405 "), "{all}");
}
