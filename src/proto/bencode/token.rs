//! The flat form of a decoded input.

use super::error::{Error, Kind, push_key};
use super::rules::{Rules, Warning, Warnings};
use super::scan::{Level, Scan};
use super::value::Value;
use super::walk::{self, Bounds, Place, Stop, Visit};

/// How much of an input is decoded before it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How deep lists and dictionaries may nest; a list of integers is 1 deep. Default 64.
    pub depth: usize,
    /// How many tokens there may be: integers, strings (keys too), and the beginnings and ends of lists and dictionaries.
    /// Each takes 8 bytes of memory. Default 3,000,000; at most 2^28.
    pub tokens: usize,
    /// How long one string may be, in bytes. Default 32 MiB.
    pub string_length: usize,
    /// How long the input may be, in bytes. Default 64 MiB; at most 4 GiB - 1.
    pub input_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 64, tokens: 3_000_000, string_length: 32 << 20, input_length: 64 << 20 }
    }
}

impl Limits {
    /// What holds for a walk over an input, if that is short enough to be walked at all.
    pub(super) fn bounds(&self, source: &[u8], rules: Rules) -> Result<Bounds, Error> {
        // Tokens keep their offsets in 32 bits, and their distances in 29.
        let limit = self.input_length.min(u32::MAX as usize);
        if source.len() > limit {
            return Err(Error::InputTooLong { length: source.len(), limit });
        }
        let scan = Scan::new(self.string_length.min(source.len()), rules);
        Ok(Bounds { scan, depth: self.depth, tokens: self.tokens.min(1 << 28) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Integer,
    Bytes,
    List,
    Dict,
    End,
    /// A dictionary with a key that is smaller than the one before it.
    Unsorted,
}

/// One element (a key is one too), or the end of a list or dictionary, or (once, last) the end of the whole.
///
/// An element's bytes end where the next sibling's token, or the end token that stands in its place, begins: bencode has no
/// gaps. That is why no lengths are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    /// Where the element starts.
    start: u32,
    /// The tag in the low three bits. Above them, for a string, the length of its prefix (`12:` is 3); for a list or
    /// dictionary, how many tokens further on the next sibling is, and as long as it has not ended, how many tokens before it
    /// the one around it begins.
    packed: u32,
}

impl Token {
    fn new(tag: Tag, start: usize, data: usize) -> Self {
        // Inputs are shorter than 2^32 and tokens fewer than 2^28: `Limits::bounds` sees to it.
        Self { start: start as u32, packed: (data as u32) << 3 | tag as u32 }
    }

    pub(super) fn tag(self) -> Tag {
        match self.packed & 7 {
            0 => Tag::Integer,
            1 => Tag::Bytes,
            2 => Tag::List,
            3 => Tag::Dict,
            5 => Tag::Unsorted,
            _ => Tag::End,
        }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn data(self) -> usize {
        (self.packed >> 3) as usize
    }
}

/// A decoded input: the source bytes and the flat list of what is in them.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    source: &'a [u8],
    tokens: Vec<Token>,
    warnings: Warnings,
}

/// The memory of a [`Document`], to be used again for the next one.
///
/// ```
/// use bip::proto::bencode::{Document, Limits, Rules, Tokens};
/// let mut tokens = Tokens::default();
/// for source in [&b"l1:a1:be"[..], b"i5e"] {
///     let document = Document::decode_into(source, &Limits::default(), Rules::DEFAULT, &mut tokens)?;
///     assert_eq!(document.encoded_length(), source.len());
///     tokens = document.into_tokens();
/// }
/// # Ok::<(), bip::proto::bencode::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tokens(Vec<Token>);

impl<'a> Document<'a> {
    /// Decodes an input that is exactly one value, by [`Rules::DEFAULT`].
    ///
    /// # Errors
    ///
    /// Says what is wrong and at which byte: see the table at [`bencode`](super).
    pub fn decode(source: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        Self::decode_by(source, limits, Rules::DEFAULT)
    }

    /// Decodes an input that is exactly one value, by other rules.
    ///
    /// # Errors
    ///
    /// As [`Document::decode`].
    pub fn decode_by(source: &'a [u8], limits: &Limits, rules: Rules) -> Result<Self, Error> {
        Self::decode_into(source, limits, rules, &mut Tokens::for_source(source))
    }

    /// Decodes an input that is exactly one value with the memory of a document that was; [`Document::into_tokens`] gives it back.
    ///
    /// # Errors
    ///
    /// As [`Document::decode`]. The memory stays with `tokens` then.
    pub fn decode_into(source: &'a [u8], limits: &Limits, rules: Rules, tokens: &mut Tokens) -> Result<Self, Error> {
        let document = Self::decode_prefix_into(source, limits, rules, tokens)?;
        match document.encoded_length() {
            at if at < source.len() => {
                *tokens = document.into_tokens();
                Err(Error::TrailingBytes { at })
            }
            _ => Ok(document),
        }
    }

    /// Decodes the value that an input begins with; [`Document::rest`] is what comes after it.
    ///
    /// ```
    /// use bip::proto::bencode::{Document, Limits};
    /// let document = Document::decode_prefix(b"i0e_payload", &Limits::default())?;
    /// assert_eq!(document.encoded_length(), 3);
    /// assert_eq!(document.rest(), b"_payload");
    /// # Ok::<(), bip::proto::bencode::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Document::decode`].
    pub fn decode_prefix(source: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        Self::decode_prefix_into(source, limits, Rules::DEFAULT, &mut Tokens::for_source(source))
    }

    /// Decodes the value that an input begins with, by any rules and with memory as [`Document::decode_into`].
    ///
    /// # Errors
    ///
    /// As [`Document::decode`]. The memory stays with `tokens` then.
    pub fn decode_prefix_into(
        source: &'a [u8],
        limits: &Limits,
        rules: Rules,
        tokens: &mut Tokens,
    ) -> Result<Self, Error> {
        let bounds = limits.bounds(source, rules)?;
        let mut keep = Keep { source, tokens: std::mem::take(&mut tokens.0), innermost: 0 };
        keep.tokens.clear();
        let start = Place { at: 0, tokens: bounds.tokens, warnings: Warnings::default() };
        match walk::walk(source, start, &bounds, 0, &mut keep) {
            Ok(Place { at, warnings, .. }) => {
                keep.tokens.push(Token::new(Tag::End, at, 0));
                Ok(Self { source, tokens: keep.tokens, warnings })
            }
            Err(stop) => {
                tokens.0 = keep.tokens;
                Err(match stop {
                    Stop::Error(error) => error,
                    // There is always room.
                    Stop::Full => Error::TooDeep { at: 0, limit: bounds.depth },
                })
            }
        }
    }

    /// Decodes as [`Document::decode`], but for lists that a function takes as a whole: they are empty in the document. The function is
    /// given the source, where a list starts in it and how many lists and dictionaries are open there, and gives where the list ends and
    /// how many tokens there are after its first; it vouches for them. What it takes is not to be the root.
    pub(crate) fn decode_around(
        source: &'a [u8],
        limits: &Limits,
        whole: impl FnMut(&[u8], usize, usize) -> Option<(usize, usize)>,
    ) -> Result<Self, Error> {
        let bounds = limits.bounds(source, Rules::DEFAULT)?;
        let tokens = Tokens::for_source(source).0;
        let mut around = Around { keep: Keep { source, tokens, innermost: 0 }, whole };
        let start = Place { at: 0, tokens: bounds.tokens, warnings: Warnings::default() };
        match walk::walk(source, start, &bounds, 0, &mut around) {
            Ok(Place { at, .. }) if at < source.len() => Err(Error::TrailingBytes { at }),
            Ok(Place { at, warnings, .. }) => {
                let mut tokens = around.keep.tokens;
                tokens.push(Token::new(Tag::End, at, 0));
                Ok(Self { source, tokens, warnings })
            }
            Err(Stop::Error(error)) => Err(error),
            // There is always room.
            Err(Stop::Full) => Err(Error::TooDeep { at: 0, limit: bounds.depth }),
        }
    }

    /// Gives the document's memory back for the next one.
    pub fn into_tokens(self) -> Tokens {
        Tokens(self.tokens)
    }

    /// Gives the value.
    pub fn root(&self) -> Value<'a, '_> {
        Value::new(self, 0)
    }

    /// Gives the length in bytes of the encoded value: where [`Document::rest`] begins.
    pub fn encoded_length(&self) -> usize {
        self.tokens.last().map_or(0, |t| t.start())
    }

    /// Gives what follows the value in the input.
    pub fn rest(&self) -> &'a [u8] {
        self.source.get(self.encoded_length()..).unwrap_or_default()
    }

    /// Gives what was accepted though it is not canonical.
    pub fn warnings(&self) -> Warnings {
        self.warnings
    }

    /// Gives where the first key stands that is smaller than the key before it (BEP 3 wants them sorted as raw strings).
    pub fn unsorted_key(&self) -> Option<usize> {
        self.warnings.unsorted_key()
    }

    /// Says whether encoding the value anew would give the same bytes: whether there are no [`Document::warnings`], since everything
    /// else that is not canonical is refused.
    pub fn is_canonical(&self) -> bool {
        self.warnings.is_empty()
    }

    pub(super) fn token(&self, index: usize) -> Token {
        self.tokens[index]
    }

    /// The token after an element and all that is in it.
    pub(super) fn next(&self, index: usize) -> usize {
        next(&self.tokens, index)
    }

    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.source.get(start..end).unwrap_or_default()
    }

