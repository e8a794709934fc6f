use super::core::{Message, PIECE_HEADER_LEN, decode_piece_header};
use super::limits::{Limits, Spoken, decode_length};
use super::{Error, id};
use crate::proto::geometry::Span;

/// How much of the buffer's room stays with an idle connection, in bytes.
const KEPT_CAPACITY: usize = 1024;

/// What a stream of messages is made of, in the order it comes.
///
/// A piece message is [`Item::Piece`], then [`Item::Data`] as often as it takes, then [`Item::PieceEnd`]; every other message is
/// one [`Item::Message`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole message; never a [`Message::Piece`].
    Message(Message<'a>),
    /// A piece message begins: `length` bytes of block follow, at most [`Limits::block`] and perhaps none.
    Piece(Span),
    /// The next bytes of the block, as many as have come: never none, and all together as many as announced.
    Data(&'a [u8]),
    /// The block's last byte has been given.
    PieceEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between messages, or in one whose first bytes are in the buffer.
    Head,
    /// The buffer's message has been given and may go.
    Given,
    /// Within a block, with so many bytes to come.
    Block(u32),
    /// The stream broke a rule; where its next message begins is not known.
    Failed(Error),
}

/// A step of the stream that borrows nothing from the buffer.
enum Step<'i> {
    Starved,
    Whole(&'i [u8]),
    Buffered,
    Piece(Span),
    Data(&'i [u8]),
    PieceEnd,
}

/// What the first bytes of a message say.
enum Head {
    /// Nothing yet: so many bytes are needed, counted from the message's first.
    Needs(usize),
    /// A message that is so many bytes long, its length included.
    Message(usize),
    /// A piece message whose block begins after its header.
    Piece(Span),
}

/// Divides a stream that comes in parts into messages.
///
/// However the stream is divided, the items are the same (but for how block bytes are divided into [`Item::Data`]).
///
/// - A message that lies whole in the input is borrowed from it. One that is split is gathered in a buffer that holds nothing
///   but that message, so at most four bytes more than the longest message that [`Limits`] allow, and that grows as the bytes
///   come (its room is at most twice what has come), never by what a length promises. A buffer that grew is let go after its message.
/// - A block's bytes are never gathered: [`Item::Data`] is always a part of the input.
/// - A message is refused when its first four bytes (too long for any) or five (too long or wrong for its id) have come.
///   What came before it is given first.
///
/// See the [module's page](super) for an example.
#[derive(Debug, Clone)]
pub struct Frames {
    limits: Limits,
    state: State,
    buffer: Vec<u8>,
}

impl Frames {
    /// Starts at the first byte after the handshake.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Head, buffer: Vec::new() }
    }

    /// Gives the limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Changes the limits for every message that has not been given yet; a block that has begun ends as announced.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Says whether all messages that began have ended: a stream that ends elsewhere was cut off.
    pub fn is_between_messages(&self) -> bool {
        match self.state {
            State::Head => self.buffer.is_empty(),
            State::Given => true,
            State::Block(_) | State::Failed(_) => false,
        }
    }

    /// Gives the next item and moves the front of `input` past it; `None` where more input is needed.
    ///
    /// Call it until it gives `None`: then `input` is empty and may go.
    ///
    /// # Errors
    ///
    /// Fails where a message breaks a limit or has the wrong length for its id, and from then on always with that error.
    pub fn next<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Result<Option<Item<'s>>, Error> {
        let step = self.step(input).and_then(|step| {
            Ok(match step {
                Step::Starved => None,
                Step::Whole(bytes) => Some(Item::Message(decode(bytes, self.limits.spoken)?)),
                Step::Buffered => Some(Item::Message(decode(&self.buffer, self.limits.spoken)?)),
                Step::Piece(span) => Some(Item::Piece(span)),
                Step::Data(data) => Some(Item::Data(data)),
                Step::PieceEnd => Some(Item::PieceEnd),
            })
        });
        if let Err(error) = step {
            self.state = State::Failed(error);
        }
        step
    }

    fn step<'i>(&mut self, input: &mut &'i [u8]) -> Result<Step<'i>, Error> {
        match self.state {
            State::Head => {}
            State::Given => {
                self.buffer.clear();
                self.buffer.shrink_to(KEPT_CAPACITY);
                self.state = State::Head;
            }
            State::Block(0) => {
                self.state = State::Head;
                return Ok(Step::PieceEnd);
            }
            State::Block(_) if input.is_empty() => return Ok(Step::Starved),
            State::Block(left) => {
                let data = take(input, left as usize);
                // Not below 0: `take` gives at most what is asked for.
                self.state = State::Block(left - data.len() as u32);
                return Ok(Step::Data(data));
            }
            State::Failed(error) => return Err(error),
        }
        if self.buffer.is_empty() {
            match head(input, &self.limits)? {
                Head::Message(length) if length <= input.len() => return Ok(Step::Whole(take(input, length))),
                Head::Piece(span) => {
                    take(input, PIECE_HEADER_LEN);
                    self.state = State::Block(span.length);
                    return Ok(Step::Piece(span));
                }
                Head::Needs(_) | Head::Message(_) => {}
            }
        }
        loop {
            let goal = match head(&self.buffer, &self.limits)? {
                Head::Message(length) if length == self.buffer.len() => {
                    self.state = State::Given;
                    return Ok(Step::Buffered);
                }
                Head::Piece(span) => {
                    self.buffer.clear();
                    self.state = State::Block(span.length);
                    return Ok(Step::Piece(span));
                }
                Head::Needs(length) | Head::Message(length) => length,
            };
            if input.is_empty() {
                return Ok(Step::Starved);
            }
            self.buffer.extend_from_slice(take(input, goal.saturating_sub(self.buffer.len())));
        }
    }
}

