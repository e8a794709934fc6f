//! Known good and bad inputs, each read in every way that there is: by a document, by a cursor that skips all, by a cursor whose user
//! reads all.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A way of reading an element.
type Way = fn(Item<'_, '_>) -> Result<Option<Tree>, Error>;

/// Reads an element through a cursor's items, whatever it is.
fn read_item(item: Item<'_, '_>) -> Result<Tree, Error> {
    Ok(match item.kind()? {
        Kind::Integer => Tree::Int(item.int()?),
        Kind::Bytes => Tree::Bytes(item.bytes()?.to_vec()),
        Kind::List => {
            let (mut list, mut out) = (item.list()?, Vec::new());
            while let Some(item) = list.next()? {
                out.push(read_item(item)?);
            }
            Tree::List(out)
        }
        Kind::Dict => {
            let (mut dict, mut out) = (item.dict()?, BTreeMap::new());
            while let Some((key, item)) = dict.next()? {
                let tree = read_item(item)?;
                out.entry(key.to_vec()).or_insert(tree);
            }
            Tree::Dict(out)
        }
    })
}

/// The same through functions, but without the values.
fn go_through(item: Item<'_, '_>) -> Result<(), Error> {
    match item.kind()? {
        Kind::List => item.each_item(go_through),
        Kind::Dict => item.each_entry(|_, item| go_through(item)),
        // Every other element is left to the cursor.
        Kind::Integer => Ok(()),
        Kind::Bytes => item.bytes().map(drop),
    }
}

const SOME_KEYS: [&str; 4] = ["", "a", "aa", "q"];

/// The same, and of dictionaries only the values of some keys.
fn go_through_known(item: Item<'_, '_>) -> Result<(), Error> {
    match item.kind()? {
        Kind::List => item.each_item(go_through_known),
        Kind::Dict => item.each_of(SOME_KEYS, |_, item| go_through_known(item)),
        Kind::Integer => item.int().map(drop),
        Kind::Bytes => Ok(()),
    }
}

/// The same but for what a cursor does not see: a key that comes again, not right after itself.
fn same(document: &Result<Warnings, Error>, cursor: &Result<Warnings, Error>) -> bool {
    let odd = |w: &Warnings| w.iter().filter(|w| !matches!(w, Warning::DuplicateKey { .. })).collect::<Vec<_>>();
    match (document, cursor) {
        (Ok(document), Ok(cursor)) => odd(document) == odd(cursor) && document.unsorted_key() == cursor.unsorted_key(),
        _ => document == cursor,
    }
}

