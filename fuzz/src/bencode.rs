use bip::proto::bencode::{
    Cursor, DictEncoder, Document, Error, Item, Kind, Limits, ListEncoder, Rules, Tokens, Tree, Value, Warning,
    encode_list,
};

/// How deep inputs nest at most, here as by default.
const DEPTH: usize = 64;

/// Decoded exactly when a second, naive parser takes it, and by a cursor exactly when by a document; every element is its own encoding, lies within its parent and leaves no gap;
/// and what is encoded anew is the same bytes, or the sorted form of them.
pub fn bencode(data: &[u8]) {
    for rules in [Rules::CANONICAL, Rules::DEFAULT, Rules::LENIENT] {
        both_agree(data, &Limits::default(), rules);
        known_keys_agree(data, &Limits::default(), rules);
    }
    let limits = Limits::default();
    let oracle = naive(data, 0, DEPTH);
    let document = match Document::decode_prefix(data, &limits) {
        Ok(document) => document,
        Err(error) => {
            assert_eq!(oracle, None, "refused: {error}");
            assert!(error.position() <= data.len(), "{error} of {}", data.len());
            assert!(!error.to_string().is_empty());
            assert_eq!(Document::decode(data, &limits).err(), Some(error));
            return;
        }
    };
    let length = document.encoded_length();
    assert_eq!(oracle, Some(length), "accepted, but not by the naive parser");
    assert_eq!(document.rest(), &data[length..]);
    assert_eq!(Document::decode(data, &limits).is_ok(), length == data.len());

    let root = document.root();
    assert_eq!(root.range(), 0..length);
    walk(data, root, 0);

    let canonical = encode(root);
    assert_eq!(canonical == data[..length], document.is_canonical());
    assert_eq!(canonical.len(), length, "sorting keys adds and drops nothing");
    let again = Document::decode(&canonical, &limits).expect("what we encode can be decoded");
    assert!(again.is_canonical());
    assert_eq!(encode(again.root()), canonical);
    assert_eq!(Tree::from(root).encode(), canonical);

    // Limits lower than the input needs refuse it, and never by a panic. (No value is 0 tokens long.)
    if let Some(first) = data.first().map(|b| usize::from(*b)) {
        let small = Limits { depth: first % 4, tokens: first % 16, string_length: first % 8, input_length: 1024 };
        both_agree(data, &small, Rules::DEFAULT);
        known_keys_agree(data, &small, Rules::LENIENT);
        if let Ok(small) = Document::decode_prefix(data, &small) {
            assert_eq!(small.encoded_length(), length);
            assert!(depth(small.root()) <= first % 4);
        }
    }
}

