//! What the two ends of a stream may say to each other, as each of them sees it.

use super::content::Content;
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::Span;
use bip::proto::handshake;
use bip::proto::message::{Frames, Item, Limits, Message};
use std::collections::{BTreeMap, BTreeSet};

/// A stream that is being read along: its handshake, then its messages.
pub(super) struct Reading {
    shake: Vec<u8>,
    frames: Frames,
    /// The block that is under way, how much of it has passed, and whether that is true.
    block: Option<(Span, usize, bool)>,
    messages: u32,
}

/// What passed in one direction.
#[derive(Debug)]
pub(super) enum Passed<'a> {
    Shaken,
    Message(Message<'a>),
    /// Bytes of a block.
    Bytes(usize),
    /// A block began.
    Begin(Span),
    /// A whole block: whether it is true.
    Block(Span, bool),
}

impl Reading {
    pub(super) fn new(content: &Content) -> Self {
        let limits = Limits::of_torrent(content.geometry.piece_count());
        Self { shake: Vec::new(), frames: Frames::new(limits), block: None, messages: 0 }
    }

    pub(super) fn is_shaken(&self) -> bool {
        self.shake.len() == handshake::LEN
    }

    /// Divides bytes into what they say.
    fn feed(&mut self, content: &Content, mut bytes: &[u8], mut passed: impl FnMut(Passed<'_>, u32)) {
        if !self.is_shaken() {
            let part = bytes.len().min(handshake::LEN - self.shake.len());
            self.shake.extend_from_slice(&bytes[..part]);
            bytes = &bytes[part..];
            if self.is_shaken() {
                assert_eq!(&self.shake[..20], handshake::PROTOCOL);
                assert_eq!(self.shake[28..48], content.info_hash.0, "the handshake names the torrent");
                passed(Passed::Shaken, 0);
            }
        }
        while let Some(item) = self.frames.next(&mut bytes).expect("only messages are sent") {
            match item {
                Item::Message(message) => {
                    passed(Passed::Message(message), self.messages);
                    self.messages += 1;
                }
                Item::Piece(span) => {
                    assert!(content.number(span).is_some(), "{span} is sent and is no block of the torrent");
                    self.block = Some((span, 0, true));
                    passed(Passed::Begin(span), self.messages);
                    self.messages += 1;
                }
                Item::Data(data) => {
                    let (span, at, is_true) = self.block.as_mut().expect("a block began");
                    *is_true &= content.block(*span)[*at..*at + data.len()] == *data;
                    *at += data.len();
                    passed(Passed::Bytes(data.len()), self.messages);
                }
                Item::PieceEnd => {
                    let (span, length, is_true) = self.block.take().expect("a block began");
                    assert_eq!(length, span.length as usize);
                    passed(Passed::Block(span, is_true), self.messages);
                }
            }
        }
    }
}

/// One end of a stream: what its machine said and was told.
pub(super) struct Side {
    pub(super) member: usize,
    pub(super) to: usize,
    sent: Option<Reading>,
    got: Option<Reading>,
    pub(super) closed: bool,
    pub(super) we_choke: bool,
    we_want: bool,
    they_choke: bool,
    pub(super) they_want: bool,
    has: Bitfield,
    told: Bitfield,
    /// Requests that are open, as far as the machine knows.
    asked: BTreeSet<Span>,
    /// Requests that may still be answered, be it that they were cancelled or dropped by a choke.
    owed: BTreeMap<Span, u32>,
    /// The other side's requests that are to be answered.
    owes: BTreeMap<Span, u32>,
    /// In which of its calls the machine was choked last.
    choked_in: u64,
}

/// What an end says that matters beyond its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    /// Bytes of a block were read or written.
    Bytes(usize),
    /// A whole block was read, and whether it is true.
    Block(Span, bool),
}

impl Side {
    pub(super) fn new(content: &Content, member: usize, to: usize) -> Self {
        let pieces = content.geometry.piece_count();
        Self {
            member,
            to,
            sent: Some(Reading::new(content)),
            got: Some(Reading::new(content)),
            closed: false,
            we_choke: true,
            we_want: false,
            they_choke: true,
            they_want: false,
            has: Bitfield::new(pieces),
            told: Bitfield::new(pieces),
            asked: BTreeSet::new(),
            owed: BTreeMap::new(),
            owes: BTreeMap::new(),
            choked_in: 0,
        }
    }

    /// Says whether both sides shook hands and the stream is open.
    pub(super) fn is_open(&self) -> bool {
        let shaken = |reading: &Option<Reading>| reading.as_ref().is_some_and(Reading::is_shaken);
        !self.closed && shaken(&self.sent) && shaken(&self.got)
    }

