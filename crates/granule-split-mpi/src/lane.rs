//! A lane: a thread that decodes, cuts, renders and packs, and holds no more than a run of block rows.

use std::collections::VecDeque;
use std::path::Path;
use std::thread::Scope;

use anyhow::Context;
use contract::{RowGroup, encode_row};
use ranks::{Address, Mailbox, Post};
use raster::Dtype;

use crate::cut::{Cutter, Strips};
use crate::export;
use crate::flags::{Args, Job};
use crate::letter::{DISPENSER, Survey, Tally, ToClerk, ToDispenser, ToLane, open, owner, send};
use crate::reflectance;
use crate::render::{N_LEVELS, Ramp};
use crate::scene::Scene;
use crate::strip::Strip;

/// Pieces on their way to clerks before a lane waits for one to be taken.
const MAX_PIECES_AWAY: usize = 4;

/// What all threads of a rank know.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The flags.
    pub args: &'a Args,
    /// The granules.
    pub jobs: &'a [Job],
    /// Number of ranks.
    pub n_ranks: usize,
}

/// Works until the dispenser says that all is done.
pub fn work<'scope>(scope: &'scope Scope<'scope, '_>, task: Task<'scope>, post: &Post, inbox: &Mailbox) {
    let _guard = post.guard();
    raster::stay_on_this_thread();
    let mut lane = Lane::new(scope, task, post, inbox);
    let Address { rank, mailbox } = inbox.address();
    while lane.tell(&ToDispenser::Ready { rank, mailbox }).is_some() {
        match lane.obey() {
            Some(true) => {}
            _ => break,
        }
    }
    lane.tell(&ToDispenser::Ended);
}

struct Lane<'scope, 'env, 'a> {
    scope: &'scope Scope<'scope, 'env>,
    task: Task<'scope>,
    post: &'a Post,
    inbox: &'a Mailbox,
    n_away: usize,
    /// Orders that came while pieces were sent.
    waiting: VecDeque<ToLane>,
    /// The granule whose scene is open.
    open: Option<(usize, Scene)>,
    /// The unit after the last that was cut; `strips` reach up to it.
    reached: usize,
    strips: Strips,
    tables: Vec<Vec<u8>>,
    bytes: Cutter<u8>,
    words: Cutter<u16>,
}

impl<'scope, 'env, 'a> Lane<'scope, 'env, 'a> {
    fn new(
        scope: &'scope Scope<'scope, 'env>,
        task: Task<'scope>,
        post: &'a Post,
        inbox: &'a Mailbox,
    ) -> Self {
        Self {
            scope,
            task,
            post,
            inbox,
            n_away: 0,
            waiting: VecDeque::new(),
            open: None,
            reached: 0,
            strips: Strips::new(),
            tables: Vec::new(),
            bytes: Cutter::default(),
            words: Cutter::default(),
        }
    }

    /// Waits for an order and does it: true if there may be more.
    fn obey(&mut self) -> Option<bool> {
        loop {
            let order = match self.waiting.pop_front() {
                Some(order) => order,
                None => open::<ToLane>(self.inbox.receive()?).ok()?.0,
            };
            let granule = match order {
                ToLane::Taken => {
                    self.n_away -= 1;
                    continue;
                }
                ToLane::Flush => {
                    self.flush_or_fail();
                    continue;
                }
                ToLane::End => return Some(false),
                ToLane::Survey { granule }
                | ToLane::Sign { granule }
                | ToLane::Count { granule, .. }
                | ToLane::Cut { granule, .. } => granule,
            };
            if let Err(error) = self.fulfil(order) {
                self.fail(granule, &error);
            }
            return Some(true);
        }
    }

    fn fail(&mut self, granule: usize, error: &anyhow::Error) {
        self.strips.clear();
        self.open = None;
        self.tell(&ToDispenser::Failed { granule, reason: stage::one_line(error) });
    }

    fn flush_or_fail(&mut self) {
        let granule = self.open.as_ref().map(|(granule, _)| *granule);
        if let (Err(error), Some(granule)) = (self.flush(), granule) {
            self.fail(granule, &error);
        }
    }