/// A document and a cursor give the same value, warnings and errors, whether the cursor's user reads all, nothing or a part.
fn both_agree(data: &[u8], limits: &Limits, rules: Rules) {
    let document = Document::decode_prefix_into(data, limits, rules, &mut Tokens::default());
    // What the user does is drawn from the data, so that it can be anything and is the same each time.
    let seed = data.iter().fold(7_u32, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    for user in [User::All, User::Nothing, User::Some(seed)] {
        let Ok(mut cursor) = Cursor::with_rules(data, limits, rules) else {
            assert!(matches!(document, Err(Error::InputTooLong { .. })));
            return;
        };
        let mut user = user;
        let tree = user.read(cursor.value());
        // Who passes over an element of the wrong kind, and over the errors within, has them again.
        let end = match user {
            User::Some(_) => cursor.encoded_length(),
            _ => tree.clone().and_then(|_| cursor.encoded_length()),
        };
        match (&document, end) {
            (Ok(document), Ok(end)) => {
                assert_eq!(end, document.encoded_length());
                // A cursor does not see all duplicates, and so none or a later one where the document sees the first.
                let of_document = |warning: &Warning| {
                    let has = |other| match (other, *warning) {
                        (Warning::DuplicateKey { at: first }, Warning::DuplicateKey { at }) => first <= at,
                        (other, warning) => other == warning,
                    };
                    document.warnings().iter().any(has)
                };
                assert_eq!(cursor.warnings().iter().find(|warning| !of_document(warning)), None);
                assert_eq!(cursor.warnings().unsorted_key(), document.unsorted_key());
                assert_eq!(cursor.rest(), Ok(document.rest()));
                assert_eq!(cursor.finish().is_ok(), document.rest().is_empty());
                if let (User::All, Ok(Some(tree))) = (user, tree) {
                    assert_eq!(tree, Tree::from(document.root()));
                }
            }
            (Err(document), Err(cursor)) if *document == cursor => {}
            // A key that comes again, but not right after itself.
            (Err(Error::DuplicateKey { .. }), _) if cursor.warnings().unsorted_key().is_some() => {}
            // The same before an error, with which the warnings of what was passed over are gone.
            (Err(Error::DuplicateKey { at }), Err(later)) if later.position() > *at => {}
            (document, end) => panic!("{:?} and {end:?}", document.as_ref().map(Document::root)),
        }
    }
}

/// Who reads through a cursor.
#[derive(Clone, Copy)]
enum User {
    All,
    Nothing,
    /// A part that the number says.
    Some(u32),
}

impl User {
    fn likes_to(&mut self) -> bool {
        match self {
            User::All => true,
            User::Nothing => false,
            User::Some(state) => {
                *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *state >> 30 != 0
            }
        }
    }

    fn read(&mut self, item: Item<'_, '_>) -> Result<Option<Tree>, Error> {
        if !self.likes_to() {
            return Ok(None);
        }
        if let (User::Some(state), false) = (*self, self.likes_to()) {
            // The wrong way, most often.
            let _ = match state >> 16 & 3 {
                0 => item.int().map(drop),
                1 => item.array::<20>().map(drop),
                2 => item.str().map(drop),
                _ => item.span().map(drop),
            };
            return Ok(None);
        }
        let closure = !self.likes_to();
        Ok(Some(match item.kind()? {
            Kind::Integer => Tree::from(item.int()?),
            Kind::Bytes => Tree::from(item.bytes()?),
            Kind::List => {
                let mut out = Tree::List(Vec::new());
                if closure {
                    item.each_item(|item| {
                        self.read(item).map(|tree| tree.into_iter().for_each(|tree| out.push(tree)))
                    })?;
                } else {
                    let mut list = item.list()?;
                    while self.likes_to() {
                        let Some(item) = list.next()? else { break };
                        self.read(item)?.into_iter().for_each(|tree| out.push(tree));
                    }
                }
                out
            }
            Kind::Dict => {
                let mut out = Tree::Dict(std::collections::BTreeMap::new());
                let mut add = |key: &[u8], tree: Option<Tree>| {
                    // Of two the first counts.
                    if let Some(tree) = tree.filter(|_| out.get(key).is_none()) {
                        out.set(key, tree);
                    }
                };
                if closure {
                    item.each_entry(|key, item| self.read(item).map(|tree| add(key, tree)))?;
                } else {
                    let mut dict = item.dict()?;
                    while self.likes_to() {
                        let Some((key, item)) = dict.next()? else { break };
                        let tree = self.read(item)?;
                        add(key, tree);
                    }
                }
                out
            }
        }))
    }
}

/// Known keys are found, or something is said to be wrong, as by looking at every key.
fn known_keys_agree(data: &[u8], limits: &Limits, rules: Rules) {
    const KEYS: [&str; 6] = ["a", "b", "info", "length", "path", "pieces"];
    let (Ok(mut some), Ok(mut all)) = (Cursor::with_rules(data, limits, rules), Cursor::with_rules(data, limits, rules))
    else {
        return;
    };
    let (mut known, mut found) = (Vec::new(), Vec::new());
    let by_key = some.value().each_of(KEYS, |which, value| {
        known.push((which, value.span()?));
        Ok::<_, Error>(())
    });
    let by_entry = all.value().each_entry(|key, value| {
        if let Some(which) = KEYS.iter().position(|known| known.as_bytes() == key) {
            found.push((which, value.span()?));
        }
        Ok::<_, Error>(())
    });
    assert_eq!((by_key, known), (by_entry, found));
    assert_eq!(some.encoded_length(), all.encoded_length());
}

fn walk(data: &[u8], value: Value<'_, '_>, level: usize) {
    let range = value.range();
    assert_eq!(range.start, value.position());
    assert_eq!(value.span(), &data[range.clone()]);
    // An element is a document of its own; checked near the root only, as it costs the square of the depth.
    if level < 4 {
        let alone = Document::decode(value.span(), &Limits::default()).expect("an element can be decoded alone");
        assert_eq!(alone.root().kind(), value.kind());
    }
    match value.kind() {
        Kind::Integer => {
            let int = value.as_int().expect("an integer has a value");
            assert_eq!(format!("i{int}e").as_bytes(), value.span());
        }
        Kind::Bytes => {
            let bytes = value.as_bytes().expect("a string has bytes");
            assert_eq!([format!("{}:", bytes.len()).as_bytes(), bytes].concat(), value.span());
            assert_eq!(value.as_str().map(str::as_bytes), std::str::from_utf8(bytes).is_ok().then_some(bytes));
        }
        Kind::List => {
            let mut at = range.start + 1;
            for element in value.as_list().expect("a list is a list") {
                assert_eq!(element.position(), at);
                at = element.range().end;
                walk(data, element, level + 1);
            }
            assert_eq!(at + 1, range.end);
        }
        Kind::Dict => {
            let mut at = range.start + 1;
            let dict = value.as_dict().expect("a dictionary is a dictionary");
            for (number, (key, element)) in dict.iter().enumerate() {
                let key_length = key.len().to_string().len() + 1 + key.len();
                assert_eq!(element.position(), at + key_length);
                at = element.range().end;
                if number < 20 {
                    assert_eq!(dict.get(key).map(Value::position), Some(element.position()));
                }
                walk(data, element, level + 1);
            }
            assert_eq!(at + 1, range.end);
        }
    }
}

fn depth(value: Value<'_, '_>) -> usize {
    let below = |children: &mut dyn Iterator<Item = Value<'_, '_>>| 1 + children.map(depth).max().unwrap_or(0);
    match (value.as_list(), value.as_dict()) {
        (Some(list), _) => below(&mut list.iter()),
        (_, Some(dict)) => below(&mut dict.iter().map(|(_, element)| element)),
        _ => 0,
    }
}

/// Encodes an element from its parts.
fn encode(value: Value<'_, '_>) -> Vec<u8> {
    let out = encode_list(|list| add(list, value));
    out[1..out.len() - 1].to_vec()
}

fn add(out: &mut ListEncoder<'_>, value: Value<'_, '_>) {
    match (value.as_int(), value.as_bytes(), value.as_list(), value.as_dict()) {
        (Some(int), ..) => out.int(int),
        (_, Some(bytes), ..) => out.bytes(bytes),
        (.., Some(list), _) => out.list(|out| list.iter().for_each(|element| add(out, element))),
        (.., Some(dict)) => out.dict(|out| dict.iter().for_each(|(key, element)| set(out, key, element))),
        _ => unreachable!("an element is of one of the four kinds"),
    }
}

fn set(out: &mut DictEncoder<'_>, key: &[u8], value: Value<'_, '_>) {
    match (value.as_int(), value.as_bytes(), value.as_list(), value.as_dict()) {
        (Some(int), ..) => out.int(key, int),
        (_, Some(bytes), ..) => out.bytes(key, bytes),
        (.., Some(list), _) => out.list(key, |out| list.iter().for_each(|element| add(out, element))),
        (.., Some(dict)) => out.dict(key, |out| dict.iter().for_each(|(key, element)| set(out, key, element))),
        _ => unreachable!("an element is of one of the four kinds"),
    }
}

/// Parses in the plainest way there is: gives where the value that starts at `at` ends.
fn naive(data: &[u8], at: usize, depth: usize) -> Option<usize> {
    match data.get(at)? {
        b'i' => {
            let end = at + 1 + data[at + 1..].iter().position(|b| *b == b'e')?;
            let text = std::str::from_utf8(&data[at + 1..end]).ok()?;
            // Its own text and no other: neither `-0` nor `03` nor `+5`.
            (text.parse::<i64>().ok()?.to_string() == text).then_some(end + 1)
        }
        b'0'..=b'9' => naive_string(data, at).map(|(_, end)| end),
        b'l' => {
            let (depth, mut at) = (depth.checked_sub(1)?, at + 1);
            while *data.get(at)? != b'e' {
                at = naive(data, at, depth)?;
            }
            Some(at + 1)
        }
        b'd' => {
            let (depth, mut at) = (depth.checked_sub(1)?, at + 1);
            let mut keys = std::collections::BTreeSet::new();
            while *data.get(at)? != b'e' {
                let (key, end) = naive_string(data, at)?;
                if !keys.insert(key) {
                    return None;
                }
                at = naive(data, end, depth)?;
            }
            Some(at + 1)
        }
        _ => None,
    }
}

fn naive_string(data: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let colon = at + data[at..].iter().position(|b| *b == b':')?;
    let text = std::str::from_utf8(&data[at..colon]).ok()?;
    let length = text.parse::<usize>().ok().filter(|length| length.to_string() == text)?;
    let end = (colon + 1).checked_add(length)?;
    data.get(colon + 1..end).map(|string| (string, end))
}