    /// A string token's bytes.
    pub(super) fn text(&self, index: usize) -> &'a [u8] {
        let (start, end) = text_range(&self.tokens, index);
        self.slice(start, end)
    }

    /// The way from the root to an element, for errors only: linear in the elements before it.
    pub(super) fn path_to(&self, target: usize) -> String {
        let mut path = String::new();
        let mut at = 0;
        while at != target {
            let mut child = at + 1;
            match self.token(at).tag() {
                Tag::List => {
                    let mut count = 0;
                    while self.next(child) <= target {
                        child = self.next(child);
                        count += 1;
                    }
                    path.push_str(&format!("[{count}]"));
                }
                Tag::Dict | Tag::Unsorted => {
                    while self.next(child + 1) <= target {
                        child = self.next(child + 1);
                    }
                    push_key(&mut path, self.text(child));
                    if child == target {
                        break;
                    }
                    child += 1;
                }
                _ => break,
            }
            at = child;
        }
        path
    }
}

fn next(tokens: &[Token], index: usize) -> usize {
    match tokens[index].tag() {
        Tag::List | Tag::Dict | Tag::Unsorted => index + tokens[index].data(),
        _ => index + 1,
    }
}

fn text_range(tokens: &[Token], index: usize) -> (usize, usize) {
    (tokens[index].start() + tokens[index].data(), tokens[index + 1].start())
}

