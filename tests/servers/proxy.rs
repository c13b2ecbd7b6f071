//! A TCP proxy that can be told to do to its connections what networks do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What becomes of the bytes.
#[derive(Debug, Clone, Copy)]
struct Weather {
    delay: Duration,
    /// New connections are reset at once.
    refuses: bool,
    /// Whatever arrives is swallowed.
    swallows: bool,
    /// Connections of an earlier generation were cut: they are reset.
    cuts: usize,
    /// Connections of an earlier generation were forgotten: they are silent for ever.
    forgotten: usize,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
}

/// A port of the loopback that leads to another.
pub struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    counts: Arc<Counts>,
    listener: JoinHandle<()>,
}

impl Proxy {
    /// Leads to a port of the loopback; until told otherwise it passes everything.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = watch::Sender::new(Weather {
            delay: Duration::ZERO,
            refuses: false,
            swallows: false,
            cuts: 0,
            forgotten: 0,
        });
        let counts = Arc::<Counts>::default();
        let accepts = accept(listener, port, weather.clone(), Arc::clone(&counts));
        Self {
            address,
            weather,
            counts,
            listener: tokio::spawn(accepts),
        }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were made so far.
    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(Ordering::Relaxed)
    }

    /// How many connections there are now.
    pub fn open(&self) -> usize {
        self.counts.open.load(Ordering::Relaxed)
    }

    /// From now on bytes take this much longer, either way.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Resets every connection there is. New ones are passed on.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Resets every connection there is, and those that come.
    pub fn refuse(&self) {
        self.weather.send_modify(|weather| {
            weather.refuses = true;
            weather.cuts += 1;
        });
    }

    /// Swallows everything on every connection, those that come included, and says nothing.
    pub fn black_hole(&self) {
        self.weather.send_modify(|weather| {
            weather.swallows = true;
            weather.forgotten += 1;
        });
    }

    /// Forgets every connection there is, as a NAT does: they stay silent for ever. New ones are
    /// passed on.
    pub fn forget(&self) {
        self.weather.send_modify(|weather| weather.forgotten += 1);
    }

    /// Passes what comes from now on. What was swallowed or forgotten stays so, and so do the
    /// connections that it came over.
    pub fn mend(&self) {
        self.weather.send_modify(|weather| {
            weather.delay = Duration::ZERO;
            weather.refuses = false;
            // Whoever came in between is as lost as those before.
            weather.forgotten += usize::from(weather.swallows);
            weather.swallows = false;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

async fn accept(
    listener: TcpListener,
    port: u16,
    weather: watch::Sender<Weather>,
    counts: Arc<Counts>,
) {
    while let Ok((client, _)) = listener.accept().await {
        counts.accepted.fetch_add(1, Ordering::Relaxed);
        let (weather, counts) = (weather.subscribe(), Arc::clone(&counts));
        tokio::spawn(async move {
            counts.open.fetch_add(1, Ordering::Relaxed);
            lead(client, port, weather).await;
            counts.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn lead(mut client: TcpStream, port: u16, weather: watch::Receiver<Weather>) {
    let born = *weather.borrow();
    let mut server = None;
    if !born.refuses && !born.swallows {
        server = TcpStream::connect(("127.0.0.1", port)).await.ok();
    }
    let cut = || until(&weather, |now| now.cuts > born.cuts);
    let lost = until(&weather, |now| {
        born.swallows || now.forgotten > born.forgotten
    });
    if server.is_some() || born.swallows {
        tokio::select! {
            biased;
            () = cut() => {}
            () = lost => tokio::select! {
                () = cut() => {}
                // Nor does either side hear that the other has gone.
                () = async {
                    tokio::join!(swallow(Some(&mut client)), swallow(server.as_mut()));
                    std::future::pending().await
                } => {}
            },
            () = pass_both(&mut client, server.as_mut(), &weather) => return,
        }
    }
    for stream in [Some(client), server].into_iter().flatten() {
        // Dropped like this, a connection is reset, not closed.
        let _ = stream.set_zero_linger();
    }
}

/// Waits for a change, or for the end of the proxy: its connections go with it.
async fn until(weather: &watch::Receiver<Weather>, is_it: impl FnMut(&Weather) -> bool) {
    let _ = weather.clone().wait_for(is_it).await;
}

/// Passes both directions on until both have ended.
async fn pass_both(
    client: &mut TcpStream,
    server: Option<&mut TcpStream>,
    weather: &watch::Receiver<Weather>,
) {
    let Some(server) = server else {
        return std::future::pending().await;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::join!(
        pass(from_client, to_server, weather),
        pass(from_server, to_client, weather)
    );
}

async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, weather: &watch::Receiver<Weather>) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        let delay = weather.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

async fn swallow(from: Option<&mut TcpStream>) {
    let mut bytes = vec![0; 64 * 1024];
    if let Some(from) = from {
        while let Ok(1..) = from.read(&mut bytes).await {}
    }
}
