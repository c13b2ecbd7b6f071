//! SNS's certificates: fetched once, few at a time, and kept in memory.
//!
//! Whoever knows the topic's ARN can make us look for a certificate, so that looking is bounded: one at
//! a time, a pause after one in vain, and what was in vain is remembered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use hyper::Uri;
use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::sync::Mutex;
use tokio::time::timeout;
use webpki::{EndEntityCert, Error, KeyUsage};

use super::{NotTaken, Web, refused};

/// A certificate and its issuers are 6 KiB; the rest of what is read goes unread.
const PEM_BYTES_MAX: usize = 32 * 1024;
/// SNS uses one for months, and the next beside it for a while.
const KEPT_MAX: usize = 4;
/// Addresses at which there was none.
const IN_VAIN_MAX: usize = 64;
const IN_VAIN_FOR: SignedDuration = SignedDuration::from_mins(10);
/// After one in vain, before the next.
const PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// For one to arrive. SNS gives our answer fifteen seconds, our frame eight.
const FETCH: Duration = Duration::from_secs(3);
/// For another's to arrive.
const WAIT: Duration = Duration::from_secs(4);

/// The certificates that were seen.
pub struct Shelf {
    web: Arc<dyn Web>,
    names: Arc<[String]>,
    kept: StdMutex<Kept>,
    /// Held while one is fetched.
    fetching: Mutex<()>,
}

#[derive(Default)]
struct Kept {
    good: VecDeque<(Uri, Arc<Certificate>)>,
    in_vain: VecDeque<(Uri, Timestamp)>,
    last_in_vain: Option<Timestamp>,
}

/// A certificate of SNS's, with the issuers that came with it.
#[derive(Debug)]
pub struct Certificate {
    own: CertificateDer<'static>,
    issuers: Vec<CertificateDer<'static>>,
    names: Arc<[String]>,
}

impl Shelf {
    /// None yet. They have to be made out to one of these names.
    pub fn new(web: Arc<dyn Web>, names: Vec<String>) -> Self {
        Self {
            web,
            names: names.into(),
            kept: StdMutex::default(),
            fetching: Mutex::default(),
        }
    }

    /// The certificate at a URL, which is SNS's own.
    pub async fn get(&self, url: &Uri, now: Timestamp) -> Result<Arc<Certificate>, NotTaken> {
        if let Some(known) = self.known(url, now)? {
            return Ok(known);
        }
        let Ok(_fetching) = timeout(WAIT, self.fetching.lock()).await else {
            return unavailable("another certificate is being fetched");
        };
        if let Some(known) = self.known(url, now)? {
            return Ok(known);
        }
        if self.kept(|kept| kept.pauses(now)) {
            return unavailable("a certificate was fetched in vain just now");
        }
        let fetched = self.fetch(url, now).await;
        self.kept(|kept| kept.note(url, &fetched, now));
        fetched
    }

    fn known(&self, url: &Uri, now: Timestamp) -> Result<Option<Arc<Certificate>>, NotTaken> {
        self.kept(|kept| {
            if kept.is_in_vain(url, now) {
                return refused("there was no certificate of SNS's at its URL");
            }
            let good = kept.good.iter().find(|(known, _)| known == url);
            Ok(good.map(|(_, certificate)| Arc::clone(certificate)))
        })
    }

    async fn fetch(&self, url: &Uri, now: Timestamp) -> Result<Arc<Certificate>, NotTaken> {
        let answer = match timeout(FETCH, self.web.get(url)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => return away(url, &why),
            Err(_) => return away(url, "no answer in time"),
        };
        match answer {
            (200, pem) if pem.len() <= PEM_BYTES_MAX => {
                let certificate = Certificate::read(&pem, Arc::clone(&self.names))?;
                certificate.check(now)?;
                Ok(Arc::new(certificate))
            }
            (200 | 400..=499, _) => refused("there is no certificate at its URL"),
            (status, _) => away(url, &format!("SNS answers {status}")),
        }
    }

    fn kept<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn note(&mut self, url: &Uri, fetched: &Result<Arc<Certificate>, NotTaken>, now: Timestamp) {
        match fetched {
            Ok(certificate) => {
                self.good.truncate(KEPT_MAX - 1);
                self.good.push_front((url.clone(), Arc::clone(certificate)));
            }
            Err(why) => {
                self.last_in_vain = Some(now);
                // Whoever is away may be back.
                if matches!(why, NotTaken::Refused(_)) {
                    self.in_vain.truncate(IN_VAIN_MAX - 1);
                    self.in_vain.push_front((url.clone(), now));
                }
            }
        }
    }