/// Takes as many bytes from the front of the input, or all where it has fewer.
fn take<'i>(input: &mut &'i [u8], length: usize) -> &'i [u8] {
    let (taken, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    taken
}

/// Reads what a message's first bytes say and refuses it as early as they allow.
fn head(bytes: &[u8], limits: &Limits) -> Result<Head, Error> {
    let Some(prefix) = bytes.first_chunk() else {
        return Ok(Head::Needs(4));
    };
    let length = decode_length(prefix, limits)?;
    if length == 0 {
        return Ok(Head::Message(4));
    }
    let Some(&id) = bytes.get(4) else {
        return Ok(Head::Needs(5));
    };
    limits.check(id, length)?;
    if id != id::PIECE {
        // Saturates only where an address has 32 bits; such a message is never whole.
        return Ok(Head::Message((length as usize).saturating_add(4)));
    }
    match bytes.first_chunk() {
        Some(header) => decode_piece_header(header).map(Head::Piece),
        None => Ok(Head::Needs(PIECE_HEADER_LEN)),
    }
}

/// Reads a whole message, its length first.
fn decode(bytes: &[u8], spoken: Spoken) -> Result<Message<'_>, Error> {
    let body = bytes.get(4..).unwrap_or_default();
    match body.split_first() {
        Some((&id, payload)) if !spoken.knows(id) => Ok(Message::Unknown { id, payload }),
        _ => Message::decode(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::PieceIndex;
    use crate::proto::message::{HashSpan, Hashes};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// An item that owns its bytes; a block's bytes joined.
    #[derive(Debug, Clone, PartialEq, Eq)]
    enum Owned {
        Message(Vec<u8>),
        Piece(Span, Vec<u8>),
        Cut,
    }

    struct Reading {
        frames: Frames,
        items: Vec<Owned>,
        block: Option<(Span, Vec<u8>)>,
    }

    impl Reading {
        fn new(limits: Limits) -> Self {
            Self { frames: Frames::new(limits), items: Vec::new(), block: None }
        }

        fn feed(&mut self, mut input: &[u8]) -> Result<(), Error> {
            while let Some(item) = self.frames.next(&mut input)? {
                match item {
                    Item::Message(message) => {
                        assert!(!matches!(message, Message::Piece { .. }));
                        let mut bytes = Vec::new();
                        message.encode(&mut bytes);
                        self.items.push(Owned::Message(bytes));
                    }
                    Item::Piece(span) => assert!(self.block.replace((span, Vec::new())).is_none()),
                    Item::Data(data) => {
                        assert!(!data.is_empty());
                        self.block.as_mut().expect("a piece has begun").1.extend_from_slice(data);
                    }
                    Item::PieceEnd => {
                        let (span, bytes) = self.block.take().expect("a piece has begun");
                        assert_eq!(bytes.len(), span.length as usize);
                        self.items.push(Owned::Piece(span, bytes));
                    }
                }
            }
            assert!(input.is_empty());
            Ok(())
        }

        fn finish(mut self) -> Vec<Owned> {
            if !self.frames.is_between_messages() {
                self.items.push(Owned::Cut);
            }
            self.items
        }
    }

    fn read<'a>(limits: Limits, parts: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, Option<Error>) {
        let mut reading = Reading::new(limits);
        for part in parts {
            if let Err(error) = reading.feed(part) {
                assert_eq!(reading.feed(&[]), Err(error), "an error is final");
                assert_eq!(reading.feed(&[0; 4]), Err(error), "an error is final");
                return (reading.items, Some(error));
            }
        }
        (reading.finish(), None)
    }

    fn one_of_each() -> (Vec<u8>, Vec<Owned>) {
        let span = Span { piece: PieceIndex(1), begin: 2, length: 3 };
        let (mut stream, mut items) = (Vec::new(), Vec::new());
        for message in [
            Message::KeepAlive,
            Message::Bitfield(&[0xf0, 0x80]),
            Message::Choke,
            Message::Unchoke,
            Message::Piece { piece: PieceIndex(8), begin: 9, data: b"a block of bytes" },
            Message::Interested,
            Message::NotInterested,
            Message::Have(PieceIndex(77)),
            Message::Piece { piece: PieceIndex(0), begin: 0, data: b"" },
            Message::Request(span),
            Message::Extended { id: 0, payload: b"d1:md11:ut_metadatai1eee" },
            Message::Cancel(span),
            Message::HaveAll,
            Message::HaveNone,
            Message::Suggest(PieceIndex(5)),
            Message::AllowedFast(PieceIndex(6)),
            Message::Reject(span),
            Message::Hashes(Hashes::new(&[3; 48], &[4; 32]).unwrap()),
            Message::HashRequest(HashSpan::from_bytes(&[3; 48])),
            Message::HashReject(HashSpan::from_bytes(&[5; 48])),
            Message::Unknown { id: 10, payload: b"xyz" },
            Message::Unknown { id: 24, payload: b"" },
            Message::Port(6881),
            Message::KeepAlive,
        ] {
            let start = stream.len();
            message.encode(&mut stream);
            items.push(match message {
                Message::Piece { piece, begin, data } => {
                    Owned::Piece(Span { piece, begin, length: data.len() as u32 }, data.to_vec())
                }
                _ => Owned::Message(stream[start..].to_vec()),
            });
        }
        (stream, items)
    }

    #[test]
    fn a_stream_in_one_part_gives_every_message() {
        let (stream, items) = one_of_each();
        // There is no id with a meaning that is not in it.
        let ids = items.iter().filter_map(|item| match item {
            Owned::Message(bytes) => bytes.get(4).copied(),
            Owned::Piece(..) => Some(id::PIECE),
            Owned::Cut => None,
        });
        let ids: BTreeSet<u8> = ids.collect();
        assert!((0..=9).chain(13..=17).chain(20..=23).all(|id| ids.contains(&id)), "{ids:?}");
        assert_eq!(read(Limits::default(), [&stream[..]]), (items, None));
    }

    #[test]
    fn a_stream_split_at_any_byte_gives_the_same_messages() {
        let (stream, items) = one_of_each();
        for at in 0..=stream.len() {
            let (first, second) = stream.split_at(at);
            assert_eq!(read(Limits::default(), [first, second]), (items.clone(), None), "split at {at}");
        }
    }

    #[test]
    fn a_stream_split_at_any_two_bytes_gives_the_same_messages() {
        let (stream, items) = one_of_each();
        for at in 0..=stream.len() {
            for then in at..=stream.len() {
                let parts = [&stream[..at], &stream[at..then], &stream[then..]];
                assert_eq!(read(Limits::default(), parts), (items.clone(), None), "split at {at} and {then}");
            }
        }
    }

    #[test]
    fn a_stream_byte_by_byte_gives_the_same_messages() {
        let (stream, items) = one_of_each();
        for size in 1..20 {
            assert_eq!(read(Limits::default(), stream.chunks(size)), (items.clone(), None));
        }
    }

    #[test]
    fn a_whole_message_and_every_block_byte_lie_in_the_input() {
        let mut stream = Vec::new();
        Message::Bitfield(&[1; 100]).encode(&mut stream);
        Message::Piece { piece: PieceIndex(8), begin: 9, data: &[2; 100] }.encode(&mut stream);
        let range = stream.as_ptr_range();
        let mut frames = Frames::new(Limits::default());
        let mut borrowed = 0;
        for part in [&stream[..110], &stream[110..150], &stream[150..]] {
            let mut input = part;
            while let Some(item) = frames.next(&mut input).unwrap() {
                if let Item::Message(Message::Bitfield(bytes)) | Item::Data(bytes) = item {
                    assert!(range.contains(&bytes.as_ptr()));
                    borrowed += bytes.len();
                }
            }
        }
        assert_eq!(borrowed, 200);
    }

    #[test]
    fn the_buffer_grows_with_what_came_and_is_let_go() {
        let limits = Limits::default();
        let mut stream = Vec::new();
        Message::Extended { id: 7, payload: &vec![0; limits.extended as usize - 1] }.encode(&mut stream);
        let mut frames = Frames::new(limits);
        let mut given = 0;
        for (at, part) in stream.chunks(1000).enumerate() {
            let mut input = part;
            while let Some(item) = frames.next(&mut input).unwrap() {
                assert!(matches!(item, Item::Message(Message::Extended { id: 7, .. })));
                given += 1;
            }
            assert!(frames.buffer.capacity() <= 2 * 1000 * (at + 1));
        }
        assert_eq!(given, 1);
        assert!(frames.buffer.capacity() <= KEPT_CAPACITY);
    }

    #[test]
    fn a_length_of_four_gib_is_refused_at_the_prefix() {
        let limits = Limits::default();
        let error = Error::LengthOverLimit { length: u32::MAX, limit: limits.longest() };
        let mut stream = Vec::new();
        Message::Unchoke.encode(&mut stream);
        stream.extend([0xff; 4]);
        let before = Owned::Message(vec![0, 0, 0, 1, 1]);
        assert_eq!(read(limits, [&stream[..]]), (vec![before.clone()], Some(error)));
        assert_eq!(read(limits, stream.chunks(1)), (vec![before.clone()], Some(error)));
        assert_eq!(read(limits, [&stream[..8]]), (vec![before, Owned::Cut], None));
    }

    #[test]
    fn a_message_over_its_own_limit_is_refused_at_its_id() {
        let limits = Limits { block: 100, bitfield: 50, extended: 60, hashes: 2, other: 1000, ..Limits::default() };
        let longest = [(id::PIECE, 109), (id::BITFIELD, 51), (id::EXTENDED, 61), (id::HASHES, 113), (77, 1001)];
        for (id, longest) in longest {
            let head = |length: u32| [&length.to_be_bytes()[..], &[id]].concat();
            assert_eq!(read(limits, [&head(longest)[..]]), (vec![Owned::Cut], None));
            let error = match id {
                id::HASHES => Error::WrongLength { id, length: longest + 1, expected: 49 },
                77 => Error::LengthOverLimit { length: longest + 1, limit: limits.longest() },
                _ => Error::TooLong { id, length: longest + 1, limit: longest },
            };
            assert_eq!(read(limits, [&head(longest + 1)[..]]), (vec![], Some(error)));
        }
    }

    #[test]
    fn a_wrong_length_is_refused_at_its_id() {
        let fixed = [(0, 1), (1, 1), (2, 1), (3, 1), (4, 5), (6, 13), (8, 13), (9, 3)];
        let fast_and_hashes = [(13, 5), (14, 1), (15, 1), (16, 13), (17, 5), (21, 49), (23, 49)];
        for (id, right) in fixed.into_iter().chain(fast_and_hashes) {
            for length in 1..60u8 {
                let refused = read(Limits::default(), [&[0, 0, 0, length, id][..]]).1;
                let error = Error::WrongLength { id, length: length.into(), expected: right };
                assert_eq!(refused, (u32::from(length) != right).then_some(error));
            }
        }
        for length in 1..9u8 {
            let error = Error::WrongLength { id: id::PIECE, length: length.into(), expected: 9 };
            assert_eq!(read(Limits::default(), [&[0, 0, 0, length, id::PIECE][..]]).1, Some(error));
        }
    }

    #[test]
    fn what_was_not_agreed_on_is_unknown_whatever_its_length() {
        let limits = Limits { spoken: Spoken::NONE, other: 60, ..Limits::default() };
        for id in [13, 14, 15, 16, 17, 20, 21, 22, 23, 24, 255] {
            for length in 1..=61u8 {
                let bytes = [&[0, 0, 0, length, id][..], &[7; 60][..usize::from(length) - 1]].concat();
                for at in 0..=bytes.len() {
                    let (mut first, mut second) = bytes.split_at(at);
                    let mut frames = Frames::new(limits);
                    let message = Item::Message(Message::Unknown { id, payload: &bytes[5..] });
                    if at < bytes.len() {
                        assert_eq!(frames.next(&mut first), Ok(None));
                        assert_eq!(frames.next(&mut second), Ok(Some(message)));
                    } else {
                        assert_eq!(frames.next(&mut first), Ok(Some(message)));
                    }
                }
            }
            // Another could be as long as that.
            let error = Error::TooLong { id, length: 62, limit: 61 };
            assert_eq!(Frames::new(limits).next(&mut &[0, 0, 0, 62, id][..]), Err(error));
        }
    }

    #[test]
    fn each_extension_is_agreed_on_by_itself() {
        let none = Spoken::NONE;
        for (spoken, ids) in [
            (Spoken { fast: true, ..none }, &[13, 14, 15, 16, 17][..]),
            (Spoken { extended: true, ..none }, &[20]),
            (Spoken { hashes: true, ..none }, &[21, 22, 23]),
        ] {
            for id in 10..30 {
                // No message that is spoken has three bytes, but for an extended one.
                let mut frames = Frames::new(Limits { spoken, ..Limits::default() });
                let mut input = &[0, 0, 0, 3, id, 1, 2][..];
                let item = frames.next(&mut input);
                let unknown = matches!(item, Ok(Some(Item::Message(Message::Unknown { .. }))));
                assert_eq!(unknown, !ids.contains(&id), "{id}: {item:?}");
            }
        }
    }

    #[test]
    fn no_bitfield_is_taken_once_none_is_expected() {
        let mut frames = Frames::new(Limits::of_torrent(8));
        let mut input = &[0, 0, 0, 2, 5, 0xff, 0, 0, 0, 2, 5, 0xff][..];
        assert_eq!(frames.next(&mut input), Ok(Some(Item::Message(Message::Bitfield(&[0xff])))));
        frames.set_limits(Limits { bitfield: 0, ..*frames.limits() });
        assert_eq!(frames.next(&mut input), Err(Error::TooLong { id: id::BITFIELD, length: 2, limit: 1 }));
    }

    #[test]
    fn a_stream_cut_within_a_message_is_known_to_be() {
        let (stream, _) = one_of_each();
        let whole = read(Limits::default(), [&stream[..]]).0.len();
        let cuts =
            (0..stream.len()).filter(|at| read(Limits::default(), [&stream[..*at]]).0.last() != Some(&Owned::Cut));
        // The empty stream, and the ends of all messages but the last.
        assert_eq!(cuts.count(), whole);
    }

    fn any_message() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..60);
        let span = || (any::<u32>(), any::<u32>(), any::<u32>());
        let span = || span().prop_map(|(piece, begin, length)| Span { piece: PieceIndex(piece), begin, length });
        let encoded = |message: Message<'_>| {
            let mut out = Vec::new();
            message.encode(&mut out);
            out
        };
        prop_oneof![
            (0..5usize).prop_map(move |i| encoded(
                [Message::KeepAlive, Message::Choke, Message::Unchoke, Message::Interested, Message::NotInterested][i]
            )),
            any::<u32>().prop_map(move |piece| encoded(Message::Have(PieceIndex(piece)))),
            bytes().prop_map(move |bits| encoded(Message::Bitfield(&bits))),
            span().prop_map(move |span| encoded(Message::Request(span))),
            span().prop_map(move |span| encoded(Message::Cancel(span))),
            any::<u16>().prop_map(move |port| encoded(Message::Port(port))),
            (any::<u32>(), any::<u32>(), bytes()).prop_map(move |(piece, begin, data)| encoded(Message::Piece {
                piece: PieceIndex(piece),
                begin,
                data: &data
            })),
            any::<u32>().prop_map(move |piece| encoded(Message::AllowedFast(PieceIndex(piece)))),
            span().prop_map(move |span| encoded(Message::Reject(span))),
            (any::<u8>(), bytes()).prop_map(move |(id, payload)| encoded(Message::Extended { id, payload: &payload })),
            (any::<[u8; 16]>(), 0..3usize).prop_map(move |(bytes, count)| {
                let (root, hashes) = ([bytes, bytes, bytes].concat(), vec![7; 32 * count]);
                let hashes = root.first_chunk().and_then(|span| Hashes::new(span, &hashes));
                encoded(Message::Hashes(hashes.expect("hashes are whole")))
            }),
            (24..=255u8, bytes()).prop_map(move |(id, payload)| encoded(Message::Unknown { id, payload: &payload })),
        ]
    }

    proptest! {
        #[test]
        fn any_messages_in_any_parts_are_read_back(
            messages in prop::collection::vec(any_message(), 0..12),
            sizes in prop::collection::vec(1..50usize, 1..8),
        ) {
            let stream = messages.concat();
            let mut rest = &stream[..];
            let parts = sizes.iter().cycle().map_while(|size| (!rest.is_empty()).then(|| take(&mut rest, *size)));
            let (items, error) = read(Limits::default(), parts);
            prop_assert_eq!(error, None);
            let written: Vec<_> = items.iter().map(|item| match item {
                Owned::Message(bytes) => bytes.clone(),
                Owned::Piece(span, data) => {
                    let mut out = Vec::new();
                    super::super::encode_piece_header(*span, &mut out);
                    out.extend(data);
                    out
                }
                Owned::Cut => Vec::new(),
            }).collect();
            prop_assert_eq!(written, messages);
        }

        #[test]
        fn garbage_in_any_parts_gives_the_same_items_and_error(
            heads in prop::collection::vec((0..60u32, 0..24u8, prop::collection::vec(any::<u8>(), 0..16)), 0..6),
            size in 1..9usize,
        ) {
            let stream: Vec<u8> = heads.iter().flat_map(|(length, id, body)| {
                length.to_be_bytes().into_iter().chain([*id]).chain(body.iter().copied())
            }).collect();
            prop_assert_eq!(read(Limits::default(), stream.chunks(size)), read(Limits::default(), [&stream[..]]));
        }
    }
}