/// Reads one value and nothing after it in every way, and gives what all agree on.
fn decode(source: &[u8], limits: &Limits, rules: Rules) -> Result<Warnings, Error> {
    let document = Document::decode_by(source, limits, rules);
    let result = document.as_ref().map(Document::warnings).map_err(Error::clone);

    let cursor = |read: Way| {
        let mut cursor = Cursor::with_rules(source, limits, rules).unwrap();
        let tree = read(cursor.value());
        let finish = cursor.finish();
        let result = tree.and_then(|tree| finish.map(|()| (tree, cursor.warnings())));
        (result, cursor.warnings())
    };
    let ways: [Way; 6] = [
        |item| read_item(item).map(Some),
        |_| Ok(None),
        |item| item.span().map(|_| None),
        |item| go_through(item).map(|()| None),
        |item| go_through_known(item).map(|()| None),
        // Enters, reads a little and leaves.
        |item| {
            match item.kind()? {
                Kind::List => {
                    let mut list = item.list()?;
                    if let Some(item) = list.next()? {
                        read_item(item)?;
                    }
                    list.next()?;
                }
                Kind::Dict => {
                    let mut dict = item.dict()?;
                    dict.next()?;
                    if let Some((_, item)) = dict.next()? {
                        if matches!(item.kind(), Ok(Kind::List)) {
                            item.list()?.next()?;
                        }
                    }
                }
                _ => {}
            }
            Ok(None)
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let (found, warnings) = cursor(way);
        let shown = source.escape_ascii();
        if let (Ok((Some(tree), _)), Ok(document)) = (&found, &document) {
            assert_eq!(*tree, Tree::from(document.root()), "{shown}");
        }
        let found = found.map(|(_, warnings)| warnings);
        let unseen = matches!(result, Err(Error::DuplicateKey { .. })) && warnings.unsorted_key().is_some();
        assert!(unseen || same(&result, &found), "{number} {shown}: {result:?} and {found:?}");
    }
    result
}

fn strict(source: &[u8]) -> Result<Warnings, Error> {
    decode(source, &Limits::default(), Rules::DEFAULT)
}

#[test]
fn known_bad_inputs_are_refused_at_the_byte_that_is_wrong() {
    for (source, at) in [
        (&b"d1:ai1e1:be"[..], 10),
        (b"di5e1:ae", 1),
        (b"e", 0),
        (b"-10:foobar", 0),
        (b"-4:test", 0),
        (b"18446744073709551615:foobar", 0),
        (b"18446744073709551616:foobar", 0),
        (b"99999999:foobar", 0),
        (b"199999999:", 0),
        (b"ie", 1),
        (b"i-e", 2),
        (b"i--5e", 2),
        (b"i+5e", 1),
        (b"i500a500e", 4),
        (b"i35412-5633e", 6),
        (b"i92337203t854775807e", 9),
        (b"i184467440737095516154e", 0),
        (b"i9223372036854775808e", 0),
        (b"i-9223372036854775809e", 0),
        (b"i", 1),
        (b"i10", 3),
        (b"i-", 2),
        (b"l2:..", 5),
        (b"l2:..0", 6),
        (b"di2ei0ee", 1),
        (b"d1000:..e", 1),
        (b"d1000:", 1),
        (b"df00:", 1),
        (b"d1000", 5),
        (b"100:..", 0),
        (b"d20:", 1),
        (b"l1:a1:b1:c", 10),
        (b"", 0),
        (b" ", 0),
        (b"l0:e5:aaaaa", 4),
        (b"i0e_asd", 3),
    ] {
        for rules in [Rules::CANONICAL, Rules::DEFAULT, Rules::LENIENT] {
            let error = decode(source, &Limits::default(), rules).expect_err(&source.escape_ascii().to_string());
            assert_eq!(error.position(), at, "{}: {error}", source.escape_ascii());
        }
    }
}

#[test]
fn known_good_inputs_are_accepted_by_all_rules() {
    for source in [
        &b"i0e"[..],
        b"i500e",
        b"i-500e",
        b"0:",
        b"4:spam",
        b"3:\xff\x00\xfe",
        b"i9223372036854775807e",
        b"i-9223372036854775807e",
        b"i-9223372036854775808e",
        b"i999999999999999999e",
        b"i1000000000000000000e",
        b"d3:a\0bi1ee",
        b"d1:ai1e2:aai2ee",
        b"llleee",
        b"le",
        b"de",
        b"d4:spaml1:a1:bee",
        b"d0:d1:ai1ee1:al0:ee",
        b"ld1:ai1ee1:a1:ae",
        b"d1:ad1:bi1e1:ci1ee1:bi1ee",
    ] {
        for rules in [Rules::CANONICAL, Rules::DEFAULT, Rules::LENIENT] {
            let warnings = decode(source, &Limits::default(), rules)
                .unwrap_or_else(|error| panic!("{}: {error}", source.escape_ascii()));
            assert!(warnings.is_empty());
        }
    }
}

/// Each row of the table in the module's documentation.
#[test]
fn what_is_not_canonical_is_judged_by_the_rules() {
    use Warning::{DuplicateKey, LeadingZero, NegativeZero, UnsortedKey};
    let refused = |source: &[u8], rules| decode(source, &Limits::default(), rules).unwrap_err();
    let warned = |source: &[u8], rules| {
        let warnings = decode(source, &Limits::default(), rules)
            .unwrap_or_else(|error| panic!("{}: {error}", source.escape_ascii()));
        assert!(!Document::decode_by(source, &Limits::default(), rules).unwrap().is_canonical());
        warnings.iter().collect::<Vec<_>>()
    };
    for (source, at) in
        [(&b"i01e"[..], 1), (b"i03e", 1), (b"i00e", 1), (b"i0500e", 1), (b"i-03e", 2), (b"06:foobar", 0), (b"00:", 0)]
    {
        assert_eq!(refused(source, Rules::CANONICAL), Error::LeadingZero { at });
        assert_eq!(refused(source, Rules::DEFAULT), Error::LeadingZero { at });
        assert_eq!(warned(source, Rules::LENIENT), [LeadingZero { at }]);
    }
    assert_eq!(refused(b"i-0e", Rules::DEFAULT), Error::NegativeZero { at: 1 });
    assert_eq!(warned(b"i-0e", Rules::LENIENT), [NegativeZero { at: 1 }]);
    let zeros = Rules { leading_zeros: true, ..Rules::CANONICAL };
    assert_eq!(refused(b"i-00e", zeros), Error::NegativeZero { at: 1 });
    for (source, at) in [(&b"d2:abi1e2:aai2ee"[..], 8), (b"d2:bai1e2:aai2ee", 8), (b"d2:aai1e1:ai2ee", 8)] {
        assert_eq!(refused(source, Rules::CANONICAL), Error::UnsortedKey { at });
        assert_eq!(warned(source, Rules::DEFAULT), [UnsortedKey { at }]);
        assert_eq!(warned(source, Rules::LENIENT), [UnsortedKey { at }]);
    }
    for (source, at) in [(&b"d2:aai1e2:aai2ee"[..], 8), (b"d2:aai1e2:aai1ee", 8), (b"ld0:0:0:0:ee", 6)] {
        assert_eq!(refused(source, Rules::CANONICAL), Error::DuplicateKey { at });
        assert_eq!(refused(source, Rules::DEFAULT), Error::DuplicateKey { at });
        assert_eq!(warned(source, Rules::LENIENT), [DuplicateKey { at }]);
    }
    let apart = b"d1:bi1e1:ai2e1:bi3ee";
    assert_eq!(refused(apart, Rules::CANONICAL), Error::UnsortedKey { at: 7 });
    assert_eq!(refused(apart, Rules::DEFAULT), Error::DuplicateKey { at: 13 });
    assert_eq!(warned(apart, Rules::LENIENT), [UnsortedKey { at: 7 }, DuplicateKey { at: 13 }]);
    // Of many the first of each kind is kept.
    let many = b"d1:bi00e1:bi00e1:ai-0e1:ai-0ee";
    let firsts = [UnsortedKey { at: 15 }, DuplicateKey { at: 8 }, LeadingZero { at: 5 }, NegativeZero { at: 19 }];
    assert_eq!(warned(many, Rules::LENIENT), firsts);
}

/// Short integers are read eight bytes at a time, where there are as many.
#[test]
fn integers_and_lengths_of_every_number_of_digits_are_read() {
    for digits in 1..=18_u32 {
        for value in
            [10_i64.pow(digits - 1), 10_i64.pow(digits) - 1, 1_234_567_890_123_456_789 / 10_i64.pow(19 - digits)]
        {
            for value in [value, -value] {
                for source in [format!("i{value}e"), format!("li{value}e7:abcdefgi{value}ee")] {
                    let mut read = Vec::new();
                    assert!(strict(source.as_bytes()).is_ok(), "{source}");
                    let mut cursor = Cursor::new(source.as_bytes(), &Limits::default()).unwrap();
                    let mut take = |item: Item<'_, '_>| match item.kind()? {
                        Kind::Integer => item.int().map(|value| read.push(value)),
                        _ => Ok(()),
                    };
                    let root = cursor.value();
                    let done = if source.starts_with('l') { root.each_item(take) } else { take(root) };
                    assert_eq!(done, Ok(()));
                    assert!(!read.is_empty() && read.iter().all(|read| *read == value), "{source}: {read:?}");
                }
            }
        }
    }
    for length in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, 100_000] {
        let source = [length.to_string().as_bytes(), b":", &vec![b'x'; length]].concat();
        assert_eq!(read(&source, &Limits::default(), |item| item.bytes()).map(<[u8]>::len), Ok(length));
        assert!(strict(&source).is_ok());
        assert!(strict(&source[..source.len() - 1]).is_err());
    }
}