    fn is_in_vain(&self, url: &Uri, now: Timestamp) -> bool {
        let mut lately = self
            .in_vain
            .iter()
            .filter(|(_, at)| is_within(*at, now, IN_VAIN_FOR));
        lately.any(|(known, _)| known == url)
    }

    fn pauses(&self, now: Timestamp) -> bool {
        self.last_in_vain
            .is_some_and(|at| is_within(at, now, PAUSE))
    }
}

fn is_within(at: Timestamp, now: Timestamp, span: SignedDuration) -> bool {
    (SignedDuration::ZERO..span).contains(&now.duration_since(at))
}

impl Certificate {
    fn read(pem: &[u8], names: Arc<[String]>) -> Result<Self, NotTaken> {
        let read = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
        let mut read = read.unwrap_or_default().into_iter();
        match read.next() {
            Some(own) => Ok(Self {
                own,
                issuers: read.collect(),
                names,
            }),
            None => refused("what stands at its URL is no certificate"),
        }
    }

    /// Whether SNS signed this, with a certificate that is valid now.
    pub fn verify(&self, signed: &[u8], signature: &[u8], now: Timestamp) -> Result<(), NotTaken> {
        let certificate = self.check(now)?;
        let algorithm = webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256;
        match certificate.verify_signature(algorithm, signed, signature) {
            Ok(()) => Ok(()),
            Err(_) => refused("its signature is not SNS's: it was changed, or somebody forged it"),
        }
    }

    /// Valid at this time, and made out to SNS; and issued by a public authority, as far as that is
    /// known: SNS serves its certificate alone, whose issuer is an intermediate one that only it could
    /// name. Then whose it is follows from where it was fetched (see the decision).
    fn check(&self, now: Timestamp) -> Result<EndEntityCert<'_>, NotTaken> {
        let Ok(certificate) = EndEntityCert::try_from(&self.own) else {
            return refused("its certificate cannot be read");
        };
        let chain = certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            webpki_roots::TLS_SERVER_ROOTS,
            &self.issuers,
            UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().unsigned_abs())),
            KeyUsage::server_auth(),
            None,
            None,
        );
        match chain {
            Ok(_) => {}
            // Validity and purpose are looked at before any issuer.
            Err(Error::UnknownIssuer) if self.issuers.is_empty() => {}
            Err(error) => {
                return Err(NotTaken::Refused(format!(
                    "its certificate is not valid: {error}"
                )));
            }
        }
        if !self
            .names
            .iter()
            .any(|name| is_made_out_to(&certificate, name))
        {
            return refused("its certificate is not made out to SNS");
        }
        Ok(certificate)
    }
}

fn is_made_out_to(certificate: &EndEntityCert<'_>, name: &str) -> bool {
    ServerName::try_from(name)
        .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
}

fn away<T>(url: &Uri, why: &str) -> Result<T, NotTaken> {
    Err(NotTaken::Unavailable(format!(
        "SNS's certificate cannot be fetched: {why}. https://{} must be reachable from here",
        url.host().unwrap_or_default()
    )))
}

fn unavailable<T>(why: &str) -> Result<T, NotTaken> {
    Err(NotTaken::Unavailable(why.into()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;
    use tokio::time::Instant;

    use super::*;

    /// Never answers.
    #[derive(Default)]
    struct Silence(AtomicUsize);

    #[async_trait]
    impl Web for Silence {
        async fn get(&self, _: &Uri) -> Result<(u16, Bytes), String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_costs_one_fetch_at_a_time_and_no_more_than_a_moment() {
        let web = Arc::new(Silence::default());
        let shelf = Arc::new(Shelf::new(Arc::clone(&web) as _, Vec::new()));
        let now: Timestamp = "2026-11-22T09:05:00Z".parse().unwrap();
        let began = Instant::now();
        let asking = (0..50).map(|n| {
            let shelf = Arc::clone(&shelf);
            let url = format!("https://sns.test/{n}.pem").parse().unwrap();
            tokio::spawn(async move { shelf.get(&url, now).await })
        });
        for answer in asking.collect::<Vec<_>>() {
            let refused = answer.await.unwrap().unwrap_err();
            assert!(matches!(refused, NotTaken::Unavailable(_)), "{refused:?}");
        }
        assert!(began.elapsed() <= WAIT, "{:?}", began.elapsed());
        assert_eq!(web.0.load(Ordering::Relaxed), 1);
    }
}