impl Tokens {
    /// Small messages never grow the list; big ones soon double past this.
    fn for_source(source: &[u8]) -> Self {
        Self(Vec::with_capacity((source.len() / 4 + 2).min(64)))
    }
}

/// Keeps a token of everything. The levels that are open are a chain through their tokens.
struct Keep<'a> {
    source: &'a [u8],
    tokens: Vec<Token>,
    /// The token of the innermost list or dictionary that is open.
    innermost: usize,
}

impl Visit for Keep<'_> {
    #[inline(always)]
    fn integer(&mut self, at: usize) {
        self.tokens.push(Token::new(Tag::Integer, at, 0));
    }

    #[inline(always)]
    fn string(&mut self, at: usize, bytes: &[u8], end: usize) {
        self.tokens.push(Token::new(Tag::Bytes, at, end - bytes.len() - at));
    }

    #[inline(always)]
    fn begin(&mut self, dict: bool, at: usize, _: Level, _: usize) -> bool {
        let index = self.tokens.len();
        self.tokens.push(Token::new(if dict { Tag::Dict } else { Tag::List }, at, index - self.innermost));
        self.innermost = index;
        true
    }

    #[cold]
    fn unsorted(&mut self) {
        let dict = &mut self.tokens[self.innermost];
        *dict = Token::new(Tag::Unsorted, dict.start(), dict.data());
    }

    #[inline(always)]
    fn end(&mut self, at: usize, _: usize, bounds: &Bounds, warnings: &mut Warnings) -> Result<Level, Error> {
        self.tokens.push(Token::new(Tag::End, at, 0));
        let index = self.innermost;
        let begin = self.tokens[index];
        self.tokens[index] = Token::new(begin.tag(), begin.start(), self.tokens.len() - index);
        if begin.tag() == Tag::Unsorted {
            if let Some(at) = duplicate(self.source, &self.tokens, index) {
                if !bounds.scan.rules().duplicate_keys {
                    return Err(Error::DuplicateKey { at });
                }
                *warnings = warnings.with(Warning::DuplicateKey { at });
            }
        }
        self.innermost = index - begin.data();
        Ok(match self.tokens[self.innermost].tag() {
            // A key stands right before its value.
            Tag::Dict | Tag::Unsorted if index > 0 => {
                let (start, end) = text_range(&self.tokens, index - 1);
                Level::dict(self.tokens[index - 1].start(), self.source.get(start..end).unwrap_or_default())
            }
            _ => Level::LIST,
        })
    }
}

