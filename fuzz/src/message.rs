use bip::proto::geometry::Span;
use bip::proto::message::{Error, Frames, HashSpan, Item, Limits, Message, Spoken, encode_piece_header};

/// The first byte chooses the limits and what is spoken, the next four say in what parts the rest comes.
///
/// In parts as in one the items are the same; items encode to the very bytes they came from; whole input is never copied; and
/// each message obeys its limit.
pub fn message(data: &[u8]) {
    let Some(([choice, sizes @ ..], stream)) = data.split_first_chunk::<5>() else { return };
    let bit = |bit: u8| *choice & (1 << bit) == 0;
    let spoken = Spoken { fast: bit(5), extended: bit(6), hashes: bit(7) };
    let limits = match choice % 4 {
        0 => Limits::default(),
        1 => Limits::of_torrent(u32::from(*choice)),
        2 => Limits { block: 20, bitfield: 0, extended: 48, hashes: 2, other: 64, spoken },
        _ => {
            let most = u32::MAX;
            Limits { block: most, bitfield: most, extended: most, hashes: most, other: most, spoken }
        }
    };
    let limits = Limits { spoken, ..limits };
    let whole = read(limits, std::iter::once(stream).filter(|s| !s.is_empty()), Some(stream));
    assert!(stream.starts_with(&whole.encoded), "what was read is not what was sent");
    assert_eq!(read(limits, crate::parts(stream, sizes), None), whole);
    if stream.len() < 1024 {
        assert_eq!(read(limits, stream.chunks(1), None), whole);
    }
    if whole.error.is_none() && whole.ended_between {
        assert_eq!(whole.encoded.len(), stream.len(), "bytes were lost");
    }
    // The same bytes as one message's payload, without a stream around them.
    if let Ok(message) = Message::decode(stream) {
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(&out[4..], stream);
    }
}

/// What is right in some file is right in a bigger one, and on its own; and it is answered with a bounded number of hashes.
fn sound(span: HashSpan<'_>) {
    let right: Vec<_> =
        [1, 2, 3, 1000, u64::from(u32::MAX), u64::MAX].map(|blocks| span.check_in(blocks).is_ok()).into();
    assert!(right.is_sorted(), "right in a small file and wrong in a big one");
    if right.last() == Some(&true) {
        assert_eq!(span.check(), Ok(()));
        assert!((2..=512 + 64).contains(&span.hash_count()));
    }
}

/// What came of a stream. `encoded` ends within a block where the stream did.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    items: usize,
    encoded: Vec<u8>,
    error: Option<Error>,
    ended_between: bool,
}

fn read<'a>(limits: Limits, parts: impl Iterator<Item = &'a [u8]>, within: Option<&[u8]>) -> Outcome {
    let borrowed = |bytes: &[u8]| {
        let inside = within.is_none_or(|stream| stream.as_ptr_range().contains(&bytes.as_ptr()));
        assert!(bytes.is_empty() || inside, "bytes were copied");
    };
    let mut frames = Frames::new(limits);
    let mut outcome = Outcome { items: 0, encoded: Vec::new(), error: None, ended_between: true };
    // The block being read, and how much of it is still to come.
    let mut block: Option<(Span, usize)> = None;
    'stream: for mut part in parts {
        loop {
            let item = match frames.next(&mut part) {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(frames.next(&mut &[][..]), Err(error), "an error is final");
                    outcome.error = Some(error);
                    break 'stream;
                }
            };
            match item {
                Item::Message(message) => {
                    assert_eq!(block, None, "a message within a block");
                    match message {
                        Message::Piece { .. } => panic!("a whole piece"),
                        Message::Bitfield(bits) => {
                            assert!(bits.len() <= limits.bitfield as usize);
                            borrowed(bits);
                        }
                        Message::Extended { payload, .. } => {
                            // A payload of nothing is always taken.
                            assert!(payload.len() < limits.extended.max(1) as usize);
                            borrowed(payload);
                        }
                        Message::HashRequest(span) | Message::HashReject(span) => sound(span),
                        Message::Hashes(hashes) => {
                            sound(hashes.span());
                            assert!(hashes.len() <= limits.hashes as usize);
                            assert_eq!(hashes.iter().count(), hashes.len());
                            borrowed(hashes.as_bytes());
                        }
                        Message::Unknown { id, payload } => {
                            let unspoken = match id {
                                13..=17 => !limits.spoken.fast,
                                20 => !limits.spoken.extended,
                                21..=23 => !limits.spoken.hashes,
                                _ => id > 9,
                            };
                            assert!(unspoken && payload.len() <= limits.other as usize);
                            borrowed(payload);
                        }
                        _ => {}
                    }
                    message.encode(&mut outcome.encoded);
                    outcome.items += 1;
                }
                Item::Piece(span) => {
                    assert!(span.length <= limits.block);
                    assert_eq!(block.replace((span, span.length as usize)), None, "a block within a block");
                    encode_piece_header(span, &mut outcome.encoded);
                    outcome.items += 1;
                }
                Item::Data(data) => {
                    let (_, left) = block.as_mut().expect("data comes after its piece");
                    *left = left.checked_sub(data.len()).expect("no more data than announced");
                    assert!(!data.is_empty());
                    borrowed(data);
                    outcome.encoded.extend_from_slice(data);
                }
                Item::PieceEnd => {
                    assert!(matches!(block.take(), Some((_, 0))), "a piece ended early or twice");
                }
            }
        }
        assert!(part.is_empty(), "input was left");
    }
    outcome.ended_between = frames.is_between_messages();
    outcome
}
