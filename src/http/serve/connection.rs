//! One connection's life: hyper speaks HTTP/1.1 on it, while a [`Patience`] watches what it waits for.

use std::{
    convert::Infallible,
    future::poll_fn,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{Router, body::Body as AxumBody, extract::ConnectInfo};
use bytes::Bytes;
use hyper::{
    Request, Response,
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tower::Service as _;

use super::{
    Limits, Shutdown,
    patience::{Cut, Patience},
};

/// A request's line and headers together. Browsers and proxies stay below 8 KiB; beyond it is a 431.
/// (hyper allows 100 headers, and more is a 431 too; setting that number ourselves would cost an allocation.)
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What hyper may buffer of a connection in each direction.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Serves one connection to its end: the client's, the end of our patience, or a shutdown.
pub async fn drive(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Arc<Limits>,
    mut shutdown: Shutdown,
) {
    let watch = Watch(Arc::new(Mutex::new(Patience::new(Instant::now()))));
    let patience = watch.clone();
    let io = TokioIo::new(WatchedStream {
        stream,
        watch: watch.clone(),
    });
    let mut connection = pin!(
        http1::Builder::new()
            // Who stops sending may still be listening: `Patience` finds those that do neither.
            .half_close(true)
            // Ours tells a late head from a resting connection; hyper's cannot.
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES_MAX)
            .max_buf_size(BUFFER_BYTES_MAX)
            .serve_connection(
                io,
                service_fn(move |request| answer(router.clone(), request, peer, watch.clone())),
            )
    );
    let mut begun = pin!(shutdown.begun());
    let mut is_draining = false;
    let mut alarm = pin!(sleep_until(Instant::now() + limits.header_timeout));

    let end = poll_fn(|cx| {
        if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
            return Poll::Ready(End::Closed(ended));
        }
        // After the connection had its turn, so that a request already here counts as under way.
        if !is_draining && begun.as_mut().poll(cx).is_ready() {
            is_draining = true;
            connection.as_mut().graceful_shutdown();
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(End::Closed(ended));
            }
        }
        // Patience is renewed with every request, but its end nearly always moves away from us, so the alarm is
        // left as it is and asks again when it rings: a busy connection sets it once in many seconds.
        loop {
            let Some((end, cut)) = patience.get().ends(&limits) else {
                return Poll::Pending;
            };
            // By the clock and not by the alarm, which does not ring for a task that has used up its turn (tokio's
            // cooperative budget), as a client that floods us makes it do.
            if end <= Instant::now() {
                return Poll::Ready(End::Cut(cut));
            }
            if end < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(end);
            }
            ready!(alarm.as_mut().poll(cx));
        }
    })
    .await;
    match end {
        End::Closed(Ok(())) => {}
        End::Closed(Err(error)) => tracing::debug!(%peer, %error, "connection ended early"),
        End::Cut(cut) => tracing::debug!(%peer, reason = ?cut, "connection cut: patience ended"),
    }
}

enum End {
    Closed(hyper::Result<()>),
    Cut(Cut),
}

/// Lets the router answer one request.
async fn answer(
    mut router: Router,
    request: Request<Incoming>,
    peer: SocketAddr,
    watch: Watch,
) -> Result<Response<AnswerBody>, Infallible> {
    watch.get().began(Instant::now());
    let turn = Turn(watch.clone());
    let mut request = request.map(|body| {
        if body.is_end_stream() {
            AxumBody::empty()
        } else {
            AxumBody::new(AskedBody { body, watch })
        }
    });
    request.extensions_mut().insert(ConnectInfo(peer));
    let response: Response<AxumBody> = router.call(request).await?;
    Ok(response.map(|body| AnswerBody { body, _turn: turn }))
}

/// The connection's patience, shared by all its parts. They run in one task, so the lock is never contended.
#[derive(Clone)]
struct Watch(Arc<Mutex<Patience>>);

impl Watch {
    fn get(&self) -> MutexGuard<'_, Patience> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time from a request's head to the end of its answer, or to the point where either side gave it up.
struct Turn(Watch);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.get().answered(Instant::now());
    }
}

/// A request's body, which reports when the handler waits for it.
struct AskedBody {
    body: Incoming,
    watch: Watch,
}

impl Body for AskedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_pending() {
            this.watch.get().wants_body();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AskedBody {
    fn drop(&mut self) {
        self.watch.get().left_body(self.body.is_end_stream());
    }
}

/// An answer's body, which ends the turn when hyper has taken all of it.
struct AnswerBody {
    body: AxumBody,
    _turn: Turn,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket, which reports what moves on it and what does not.
struct WatchedStream {
    stream: TcpStream,
    watch: Watch,
}

impl WatchedStream {
    fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => self.watch.get().stalled(Instant::now()),
            Poll::Ready(_) => self.watch.get().wrote(Instant::now()),
        }
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            this.watch.get().received(Instant::now());
        }
        read
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note_write(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.note_write(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    /// Closes our side. A client that is still sending (a head or a body that was refused half-way) is then read
    /// and ignored for a moment, because closing on unread bytes resets the connection under the answer.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if !this.watch.get().closed(Instant::now()) {
            return Poll::Ready(Ok(()));
        }
        let mut ignored = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut ignored);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