/// Keeps a token of everything but what is in lists that a function takes.
struct Around<'a, F> {
    keep: Keep<'a>,
    whole: F,
}

impl<F: FnMut(&[u8], usize, usize) -> Option<(usize, usize)>> Visit for Around<'_, F> {
    #[inline(always)]
    fn integer(&mut self, at: usize) {
        self.keep.integer(at);
    }

    #[inline(always)]
    fn string(&mut self, at: usize, bytes: &[u8], end: usize) {
        self.keep.string(at, bytes, end);
    }

    #[inline(always)]
    fn whole(&mut self, source: &[u8], at: usize, open: usize) -> Option<(usize, usize)> {
        let (end, count) = (self.whole)(source, at, open).filter(|(end, _)| *end > at + 1 && open > 0)?;
        self.keep.tokens.push(Token::new(Tag::List, at, 2));
        self.keep.tokens.push(Token::new(Tag::End, end - 1, 0));
        Some((end, count))
    }

    #[inline(always)]
    fn begin(&mut self, dict: bool, at: usize, outer: Level, open: usize) -> bool {
        self.keep.begin(dict, at, outer, open)
    }

    fn unsorted(&mut self) {
        self.keep.unsorted();
    }

    #[inline(always)]
    fn end(&mut self, at: usize, open: usize, bounds: &Bounds, warnings: &mut Warnings) -> Result<Level, Error> {
        self.keep.end(at, open, bounds, warnings)
    }
}

/// Looks for a key that stands twice in a dictionary whose keys are not sorted, and gives where it first comes again.
#[cold]
#[inline(never)]
fn duplicate(source: &[u8], tokens: &[Token], dict: usize) -> Option<usize> {
    let end = dict + tokens[dict].data() - 1;
    let mut keys = Vec::new();
    let mut key = dict + 1;
    while key < end {
        let (from, to) = text_range(tokens, key);
        keys.push((source.get(from..to), tokens[key].start()));
        key = next(tokens, key + 1);
    }
    keys.sort_unstable();
    keys.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| pair[1].1).min()
}