#[test]
fn zeros_in_front_are_limited_too() {
    let digits = |count: usize| [b"i".to_vec(), vec![b'0'; count - 1], b"7e".to_vec()].concat();
    assert!(decode(&digits(20), &Limits::default(), Rules::LENIENT).is_ok());
    assert_eq!(decode(&digits(21), &Limits::default(), Rules::LENIENT), Err(Error::IntegerOverflow { at: 0 }));
    let length = |count: usize| [vec![b'0'; count], b":".to_vec()].concat();
    assert!(decode(&length(20), &Limits::default(), Rules::LENIENT).is_ok());
    assert_eq!(decode(&length(21), &Limits::default(), Rules::LENIENT), Err(Error::LengthOverflow { at: 0 }));
}

#[test]
fn the_same_limits_hold_for_all() {
    let nested = |depth| [vec![b'l'; depth], vec![b'e'; depth]].concat();
    let limit = |depth| Limits { depth, ..Limits::default() };
    for depth in [0, 1, 7, 8, 9, 10, 64, 100, 255, 256] {
        assert!(decode(&nested(depth.max(1)), &limit(depth.max(1)), Rules::DEFAULT).is_ok());
        let deep = decode(&nested(depth + 1), &limit(depth), Rules::DEFAULT);
        assert_eq!(deep, Err(Error::TooDeep { at: depth, limit: depth }));
    }
    assert_eq!(decode(&nested(1024), &limit(100), Rules::DEFAULT), Err(Error::TooDeep { at: 100, limit: 100 }));
    assert_eq!(strict(&vec![b'l'; 20_000]), Err(Error::TooDeep { at: 64, limit: 64 }));
    assert_eq!(strict(&b"d1:a".repeat(20_000)), Err(Error::TooDeep { at: 256, limit: 64 }));
    let message = b"d1:ad2:idl2:abi-4eee1:qi7ee";
    for tokens in 0..=13 {
        let result = decode(message, &Limits { tokens, ..Limits::default() }, Rules::DEFAULT);
        assert_eq!(result.is_ok(), tokens >= 12, "{tokens} {result:?}");
    }
    let limits = Limits { string_length: 2, ..Limits::default() };
    assert!(decode(message, &limits, Rules::DEFAULT).is_ok());
    let error = decode(b"l3:abce", &limits, Rules::DEFAULT);
    assert_eq!(error, Err(Error::StringTooLong { at: 1, length: 3, limit: 2 }));
    let long = Cursor::new(b"i12e", &Limits { input_length: 3, ..Limits::default() });
    assert_eq!(long.unwrap_err(), Error::InputTooLong { length: 4, limit: 3 });
}