    fn fulfil(&mut self, order: ToLane) -> anyhow::Result<()> {
        match order {
            ToLane::Survey { granule } => self.survey(granule),
            ToLane::Sign { granule } => {
                self.sign(granule);
                Ok(())
            }
            ToLane::Count { granule, from, to } => self.count(granule, from, to),
            ToLane::Cut { granule, from, to, ramps } => self.cut(granule, (from, to), &ramps),
            ToLane::Flush | ToLane::Taken | ToLane::End => Ok(()),
        }
    }

    fn survey(&mut self, granule: usize) -> anyhow::Result<()> {
        let (args, job) = (self.task.args, &self.task.jobs[granule]);
        let scene = self.scene(granule)?;
        let n_counted_units = if scene.stretches(args) { scene.n_counted_units() } else { 0 };
        let to_cut = Survey::ToCut { n_units: scene.n_units(), n_counted_units };
        reflectance::check(scene, args)?;
        let again = args.many() && job.out.exists();
        let survey = if again && is_made(scene, args, job)? { Survey::MadeAlready } else { to_cut };
        self.tell(&ToDispenser::Surveyed { granule, survey });
        Ok(())
    }

    /// Hashes the inputs on a thread of its own: the disk and SHA-256 are ready long before the last row is.
    fn sign(&self, granule: usize) {
        let (task, post) = (self.task, self.post.clone());
        self.scope.spawn(move || {
            let _guard = post.guard();
            raster::stay_on_this_thread();
            let told = match signature(task, granule) {
                Ok(pairs) => {
                    let signed = ToClerk::Signed { granule, pairs };
                    send(&post, owner(granule, task.n_ranks), &signed, Vec::new())
                }
                Err(error) => {
                    let failed = ToDispenser::Failed { granule, reason: stage::one_line(&error) };
                    send(&post, Address { rank: 0, mailbox: DISPENSER }, &failed, Vec::new())
                }
            };
            // Where the reader's rank is ending, nobody waits for news.
            let _ = told;
        });
    }

    fn count(&mut self, granule: usize, from: usize, to: usize) -> anyhow::Result<()> {
        let mut words = std::mem::take(&mut self.words);
        let scene = self.scene(granule)?;
        let mut counts = vec![0; scene.bands.len() * N_LEVELS];
        for unit in from..to {
            words.count(scene, scene.unit(unit), &mut counts)?;
        }
        self.words = words;
        let payload = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        let to_dispenser = Address { rank: 0, mailbox: DISPENSER };
        send(self.post, to_dispenser, &ToDispenser::Counted { granule, from, to }, payload)
    }

    fn cut(
        &mut self,
        granule: usize,
        (from, to): (usize, usize),
        ramps: &[(f64, f64)],
    ) -> anyhow::Result<()> {
        let goes_on = self.open.as_ref().is_some_and(|(open, _)| *open == granule) && self.reached == from;
        if !goes_on {
            self.flush()?;
            self.set_tables(granule, ramps)?;
        }
        self.scene(granule)?;
        for unit in from..to {
            let (_, scene) = self.open.as_ref().context("a scene was opened above")?;
            let lines = scene.unit(unit);
            match scene.source.dtype() {
                Dtype::U8 => self.bytes.cut(scene, lines, &[], &mut self.strips)?,
                _ => self.words.cut(scene, lines, &self.tables, &mut self.strips)?,
            }
            self.send_whole_rows()?;
        }
        self.reached = to;
        self.tell(&ToDispenser::Cut { granule, from });
        Ok(())
    }

    fn set_tables(&mut self, granule: usize, ramps: &[(f64, f64)]) -> anyhow::Result<()> {
        let args = self.task.args;
        let scene = self.scene(granule)?;
        let ramps = match (ramps, scene.source.dtype()) {
            (_, Dtype::U8) => Vec::new(),
            ([], _) => scene.fixed_ramps(args),
            (ends, _) => ends.iter().map(|(low, high)| Ramp::between(*low, *high)).collect(),
        };
        self.tables = ramps.iter().map(Ramp::table).collect();
        Ok(())
    }

