use bip::proto::extension::metadata::{Assembly, Message, PIECE_LENGTH, Piece, Refused, Size, Source};
use bip::proto::extension::{Id, Limits};
use std::collections::BTreeSet;

/// The whole is a payload; and it is a script: three bytes for the size of an `info` dictionary, then for each step a piece and what is
/// wrong with it.
///
/// What is read is written so that it is read again and obeys its limits. An assembly takes exactly what fits, knows what is missing,
/// and ends with what the source has.
pub fn ut_metadata(data: &[u8]) {
    let limits = Limits::default();
    if let Ok(message) = Message::decode(data, &limits) {
        if let Message::Data { piece, total_size, data } = message {
            assert!((1..=PIECE_LENGTH as usize).contains(&data.len()));
            assert!(total_size.is_none_or(|size| size.length_of(piece) == Some(data.len() as u32)));
            assert!(total_size.is_none_or(|size| size.get() <= limits.metadata));
        }
        let mut out = Vec::new();
        message.encode(Id::new(1).expect("not 0"), &mut out);
        assert_eq!(out[..4], (out.len() as u32 - 4).to_be_bytes());
        assert_eq!(Message::decode(&out[6..], &limits), Ok(message));
    }
    script(data);
}

fn script(data: &[u8]) {
    let Some(([a, b, c], mut steps)) = data.split_first_chunk() else { return };
    // Up to twelve pieces; every second dictionary ends at a piece's end or next to it.
    let length = match u32::from_be_bytes([0, *a, *b, *c]) % 200_000 {
        near if near % 2 == 0 => near / PIECE_LENGTH * PIECE_LENGTH + near % 3,
        length => length,
    };
    let info: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    let Some(source) = Source::new(&info) else {
        assert_eq!(length, 0);
        return;
    };
    let (size, mut assembly, mut there) = (source.size(), Assembly::new(source.size()), BTreeSet::new());
    while let Some(([piece, fault], rest)) = steps.split_first_chunk() {
        steps = rest;
        let piece = Piece(if *piece == 255 { u32::MAX } else { u32::from(*piece) % 14 });
        let Message::Data { total_size, data, .. } = source.answer(piece) else {
            assert_eq!((size.length_of(piece), source.answer(piece)), (None, Message::Reject(piece)));
            assert_eq!(assembly.insert(piece, None, b"x"), Err(Refused::OutOfRange(piece)));
            continue;
        };
        let inserted = match fault % 8 {
            0 => assembly.insert(piece, None, &data[1..]),
            1 => assembly.insert(piece, None, &[data, b"x"].concat()),
            2 => assembly.insert(piece, Size::new(i64::from(size.get()) + 1, u32::MAX), data),
            3 if *fault > 250 => {
                assembly.clear();
                there.clear();
                continue;
            }
            _ => {
                assert_eq!(assembly.insert(piece, total_size, data), Ok(there.insert(piece)));
                Err(Refused::OutOfRange(piece))
            }
        };
        assert!(inserted.is_err(), "what does not fit was taken");
        check(&assembly, &there, &info);
    }
    for piece in (0..size.piece_count()).rev().map(Piece) {
        let Message::Data { data, .. } = source.answer(piece) else { panic!("a piece is not served") };
        assert_eq!(assembly.insert(piece, None, data), Ok(there.insert(piece)));
        check(&assembly, &there, &info);
    }
    assert_eq!(assembly.into_bytes(), Some(info));
}

fn check(assembly: &Assembly, there: &BTreeSet<Piece>, info: &[u8]) {
    let size = assembly.size();
    let missing: Vec<_> = (0..size.piece_count()).map(Piece).filter(|piece| !there.contains(piece)).collect();
    assert_eq!(assembly.missing().collect::<Vec<_>>(), missing);
    assert_eq!(assembly.received(), there.iter().filter_map(|piece| size.length_of(*piece)).sum());
    assert_eq!(assembly.bytes(), missing.is_empty().then_some(info));
}