#[test]
fn every_prefix_and_every_changed_byte_of_a_message_is_the_same_to_all() {
    let whole = b"d1:ad2:id20:abcdefghij01234567895:nodesl3:abci-12ee1:xd0:leee1:q4:ping1:t2:aa1:yi-7ee";
    assert!(strict(whole).is_ok());
    for cut in 0..whole.len() {
        assert!(strict(&whole[..cut]).is_err());
    }
    for at in 0..whole.len() {
        for byte in *b"0129eildi:-x" {
            let mut changed = whole.to_vec();
            changed[at] = byte;
            let _ = strict(&changed);
            let _ = decode(&changed, &Limits::default(), Rules::LENIENT);
        }
    }
}

/// Which of some keys come in a dictionary, and where their values stand.
fn known_keys(
    source: &[u8],
    keys: [&str; 4],
    limits: &Limits,
    rules: Rules,
) -> [Result<Vec<(usize, usize)>, Error>; 2] {
    let by = |one_by_one: bool| {
        let mut found = Vec::new();
        let mut cursor = Cursor::with_rules(source, limits, rules)?;
        let value = cursor.value();
        if one_by_one {
            value.each_entry(|key, value| {
                let which = keys.iter().position(|known| known.as_bytes() == key);
                found.extend(which.map(|which| (which, value.position())));
                Ok::<(), Error>(())
            })?;
        } else {
            value.each_of(keys, |which, value| {
                found.push((which, value.position()));
                Ok::<(), Error>(())
            })?;
        }
        cursor.finish().map(|()| found)
    };
    [by(true), by(false)]
}

#[test]
fn known_keys_are_found_wherever_they_stand() {
    let keys = ["length", "path", "a key that is long", "path"];
    let found = |source: &[u8]| {
        let [one_by_one, known] = known_keys(source, keys, &Limits::default(), Rules::LENIENT);
        assert_eq!(one_by_one, known);
        known.unwrap().into_iter().map(|(which, _)| which).collect::<Vec<_>>()
    };
    assert_eq!(found(b"de"), []);
    assert_eq!(found(b"d6:lengthi1e4:pathlee"), [0, 1]);
    assert_eq!(found(b"d4:attr1:x6:lengthi1e4:pathle10:path.utf-8lee"), [0, 1]);
    assert_eq!(found(b"d4:pathle6:lengthi1e4:pathlee"), [1, 0, 1]);
    assert_eq!(found(b"d06:lengthi1e18:a key that is longlee"), [0, 2]);
    assert_eq!(found(b"d6:lengtHi1e5:path.lee"), []);
}

proptest! {
    #[test]
    fn known_keys_are_found_as_one_by_one(
        source in prop::collection::vec(prop::sample::select(b"ldee01122::aaq".to_vec()), 0..28),
        keys in prop::sample::select(vec![["", "a", "aa", "q"], ["q", "aa", "a", ""], ["a", "a", "a:", "1"]]),
        tokens in 0..20_usize,
        string_length in 0..3_usize,
    ) {
        let source = [b"d", &source[..]].concat();
        let limits = Limits { tokens, string_length, ..Limits::default() };
        for rules in [Rules::CANONICAL, Rules::DEFAULT, Rules::LENIENT] {
            for limits in [&Limits::default(), &limits] {
                let [one_by_one, known] = known_keys(&source, keys, limits, rules);
                prop_assert_eq!(one_by_one, known);
            }
        }
    }
    #[test]
    fn a_cursor_and_a_document_agree_on_everything(
        // Letters that are likely to make something.
        source in prop::collection::vec(prop::sample::select(b"lldieee0112:-a".to_vec()), 0..28),
        depth in 0..6_usize,
        tokens in 0..20_usize,
    ) {
        for rules in [Rules::CANONICAL, Rules::DEFAULT, Rules::LENIENT] {
            let _ = decode(&source, &Limits::default(), rules);
            let _ = decode(&source, &Limits { depth, tokens, ..Limits::default() }, rules);
        }
    }
}
