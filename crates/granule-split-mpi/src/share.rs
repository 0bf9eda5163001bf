//! The run: on every rank a clerk and lanes, on the first one also the dispenser, and their beginning and end.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ranks::{Address, Mailbox, Post, Received, World};
use stage::Progress;
use tracing::info;

use crate::clerk;
use crate::dispenser::{Dispenser, Outcome};
use crate::lane::{self, Task};
use crate::letter::{CLERK, DISPENSER, FIRST_LANE, Survey, ToClerk, ToDispenser, ToLane, open, owner, send};

/// How often to ask for a file that another run is writing.
pub const ASK_EVERY: Duration = Duration::from_secs(1);

/// Splits all granules and concludes on the first rank, while the others still wait: an error there finds none of them half gone.
///
/// # Errors
/// If ranks cannot talk to each other, and those of `conclude`.
pub fn out<T: Send>(
    world: &World,
    task: Task<'_>,
    conclude: impl FnOnce(Vec<Outcome>) -> anyhow::Result<T> + Send,
) -> anyhow::Result<Option<T>> {
    let n_threads = task.args.threads.map_or_else(|| world.fair_threads(), |n| n as usize);
    let n_lanes = usize::try_from(world.sum(&[n_threads as u64])[0])?;
    let is_root = world.is_root();
    world.converse(FIRST_LANE + n_threads, |post, mut mailboxes| {
        let lanes = mailboxes.split_off(FIRST_LANE);
        std::thread::scope(|scope| {
            for inbox in lanes {
                let post = post.clone();
                scope.spawn(move || lane::work(scope, task, &post, &inbox));
            }
            let to_dispenser = mailboxes.remove(DISPENSER);
            let (to_clerk, clerks_post) = (mailboxes.remove(CLERK), post.clone());
            scope.spawn(move || clerk::work(task, &clerks_post, &to_clerk));
            let guard = post.guard();
            let served =
                is_root.then(|| Hall::new(task, &post, n_lanes).serve(&to_dispenser).and_then(conclude));
            let failed = matches!(served, Some(Err(_)));
            // After an error the other ranks are ended with the world, and this one's clerk by a letter.
            let ranks = if failed { 0..1 } else { 0..task.n_ranks };
            for rank in ranks.filter(|_| is_root) {
                send(&post, Address { rank, mailbox: CLERK }, &ToClerk::End, Vec::new())?;
            }
            // Only now, so that a dispenser that panics ends the world.
            drop(guard);
            served.transpose()
        })
    })
}

/// The dispenser's side of the conversation.
struct Hall<'a> {
    task: Task<'a>,
    post: &'a Post,
    n_lanes: usize,
    dispenser: Dispenser,
    /// Lanes that asked, and got nothing yet.
    idle: Vec<Address>,
    n_ended: usize,
    /// Granules of which it was said that another run makes them.
    waited_for: BTreeSet<usize>,
    progress: Option<Progress>,
}

impl<'a> Hall<'a> {
    fn new(task: Task<'a>, post: &'a Post, n_lanes: usize) -> Self {
        let progress = task.args.many().then(|| Progress::over("granules", task.jobs.len()));
        let dispenser = Dispenser::new(task.jobs.len(), n_lanes, task.n_ranks);
        Self {
            task,
            post,
            n_lanes,
            dispenser,
            idle: Vec::new(),
            n_ended: 0,
            waited_for: BTreeSet::new(),
            progress,
        }
    }

    /// Hands out work until all granules are over and all lanes have ended.
    fn serve(mut self, letters: &Mailbox) -> anyhow::Result<Vec<Outcome>> {
        let mut asked = Instant::now();
        while self.n_ended < self.n_lanes {
            let wait = if self.dispenser.waits() { ASK_EVERY } else { Duration::MAX };
            match letters.receive_for(wait) {
                Received::Letter(letter) => {
                    let (news, payload) = open::<ToDispenser>(letter)?;
                    self.hear(news, &payload)?;
                }
                Received::Nothing => {}
                Received::End => break,
            }
            if asked.elapsed() >= ASK_EVERY {
                asked = Instant::now();
                for (granule, claim) in self.dispenser.ask_again() {
                    self.tell_clerk(granule, &claim)?;
                }
            }
            self.employ()?;
        }
        Ok(self.dispenser.outcomes().unwrap_or_default())
    }

    fn hear(&mut self, news: ToDispenser, payload: &[u8]) -> anyhow::Result<()> {
        let n_over = self.dispenser.n_over();
        match news {
            ToDispenser::Ready { rank, mailbox } => self.ready(Address { rank, mailbox })?,
            ToDispenser::Surveyed { granule, survey } => {
                if let (Survey::ToCut { n_units, .. }, None) = (&survey, &self.progress) {
                    self.progress = Some(Progress::over("rows of blocks", *n_units));
                }
                if let Some(order) = self.dispenser.surveyed(granule, survey) {
                    self.tell_clerk(granule, &order)?;
                }
            }
            ToDispenser::Claimed { granule } => self.dispenser.claimed(granule),
            ToDispenser::Busy { granule } => {
                if self.waited_for.insert(granule) {
                    info!(
                        "{}: another run is making it; this one comes back to it",
                        self.task.jobs[granule].granule
                    );
                }
                self.dispenser.busy(granule);
            }
            ToDispenser::Counted { granule, from, to } => {
                let counts: Vec<u64> =
                    payload.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
                self.dispenser.counted(granule, to - from, &counts);
            }
            ToDispenser::Cut { granule, from } => {
                let n_units = self.dispenser.cut(granule, from);
                if !self.task.args.many() {
                    self.progress.iter_mut().for_each(|progress| progress.add(n_units));
                }
            }
            ToDispenser::Written { granule, tally } => self.dispenser.written(granule, tally),
            ToDispenser::Failed { granule, reason } => {
                if self.dispenser.failed(granule, reason) {
                    self.tell_clerk(granule, &ToClerk::Abandon { granule })?;
                }
            }
            ToDispenser::Ended => self.n_ended += 1,
        }
        let n_more = self.dispenser.n_over() - n_over;
        if n_more > 0 && self.task.args.many() {
            self.progress.iter_mut().for_each(|progress| progress.add(n_more));
        }
        Ok(())
    }

    fn tell_clerk(&self, granule: usize, order: &ToClerk) -> anyhow::Result<()> {
        send(self.post, owner(granule, self.task.n_ranks), order, Vec::new())
    }

    /// A lane that cannot be employed at once gives away what it has half done, because others may wait for it.
    fn ready(&mut self, lane: Address) -> anyhow::Result<()> {
        self.idle.push(lane);
        self.employ()?;
        if self.idle.contains(&lane) {
            send(self.post, lane, &ToLane::Flush, Vec::new())?;
        }
        Ok(())
    }

    /// Gives idle lanes what there is to do, or the end.
    fn employ(&mut self) -> anyhow::Result<()> {
        let all_over = self.dispenser.n_over() == self.task.jobs.len();
        while let Some(lane) = self.idle.first().copied() {
            let order = if all_over { Some(ToLane::End) } else { self.dispenser.next(lane.rank) };
            let Some(order) = order else { return Ok(()) };
            self.idle.remove(0);
            send(self.post, lane, &order, Vec::new())?;
        }
        Ok(())
    }
}
