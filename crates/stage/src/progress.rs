use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress on standard error: a bar with the time left on a terminal, a line every ten seconds elsewhere.
pub struct Progress {
    what: &'static str,
    n_all: u64,
    n_done: u64,
    bar: Option<ProgressBar>,
    begun: Instant,
    said: Instant,
    hidden: bool,
}

impl Progress {
    /// Progress over `n_all` things, such as `tiles`.
    pub fn over(what: &'static str, n_all: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:>12} [{bar:40}] {pos}/{len} {per_sec} left {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(n_all as u64).with_style(style).with_message(what)
        });
        let now = Instant::now();
        Self { what, n_all: n_all as u64, n_done: 0, bar, begun: now, said: now, hidden: false }
    }

    /// Progress that says nothing, for all ranks but the first.
    pub fn silent() -> Self {
        let now = Instant::now();
        Self { what: "", n_all: 0, n_done: 0, bar: None, begun: now, said: now, hidden: true }
    }

    /// `n` more are done.
    pub fn add(&mut self, n: usize) {
        self.n_done += n as u64;
        if let Some(bar) = &self.bar {
            bar.inc(n as u64);
        } else if !self.hidden && self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            let per_s = self.n_done as f64 / self.begun.elapsed().as_secs_f64();
            let left_s = (self.n_all.saturating_sub(self.n_done)) as f64 / per_s;
            tracing::info!(
                "{} of {} {}, {per_s:.1} a second, {left_s:.0} s left",
                self.n_done,
                self.n_all,
                self.what
            );
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
