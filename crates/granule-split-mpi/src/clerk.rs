//! A clerk: the thread of a rank that owns files. It joins rows of tiles that came in pieces and appends row groups in order.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use contract::{RowGroup, TileWriter};
use ranks::{Address, Mailbox, Post};

use crate::lane::{Task, pack};
use crate::letter::{DISPENSER, Tally, ToClerk, ToDispenser, ToLane, open, send};
use crate::scene::Scene;
use crate::strip::Strip;

/// Works until the dispenser says that all is done.
pub fn work(task: Task<'_>, post: &Post, inbox: &Mailbox) {
    let _guard = post.guard();
    raster::stay_on_this_thread();
    let mut clerk = Clerk { task, post, outputs: BTreeMap::new(), over: BTreeSet::new() };
    while let Some(letter) = inbox.receive() {
        // A letter that is none ends the rank as an order to end does; its sender runs another program, and was told so.
        let Ok((letter, payload)) = open::<ToClerk>(letter) else { return };
        if letter == ToClerk::End {
            return;
        }
        clerk.take(letter, payload);
    }
}

struct Clerk<'a> {
    task: Task<'a>,
    post: &'a Post,
    /// Files in the making, by granule.
    outputs: BTreeMap<usize, Output>,
    /// Granules whose pieces are of no use any more.
    over: BTreeSet<usize>,
}

impl Clerk<'_> {
    fn take(&mut self, letter: ToClerk, payload: Vec<u8>) {
        let (granule, sender) = match &letter {
            ToClerk::Row { granule, rank, mailbox, .. }
            | ToClerk::Fragment { granule, rank, mailbox, .. } => {
                (*granule, Some(Address { rank: *rank, mailbox: *mailbox }))
            }
            ToClerk::Claim { granule } => return self.claim(*granule),
            ToClerk::Signed { granule, .. } | ToClerk::Abandon { granule } => (*granule, None),
            ToClerk::End => return,
        };
        if !self.over.contains(&granule) {
            match self.add(granule, letter, payload) {
                Ok(None) => {}
                Ok(Some(tally)) => self.end(granule, &ToDispenser::Written { granule, tally }),
                Err(error) => {
                    self.end(granule, &ToDispenser::Failed { granule, reason: stage::one_line(&error) });
                }
            }
        }
        // A lane whose rank is ending needs no answer.
        let _ = sender.map(|sender| send(self.post, sender, &ToLane::Taken, Vec::new()));
    }

    /// Begins a granule's file. In a run of several granules, one that another run writes is no failure: it comes again.
    fn claim(&mut self, granule: usize) {
        match Output::begin(self.task, granule) {
            Ok(output) => {
                self.outputs.insert(granule, output);
                self.tell(&ToDispenser::Claimed { granule });
            }
            Err(error) if self.task.args.many() && is_busy(&error) => {
                self.tell(&ToDispenser::Busy { granule })
            }
            Err(error) => {
                self.end(granule, &ToDispenser::Failed { granule, reason: stage::one_line(&error) });
            }
        }
    }

    /// Forgets a granule, and removes its part file if it has one.
    fn end(&mut self, granule: usize, news: &ToDispenser) {
        self.outputs.remove(&granule);
        self.over.insert(granule);
        self.tell(news);
    }

    fn tell(&self, news: &ToDispenser) {
        // Where the first rank is ending, nobody waits for news.
        let _ = send(self.post, Address { rank: 0, mailbox: DISPENSER }, news, Vec::new());
    }

    /// Adds a piece to its file; what the file holds, once it has its name.
    fn add(&mut self, granule: usize, letter: ToClerk, payload: Vec<u8>) -> anyhow::Result<Option<Tally>> {
        if let ToClerk::Abandon { .. } = letter {
            self.outputs.remove(&granule);
            self.over.insert(granule);
            return Ok(None);
        }
        let task = self.task;
        let output =
            self.outputs.get_mut(&granule).context("a file is claimed before its first piece is cut")?;
        match letter {
            ToClerk::Row { row, tally, .. } => {
                output.waiting.insert(row, (RowGroup::from_bytes(payload), tally));
            }
            ToClerk::Fragment { row, first_line, n_lines, .. } => {
                output.join(task, row, first_line..first_line + n_lines, &payload)?;
            }
            ToClerk::Signed { pairs, .. } => output.pairs = Some(pairs),
            ToClerk::Claim { .. } | ToClerk::Abandon { .. } | ToClerk::End => {}
        }
        output.append()?;
        if !output.is_complete() {
            return Ok(None);
        }
        let output = self.outputs.remove(&granule).context("the file was in the making above")?;
        output.finish().map(Some)
    }
}

/// Whether another process is writing the same file.
pub fn is_busy(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(contract::Error::Busy { .. })))
}

/// A file in the making.
struct Output {
    scene: Scene,
    writer: TileWriter,
    /// The next row of tiles to append.
    next: usize,
    /// Rows that came before their turn.
    waiting: BTreeMap<usize, (RowGroup, Tally)>,
    /// Rows that came in pieces, some of them still to come.
    strips: BTreeMap<usize, Strip>,
    pairs: Option<Vec<(String, String)>>,
    tally: Tally,
}

impl Output {
    fn begin(task: Task<'_>, granule: usize) -> anyhow::Result<Self> {
        let job = &task.jobs[granule];
        let scene = Scene::open(task.args, job)?;
        Ok(Self {
            writer: TileWriter::begin_unsigned(&job.out, &scene.meta)?,
            scene,
            next: 0,
            waiting: BTreeMap::new(),
            strips: BTreeMap::new(),
            pairs: None,
            tally: Tally::default(),
        })
    }

    fn join(
        &mut self,
        task: Task<'_>,
        row: usize,
        lines: std::ops::Range<usize>,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        let strip = self.strips.entry(row).or_insert_with(|| Strip::empty(&self.scene, row));
        strip.add_fragment(lines, self.scene.rows.tile_px, bytes).context(
            "want lines of tiles of this plan, found others; start the same program with the same flags on all ranks",
        )?;
        if !strip.is_whole(&self.scene) {
            return Ok(());
        }
        let strip = self.strips.remove(&row).context("the row was in the making above")?;
        self.waiting.insert(row, pack(task.args, &self.scene, strip)?);
        Ok(())
    }

    /// Appends the rows whose turn it is.
    fn append(&mut self) -> anyhow::Result<()> {
        while let Some((group, tally)) = self.waiting.remove(&self.next) {
            self.writer.splice(group)?;
            self.tally.add(tally);
            self.next += 1;
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.next == self.scene.rows.n_tiles && self.pairs.is_some()
    }

    fn finish(self) -> anyhow::Result<Tally> {
        self.writer.finish_signed(self.pairs.context("a file is complete with its metadata")?)?;
        Ok(self.tally)
    }
}