impl Tag {
    pub(super) fn kind(self) -> Kind {
        match self {
            Tag::Integer => Kind::Integer,
            Tag::Bytes => Kind::Bytes,
            Tag::List => Kind::List,
            // No handle is ever made on an end.
            Tag::Dict | Tag::Unsorted | Tag::End => Kind::Dict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(source: &[u8]) -> Error {
        Document::decode(source, &Limits::default()).expect_err(&source.escape_ascii().to_string())
    }

    fn int(source: &str) -> Option<i64> {
        Document::decode(source.as_bytes(), &Limits::default()).ok()?.root().as_int()
    }

    #[test]
    fn every_integer_of_64_bits_is_read_and_no_other() {
        assert_eq!(int("i0e"), Some(0));
        assert_eq!(int("i500e"), Some(500));
        assert_eq!(int("i-500e"), Some(-500));
        assert_eq!(int("i9223372036854775807e"), Some(i64::MAX));
        assert_eq!(int("i-9223372036854775808e"), Some(i64::MIN));
        for beyond in ["i9223372036854775808e", "i-9223372036854775809e", "i18446744073709551616e"] {
            assert_eq!(error(beyond.as_bytes()), Error::IntegerOverflow { at: 0 }, "{beyond}");
        }
        assert_eq!(error(b"li1ei184467440737095516154ee").position(), 4);
    }

    #[test]
    fn an_integer_is_written_in_one_way_only() {
        assert_eq!(error(b"i-0e"), Error::NegativeZero { at: 1 });
        assert_eq!(error(b"i00e"), Error::LeadingZero { at: 1 });
        assert_eq!(error(b"i0500e"), Error::LeadingZero { at: 1 });
        assert_eq!(error(b"i-03e"), Error::LeadingZero { at: 2 });
        for (bad, at) in [
            ("ie", 1),
            ("i-e", 2),
            ("i--5e", 2),
            ("i+5e", 1),
            ("i 5e", 1),
            ("i500a500e", 4),
            ("i35412-5633e", 6),
            ("i92337203t854775807e", 9),
            ("i5.0e", 2),
        ] {
            assert!(matches!(error(bad.as_bytes()), Error::UnexpectedByte { at: found, .. } if found == at), "{bad}");
        }
        for cut in ["i", "i10", "i-"] {
            assert!(matches!(error(cut.as_bytes()), Error::UnexpectedEnd { at, .. } if at == cut.len()), "{cut}");
        }
    }

    #[test]
    fn a_string_length_is_checked_before_it_is_believed() {
        assert_eq!(error(b"18446744073709551615:foobar"), Error::StringPastEnd { at: 0, length: u64::MAX, left: 6 });
        assert_eq!(error(b"18446744073709551616:foobar"), Error::LengthOverflow { at: 0 });
        assert_eq!(error(b"99999999:foobar"), Error::StringPastEnd { at: 0, length: 99_999_999, left: 6 });
        assert_eq!(error(b"l4:spam6:spame").position(), 7);
        assert_eq!(error(b"06:foobar"), Error::LeadingZero { at: 0 });
        assert_eq!(error(b"00:"), Error::LeadingZero { at: 0 });
        for bad in ["-10:foobar", "-4:test", "1a:b", "l2:..0", "100", "df00:"] {
            assert!(
                matches!(
                    error(bad.as_bytes()),
                    Error::UnexpectedByte { .. } | Error::UnexpectedEnd { .. } | Error::KeyNotString { .. }
                ),
                "{bad}"
            );
        }
        let limits = Limits { string_length: 3, ..Limits::default() };
        assert!(Document::decode(b"3:abc", &limits).is_ok());
        let long = Document::decode(b"l4:abcde", &limits).unwrap_err();
        assert_eq!(long, Error::StringTooLong { at: 1, length: 4, limit: 3 });
    }

    #[test]
    fn every_byte_that_starts_nothing_is_refused() {
        for byte in (0..=255_u8).filter(|b| !b"0123456789ild".contains(b)) {
            assert_eq!(error(&[byte]), Error::UnexpectedByte { at: 0, byte, expected: "a value" });
        }
        assert!(matches!(error(b""), Error::UnexpectedEnd { at: 0, .. }));
        assert_eq!(error(b"e").to_string(), "expected a value, found 'e' at byte 0");
        assert!(matches!(error(b"l-3:5e"), Error::UnexpectedByte { at: 1, .. }));
    }

    #[test]
    fn a_dictionary_is_strings_and_values_in_pairs() {
        assert_eq!(error(b"d1:ai1e1:be"), Error::MissingValue { at: 10 });
        assert_eq!(error(b"di5e1:ae"), Error::KeyNotString { at: 1 });
        assert_eq!(error(b"di2ei0ee"), Error::KeyNotString { at: 1 });
        assert_eq!(error(b"dle1:ae"), Error::KeyNotString { at: 1 });
        assert_eq!(error(b"d1:a1:bi3ei4ee"), Error::KeyNotString { at: 7 });
        for bad in ["d20:", "d1000:..e", "d1000:", "d1000", "l1:a1:b1:c", "d1:a", "d1:ai1e", "d", "l", "l2:.."] {
            assert!(error(bad.as_bytes()).position() <= bad.len(), "{bad}");
        }
    }

    #[test]
    fn keys_out_of_order_are_reported_and_read() {
        for (source, at) in [
            (&b"d2:abi1e2:aai2ee"[..], Some(8)),
            (b"d2:bai1e2:aai2ee", Some(8)),
            (b"d2:aai1e1:ai2ee", Some(8)),
            (b"d1:ai1e2:aai2ee", None),
            (b"d3:a\0bi1ee", None),
            (b"d0:le1:ai1ee", None),
            (b"d1:ad1:bi1e1:ai2ee1:bi1ee", Some(11)),
        ] {
            let document = Document::decode(source, &Limits::default()).unwrap();
            assert_eq!(document.unsorted_key(), at);
            assert_eq!(document.is_canonical(), at.is_none());
        }
    }

    #[test]
    fn a_key_given_twice_is_refused_wherever_it_stands() {
        assert_eq!(error(b"d2:aai1e2:aai1ee"), Error::DuplicateKey { at: 8 });
        assert_eq!(error(b"d2:aai1e2:aai2ee"), Error::DuplicateKey { at: 8 });
        assert_eq!(error(b"d1:bi1e1:ai2e1:bi3ee"), Error::DuplicateKey { at: 13 });
        assert_eq!(error(b"ld1:ci0e1:bd1:bi1ee1:a0:1:bi3eee"), Error::DuplicateKey { at: 24 });
        // The same key in a dictionary within is another key.
        assert!(Document::decode(b"d1:bd1:bi1ee1:ad1:bi1eee", &Limits::default()).is_ok());
    }

    #[test]
    fn what_follows_the_value_is_refused_or_left_alone() {
        assert_eq!(error(b"l0:e5:aaaaa"), Error::TrailingBytes { at: 4 });
        assert_eq!(error(b"i1e\n"), Error::TrailingBytes { at: 3 });
        for value in ["i0e", "3:abc", "le", "d1:ali1eee"] {
            let source = format!("{value}_asd");
            let document = Document::decode_prefix(source.as_bytes(), &Limits::default()).unwrap();
            assert_eq!(document.encoded_length(), value.len());
            assert_eq!(document.rest(), b"_asd");
            assert_eq!(document.root().span(), value.as_bytes());
        }
    }

    #[test]
    fn nesting_is_limited_and_costs_no_stack() {
        let nested = |depth| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        let limit = Limits::default().depth;
        assert!(Document::decode(&nested(limit), &Limits::default()).is_ok());
        assert_eq!(error(&nested(limit + 1)), Error::TooDeep { at: limit, limit });
        assert_eq!(error(&nested(20_000)), Error::TooDeep { at: limit, limit });
        assert_eq!(error(&vec![b'l'; 20_000]), Error::TooDeep { at: limit, limit });
        assert_eq!(error(&b"d1:a".repeat(20_000)), Error::TooDeep { at: limit * 4, limit });
        // Whoever permits such a depth gets it, and the way to its bottom.
        let deep = nested(200_000);
        let document = Document::decode(&deep, &Limits { depth: usize::MAX, ..Limits::default() }).unwrap();
        assert_eq!(document.root().span(), deep);
        assert_eq!(document.path_to(199_999).len(), 3 * 199_999);
    }

    #[test]
    fn tokens_and_input_are_limited() {
        let limits = Limits { tokens: 4, ..Limits::default() };
        assert!(Document::decode(b"li1ei2ee", &limits).is_ok());
        assert_eq!(Document::decode(b"li1ei2ei3ee", &limits).unwrap_err(), Error::TooManyTokens { at: 10, limit: 4 });
        let limits = Limits { input_length: 4, ..Limits::default() };
        assert_eq!(Document::decode(b"i1234e", &limits).unwrap_err(), Error::InputTooLong { length: 6, limit: 4 });
    }

    #[test]
    fn long_hostile_inputs_end_at_once_or_in_one_pass() {
        assert_eq!(error(&vec![b'5'; 1 << 20]), Error::LengthOverflow { at: 0 });
        assert_eq!(error(&[vec![b'i'], vec![b'5'; 1 << 20]].concat()), Error::IntegerOverflow { at: 0 });
        // 200,000 keys in descending order, each with a dictionary in it: a walk per key would not end today.
        let mut source = vec![b'd'];
        for i in (0..200_000).rev() {
            source.extend_from_slice(format!("6:{i:06}d1:bi1e1:ai1ee").as_bytes());
        }
        source.push(b'e');
        let document = Document::decode(&source, &Limits::default()).unwrap();
        assert_eq!(document.root().as_dict().unwrap().iter().count(), 200_000);
        let end = source.len() - 1;
        source.splice(end.., *b"6:000007lee");
        assert_eq!(error(&source), Error::DuplicateKey { at: end });
    }

    #[test]
    fn a_message_cut_anywhere_is_one_error_at_a_byte_within_it() {
        let whole = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:yi-7ee";
        assert!(Document::decode(whole, &Limits::default()).is_ok());
        for cut in 0..whole.len() {
            let error = error(&whole[..cut]);
            assert!(matches!(error, Error::UnexpectedEnd { .. } | Error::StringPastEnd { .. }), "{cut}: {error}");
            assert!(error.position() <= cut);
            assert!(error.to_string().ends_with(&format!("at byte {}", error.position())));
        }
    }
}