    /// The scene of a granule, opened if it was not the last one. Rows in the making must be given away before.
    fn scene(&mut self, granule: usize) -> anyhow::Result<&Scene> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != granule) {
            self.flush()?;
            self.open = Some((granule, Scene::open(self.task.args, &self.task.jobs[granule])?));
        }
        Ok(&self.open.as_ref().context("a scene was opened above")?.1)
    }

    /// Exports, packs and sends the rows of tiles that have all their lines.
    fn send_whole_rows(&mut self) -> anyhow::Result<()> {
        let Some((granule, scene)) = &self.open else { return Ok(()) };
        let whole = self.strips.extract_if(.., |_, strip| strip.is_whole(scene)).map(|(_, strip)| strip);
        let packed = whole.map(|strip| {
            let row = strip.row;
            Ok((row, pack(self.task.args, scene, strip)?))
        });
        let packed = packed.collect::<anyhow::Result<Vec<_>>>()?;
        let (granule, Address { rank, mailbox }) = (*granule, self.inbox.address());
        for (row, (group, tally)) in packed {
            self.send_piece(&ToClerk::Row { granule, row, tally, rank, mailbox }, group.into_bytes())?;
        }
        Ok(())
    }

    /// Gives rows in the making to the owner of the file, where they meet their other lines.
    fn flush(&mut self) -> anyhow::Result<()> {
        let strips = std::mem::take(&mut self.strips);
        self.reached = usize::MAX;
        let Some((granule, scene)) = &self.open else { return Ok(()) };
        let (granule, side) = (*granule, scene.rows.tile_px);
        let Address { rank, mailbox } = self.inbox.address();
        for (row, strip) in strips {
            let (first_line, n_lines) = (strip.lines.start, strip.lines.len());
            let header = ToClerk::Fragment { granule, row, first_line, n_lines, rank, mailbox };
            self.send_piece(&header, strip.to_fragment(side))?;
        }
        Ok(())
    }

    /// Sends a piece to the clerk who owns its granule, once not too many are away.
    fn send_piece(&mut self, header: &ToClerk, payload: Vec<u8>) -> anyhow::Result<()> {
        let (ToClerk::Row { granule, .. } | ToClerk::Fragment { granule, .. }) = header else {
            return Ok(());
        };
        while self.n_away >= MAX_PIECES_AWAY {
            let (letter, _) = open::<ToLane>(self.inbox.receive().context("this rank ends")?)?;
            match letter {
                ToLane::Taken => self.n_away -= 1,
                // A lane that gives away its rows has asked for an order, which may come meanwhile.
                order => self.waiting.push_back(order),
            }
        }
        self.n_away += 1;
        send(self.post, owner(*granule, self.task.n_ranks), header, payload)
    }

    /// Nothing if the dispenser cannot be reached any more.
    fn tell(&self, news: &ToDispenser) -> Option<()> {
        send(self.post, Address { rank: 0, mailbox: DISPENSER }, news, Vec::new()).ok()
    }
}

fn signature(task: Task<'_>, granule: usize) -> anyhow::Result<Vec<(String, String)>> {
    let job = &task.jobs[granule];
    let scene = Scene::open(task.args, job)?;
    Ok(contract::tile_pairs(&scene.meta, &scene.made(task.args, job)?))
}

/// A finished row of tiles as a row group, exported on the way where that is wanted.
///
/// # Errors
/// If its place on the globe is unknown, or a picture cannot be written.
pub fn pack(args: &Args, scene: &Scene, strip: Strip) -> anyhow::Result<(RowGroup, Tally)> {
    let tiles = strip.into_tiles(scene)?;
    let folder = |folder: &'_ Option<std::path::PathBuf>| folder.as_deref().map(Path::to_path_buf);
    for tile in tiles.iter().filter(|_| args.png.is_some() || args.tif.is_some()) {
        export::write(scene, tile, folder(&args.png).as_deref(), folder(&args.tif).as_deref())?;
    }
    let mut tally = Tally::default();
    for tile in &tiles {
        match &tile.skipped {
            Some(reason) => *tally.skipped.entry(reason.clone()).or_default() += 1,
            None => tally.n_ok += 1,
        }
    }
    Ok((encode_row(tiles, &scene.meta), tally))
}

/// Whether the file of a granule is there, made by the same program and flags from the same bytes.
fn is_made(scene: &Scene, args: &Args, job: &Job) -> anyhow::Result<bool> {
    // One that cannot be read is made again.
    let Ok(found) = contract::tags(&job.out) else { return Ok(false) };
    // The file says more of itself: its checksums.
    Ok(contract::tile_pairs(&scene.meta, &scene.made(args, job)?).iter().all(|pair| found.contains(pair)))
}