    pub(super) fn is_served(&self) -> bool {
        !self.closed && !self.we_choke && self.they_want
    }

    pub(super) fn open_requests(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn on_written(
        &mut self,
        content: &Content,
        good: &Bitfield,
        honest: bool,
        call: u64,
        bytes: &[u8],
        mut fact: impl FnMut(Fact),
    ) {
        let mut sent = self.sent.take().expect("a stream is read along once at a time");
        sent.feed(content, bytes, |passed, n| match passed {
            Passed::Message(message) => self.on_said(content, good, call, &message, n),
            Passed::Begin(span) => {
                assert!(good.contains(span.piece), "{span} is sent and is not there");
                assert!(pay(&mut self.owes, span), "{span} is sent and was not asked for, or no longer");
            }
            Passed::Bytes(n) => fact(Fact::Bytes(n)),
            Passed::Block(span, is_true) => assert!(is_true || !honest, "{span} is sent with a wrong byte"),
            Passed::Shaken => {}
        });
        self.sent = Some(sent);
    }

    fn on_said(&mut self, content: &Content, good: &Bitfield, call: u64, message: &Message<'_>, n: u32) {
        match *message {
            Message::Choke => {
                assert!(!std::mem::replace(&mut self.we_choke, true), "choked twice");
                self.owes.clear();
            }
            Message::Unchoke => assert!(std::mem::replace(&mut self.we_choke, false), "unchoked twice"),
            Message::Interested => assert!(!std::mem::replace(&mut self.we_want, true), "interested twice"),
            Message::NotInterested => assert!(std::mem::replace(&mut self.we_want, false), "not interested twice"),
            Message::Have(piece) => {
                assert!(good.contains(piece), "piece {piece} is announced and is not there");
                assert!(self.told.insert(piece), "piece {piece} is announced twice");
            }
            Message::Bitfield(bytes) => {
                let told = Bitfield::from_bytes(bytes, content.geometry.piece_count()).expect("a right bitfield");
                assert_eq!(n, 0, "the bitfield comes first");
                assert_eq!(&told, good, "the bitfield tells what is there");
                self.told = told;
            }
            Message::Request(span) => {
                assert!(content.number(span).is_some(), "{span} is asked for and is no block");
                assert!(self.has.contains(span.piece), "{span} is asked for and not there");
                assert!(!good.contains(span.piece), "{span} is asked for and ours");
                assert!(self.we_want, "{span} is asked for without interest");
                // The choke may have come with what else the machine was given in this call.
                assert!(!self.they_choke || self.choked_in == call, "{span} is asked for while choked");
                *self.owed.entry(span).or_default() += 1;
                assert!(self.they_choke || self.asked.insert(span), "{span} is asked for twice");
            }
            Message::Cancel(span) => {
                assert!(
                    self.asked.remove(&span) || self.choked_in == call,
                    "{span} is cancelled and was not asked for"
                );
            }
            _ => {}
        }
    }

    pub(super) fn on_read(&mut self, content: &Content, call: u64, bytes: &[u8], mut fact: impl FnMut(Fact)) {
        let mut got = self.got.take().expect("a stream is read along once at a time");
        got.feed(content, bytes, |passed, _| match passed {
            Passed::Message(message) => self.on_heard(content, call, &message),
            Passed::Begin(span) => assert!(pay(&mut self.owed, span), "{span} comes and was not asked for"),
            Passed::Bytes(n) => fact(Fact::Bytes(n)),
            Passed::Block(span, is_true) => {
                self.asked.remove(&span);
                fact(Fact::Block(span, is_true));
            }
            Passed::Shaken => {}
        });
        self.got = Some(got);
    }

    fn on_heard(&mut self, content: &Content, call: u64, message: &Message<'_>) {
        match *message {
            Message::Choke => {
                self.they_choke = true;
                self.choked_in = call;
                self.asked.clear();
            }
            Message::Unchoke => self.they_choke = false,
            Message::Interested => self.they_want = true,
            Message::NotInterested => self.they_want = false,
            Message::Have(piece) => drop(self.has.insert(piece)),
            Message::Bitfield(bytes) => {
                self.has = Bitfield::from_bytes(bytes, content.geometry.piece_count()).expect("a right bitfield");
            }
            Message::Request(span) if !self.we_choke => *self.owes.entry(span).or_default() += 1,
            Message::Cancel(span) => drop(pay(&mut self.owes, span)),
            _ => {}
        }
    }
}

/// Takes one of what is owed; says whether it was.
fn pay(owed: &mut BTreeMap<Span, u32>, span: Span) -> bool {
    let Some(count) = owed.get_mut(&span) else { return false };
    *count -= 1;
    if *count == 0 {
        owed.remove(&span);
    }
    true
}
