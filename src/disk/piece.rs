//! A piece that is not complete: which of its bytes are written, and what waits.

use super::config::JOB_BYTES;
use super::hash_state::HashState;
use super::interval::IntervalSet;
use super::job::Part;
use crate::machine::Block;
use crate::proto::geometry::Span;
use std::collections::VecDeque;
use std::ops::Range;

/// How many blocks one job takes at most.
const BATCH: usize = 1024;
/// What is worth a job of its own before the piece is there: so many bytes that can be hashed at once.
const RUN: u32 = 256 << 10;

/// A block that is to be written, or that waits for others that hold its bytes.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) span: Span,
    block: Block,
    /// What nobody wrote before it. The first to bring a byte wins: a byte that is hashed must not change on disk.
    gaps: Vec<Range<u32>>,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.gaps.iter().map(|g| g.len()).sum()
    }
}

/// A piece that is not complete.
///
/// At most one job works on it at a time, for jobs have no order. Blocks that come meanwhile wait and go together with the next.
#[derive(Debug)]
pub(crate) struct Partial {
    length: u32,
    /// Bytes that are written, being written, or waiting to be.
    claimed: IntervalSet,
    /// Bytes that are written or being written.
    written: IntervalSet,
    pending: VecDeque<Entry>,
    /// The blocks of the job under way; none for a job that only hashes.
    in_flight: Option<Vec<Entry>>,
    hash: HashState,
    /// Whether what the job under way hashes is not to be relied on.
    distrusted: bool,
    /// The block that completed the piece, to be answered with the verdict.
    last: Option<Span>,
    /// Whether the piece waits in its torrent's queue.
    pub(crate) queued: bool,
    /// Whether it is among those that are held for more to come.
    pub(crate) held: bool,
    /// Whether what it holds is to be written however little it is.
    flush: bool,
}

/// What a piece wants done next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A job: write these parts (perhaps none), then hash on.
    Job { parts: Vec<Part>, hash: HashState, until: u32 },
    /// These blocks hold nothing new, and what they hold is written.
    Kept(Vec<Span>),
}

/// What the end of a job means.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Blocks that are written.
    pub(crate) kept: Vec<Span>,
    /// The block that completed the piece, and the piece's hashes.
    pub(crate) complete: Option<(Span, HashState)>,
}

impl Partial {
    pub(crate) fn new(length: u32, hash: HashState) -> Self {
        Self {
            length,
            claimed: IntervalSet::default(),
            written: IntervalSet::default(),
            pending: VecDeque::new(),
            in_flight: None,
            hash,
            distrusted: false,
            last: None,
            queued: false,
            held: false,
            flush: false,
        }
    }

    /// Makes a piece of which these bytes are written already; their hash is not known.
    pub(crate) fn written(length: u32, hash: HashState, ranges: &[Range<u32>]) -> Self {
        let mut partial = Self::new(length, hash);
        for range in ranges {
            partial.written.insert(range.clone());
            partial.claimed.insert(range.clone());
        }
        partial
    }

    /// Gives the bytes that are written and have been answered for.
    pub(crate) fn settled(&self) -> Vec<Range<u32>> {
        let mut settled = self.written.clone();
        let under_way = self.in_flight.iter().flatten().flat_map(|entry| entry.gaps.iter().cloned());
        under_way.chain(self.last.map(range)).for_each(|range| settled.remove(range));
        settled.iter().collect()
    }

    /// Forgets the last bytes, so many.
    pub(crate) fn forget_end(&mut self, length: u32) {
        let end = self.length.saturating_sub(length)..self.length;
        self.forget(&[end]);
    }

    /// Has the whole piece read back when it is complete: what was hashed when it was written may not be there.
    pub(crate) fn distrust(&mut self) {
        self.hash.restart();
        self.distrusted = self.in_flight.is_some();
    }

    /// Gives how many ranges are remembered.
    pub(crate) fn ranges(&self) -> usize {
        self.claimed.len()
    }

    /// Says whether all bytes of a span are claimed already.
    pub(crate) fn holds(&self, span: Span) -> bool {
        self.claimed.covers(range(span))
    }

    /// Says whether nothing is known of the piece any more.
    pub(crate) fn is_blank(&self) -> bool {
        self.claimed.len() == 0 && self.pending.is_empty() && self.in_flight.is_none()
    }

    /// Takes a block; gives how many bytes of it wait to be written.
    pub(crate) fn accept(&mut self, span: Span, block: Block) -> usize {
        let gaps = self.claimed.gaps(range(span));
        gaps.iter().for_each(|gap| self.claimed.insert(gap.clone()));
        let entry = Entry { span, block, gaps };
        let bytes = entry.bytes();
        self.pending.push_back(entry);
        bytes
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.written.covers(0..self.length)
    }

    /// Says whether there is something to do and no job is under way.
    pub(crate) fn is_ready(&self) -> bool {
        self.in_flight.is_none() && (self.last.is_some() || !self.pending.is_empty())
    }

