//! Reading what a server sends, at the pace allowed, and giving up on one that only drips.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::clock::{now, timeout_at};
use crate::fault::Fault;
use crate::wire::answer::{Extent, Validator};
use crate::wire::caps::Caps;

/// Slower than this on average over `--stall-s` is a connection to give up: the slowest links that fetch imagery at all are far faster,
/// and at this rate a band of 100 MB would take more than a day.
const SLOWEST_BYTES_PER_S: f64 = 1024.0;

/// An answer whose body is still to be read. It holds its connection until it is dropped.
pub(crate) struct Reply<'a> {
    /// What comes.
    pub extent: Extent,
    /// What the file is known by.
    pub validator: Option<Validator>,
    /// The bytes.
    pub body: BoxStream<'static, Result<Bytes, Fault>>,
    /// The place among the connections.
    pub _turn: SemaphorePermit<'a>,
}

impl Reply<'_> {
    /// Hands each chunk to `keep` as it comes; none is held. The body must end where the extent says.
    ///
    /// # Errors
    /// Those of the network and of `keep`; a drip, a body too long or too short.
    pub async fn pour(
        mut self,
        caps: &Caps,
        mut keep: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut left = self.extent.end.map(|end| end.saturating_sub(self.extent.start));
        let mut drip = Drip::over(caps.stall);
        loop {
            let chunk = match timeout_at(drip.end, self.body.next()).await {
                Ok(Some(chunk)) => chunk?,
                Ok(None) => break,
                Err(_) => {
                    drip.check()?;
                    continue;
                }
            };
            if let Some(left) = &mut left {
                *left = left.checked_sub(chunk.len() as u64).ok_or_else(longer)?;
            }
            keep(&chunk)?;
            drip.n_bytes += chunk.len();
            // Time that our own limit takes is not the server's.
            drip.end += caps.spend(chunk.len()).await;
            drip.check()?;
        }
        match left {
            Some(left @ 1..) => Err(Fault::passing(format!("the connection ended {left} bytes early"))),
            _ => Ok(()),
        }
    }
}

fn longer() -> Fault {
    Fault::passing("want no more bytes than announced, found more")
}

/// Counts the bytes of a stretch of time.
struct Drip {
    stretch: Duration,
    end: Instant,
    n_bytes: usize,
}

impl Drip {
    fn over(stretch: Duration) -> Self {
        Self { stretch, end: now() + stretch, n_bytes: 0 }
    }

    /// At the end of a stretch: refuses a drip, and starts the next one.
    fn check(&mut self) -> Result<(), Fault> {
        if now() < self.end {
            return Ok(());
        }
        let stretch_s = self.stretch.as_secs_f64();
        if (self.n_bytes as f64) < SLOWEST_BYTES_PER_S * stretch_s {
            return Err(Fault::passing(format!(
                "want at least 1 KiB/s, found {} bytes in {stretch_s} s",
                self.n_bytes
            )));
        }
        *self = Self::over(self.stretch);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::{sleep, stopped};
    use crate::fault::Kind;
    use crate::wire::Limits;
    use crate::wire::limits::tests::limits;
    use futures_util::stream;

    /// A body of chunks of so many bytes, one every so many seconds.
    async fn poured(
        limits: &Limits,
        every_s: u64,
        n_chunks: usize,
        n: usize,
        said: u64,
    ) -> Result<Duration, Fault> {
        stopped::stop();
        let caps = Caps::of(limits);
        let start = now();
        let body = stream::iter(0..n_chunks).then(move |_| async move {
            sleep(Duration::from_secs(every_s)).await;
            Ok(Bytes::from(vec![0; n]))
        });
        let extent = Extent { start: 0, end: Some(said), total: Some(said), whole: true };
        let reply = Reply { extent, validator: None, body: body.boxed(), _turn: caps.turn("h").await };
        reply.pour(&caps, |_| Ok(())).await.map(|()| now() - start)
    }

    #[tokio::test]
    async fn a_drip_is_given_up_and_an_honest_slow_link_is_not() {
        let fault = poured(&limits(), 10, 1000, 5, 5000).await.unwrap_err();
        assert!(fault.kind == Kind::Passing && fault.text.contains("want at least 1 KiB/s"), "{fault}");
        let silent = poured(&limits(), 100_000, 1, 5, 5).await.unwrap_err();
        assert_eq!(silent.kind, Kind::Passing);
        let took = poured(&limits(), 10, 100, 20_480, 2_048_000).await.unwrap();
        assert_eq!(took.as_secs(), 1000, "2 KiB/s for a quarter of an hour");
    }

    #[tokio::test]
    async fn our_own_limit_is_not_taken_for_a_drip() {
        let slow = Limits { max_mb_per_s: Some(0.001), stall_s: 1, ..limits() };
        let took = poured(&slow, 0, 20, 10_000, 200_000).await.unwrap();
        assert_eq!(took.as_secs(), 190, "1 kB/s");
    }

    #[tokio::test]
    async fn a_body_ends_where_the_server_said() {
        for said in [29, 31] {
            assert_eq!(poured(&limits(), 0, 3, 10, said).await.unwrap_err().kind, Kind::Passing);
        }
        assert!(poured(&limits(), 0, 3, 10, 30).await.is_ok());
    }
}