    /// Says whether a job would be worth it by itself: the piece is there, or a good run of it.
    pub(crate) fn is_due(&self) -> bool {
        self.flush || self.last.is_some() || self.claimed.covers(0..self.length) || {
            let at = self.hashable();
            self.run_end(at) - at >= RUN
        }
    }

    /// Has what it holds written with the next jobs.
    pub(crate) fn flush(&mut self) {
        self.held = false;
        self.flush = !self.pending.is_empty();
    }

    /// Gives where the bytes end that are hashed or can be.
    fn hashable(&self) -> u32 {
        self.written.end_from(self.hash.at())
    }

    /// Gives where the bytes end that follow, written or waiting.
    fn run_end(&self, at: u32) -> u32 {
        self.claimed.end_from(at)
    }

    /// Gives what is to be done next, and how many bytes no longer wait.
    pub(crate) fn next(&mut self) -> Option<(Next, usize)> {
        if !self.is_ready() {
            return None;
        }
        // What lies behind a gap waits for what is missing, unless all is to go.
        let until = if self.flush { self.length } else { self.run_end(self.hashable()) };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        // Once the piece is complete, blocks that hold nothing new wait for the verdict.
        if self.last.is_none() {
            let mut full = false;
            for entry in std::mem::take(&mut self.pending) {
                full |= batch.len() == BATCH || bytes + entry.bytes() > JOB_BYTES as usize;
                if full || entry.span.begin >= until {
                    self.pending.push_back(entry);
                } else {
                    bytes += entry.bytes();
                    batch.push(entry);
                }
            }
        }
        self.flush &= !self.pending.is_empty();
        self.held &= !self.pending.is_empty();
        if bytes == 0 && self.last.is_none() {
            return Some((Next::Kept(batch.iter().map(|e| e.span).collect()), 0));
        }
        let mut parts = Vec::with_capacity(batch.len());
        for entry in &batch {
            for gap in &entry.gaps {
                self.written.insert(gap.clone());
                let start = (gap.start - entry.span.begin) as usize;
                parts.push(Part { begin: gap.start, block: entry.block.clone(), range: start..start + gap.len() });
            }
        }
        // In order they take the fewest calls, and the hash goes on without reading back what is in memory.
        parts.sort_unstable_by_key(|part| part.begin);
        self.in_flight = Some(batch);
        let until = self.written.end_from(self.hash.at());
        Some((Next::Job { parts, hash: self.hash.clone(), until }, bytes))
    }

    /// Takes the end of a job that went well.
    pub(crate) fn on_done(&mut self, hash: HashState) -> Progress {
        let mut spans: Vec<Span> = self.in_flight.take().unwrap_or_default().into_iter().map(|e| e.span).collect();
        if !std::mem::take(&mut self.distrusted) {
            self.hash = hash;
        }
        if self.last.is_none() && self.is_complete() {
            self.last = spans.pop();
        }
        let complete = match self.last {
            Some(last) if self.hash.is_through() => {
                let hash = self.hash.clone();
                self.hash.restart();
                Some((last, hash))
            }
            _ => None,
        };
        Progress { kept: spans, complete }
    }

    /// Has the piece wait until it is ended: no other job of it begins.
    pub(crate) fn hold(&mut self) {
        self.in_flight = Some(Vec::new());
    }

    /// Takes the end of a job that failed; gives the blocks that are not written.
    pub(crate) fn on_failed(&mut self) -> Vec<Span> {
        let failed = self.in_flight.take().unwrap_or_default();
        self.distrusted = false;
        for entry in &failed {
            self.forget(&entry.gaps);
        }
        let mut spans: Vec<Span> = failed.iter().map(|e| e.span).collect();
        if let Some(last) = self.last.take() {
            // The block that completed the piece will be sent again, and completes it again.
            self.forget(&[range(last)]);
            if self.hash.at() > last.begin {
                self.hash.restart();
            }
            spans.push(last);
        }
        spans
    }

    fn forget(&mut self, ranges: &[Range<u32>]) {
        for range in ranges {
            self.claimed.remove(range.clone());
            self.written.remove(range.clone());
        }
    }

    /// Gives up what waits; gives the blocks and how many bytes of them waited.
    pub(crate) fn drop_pending(&mut self) -> (Vec<Span>, usize) {
        let dropped = std::mem::take(&mut self.pending);
        for entry in &dropped {
            entry.gaps.iter().for_each(|gap| self.claimed.remove(gap.clone()));
        }
        (dropped.iter().map(|e| e.span).collect(), dropped.iter().map(Entry::bytes).sum())
    }

    /// Ends the piece; gives the blocks that waited for the verdict.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = (Span, Block)> {
        self.pending.into_iter().map(|e| (e.span, e.block))
    }
}

fn range(span: Span) -> Range<u32> {
    // Spans are checked against the torrent's geometry before they come here.
    span.begin..span.begin + span.length
}
