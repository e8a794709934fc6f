//! One pass over one value, whatever is in it, without recursion: [`Document`](super::Document) keeps what it comes across,
//! [`Cursor`](super::Cursor) skips with it what its user does not read.

use super::error::{Error, push_key};
use super::rules::{Rules, Warning, Warnings};
use super::scan::{Level, Scan};

/// Where in an input a walk is, how much it may still do, and what it came across.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) at: usize,
    /// How many more tokens there may be.
    pub(super) tokens: usize,
    pub(super) warnings: Warnings,
}

/// What holds for the whole of a walk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) scan: Scan,
    /// How many lists and dictionaries may be open.
    pub(super) depth: usize,
    /// How many tokens there may be in all; for errors.
    pub(super) tokens: usize,
}

/// What is told of each token, in order, and keeps the levels that are open outside the innermost one.
pub(super) trait Visit {
    fn integer(&mut self, at: usize);

    /// A string that is a value, or a key, and its bytes end at `end`.
    fn string(&mut self, at: usize, bytes: &[u8], end: usize);

    /// Takes a list that begins at `at`, with `open` lists and dictionaries begun before it, as a whole: gives where it ends, and how many
    /// tokens there are after its first.
    #[inline(always)]
    fn whole(&mut self, _source: &[u8], _at: usize, _open: usize) -> Option<(usize, usize)> {
        None
    }

    /// A list or dictionary begins within `outer`, with `open` of them begun before it. Gives whether there was room for it.
    fn begin(&mut self, dict: bool, at: usize, outer: Level, open: usize) -> bool;

    /// A key came that is smaller than the one before it.
    fn unsorted(&mut self);

    /// The innermost level ends, which was begun with `open` before it: gives the one that it began in.
    fn end(&mut self, at: usize, open: usize, bounds: &Bounds, warnings: &mut Warnings) -> Result<Level, Error>;
}

/// Why a walk ended before its value did.
pub(super) enum Stop {
    Error(Error),
    /// There was no room for another level.
    Full,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Goes over the value that starts at `place`, within `outside` open lists and dictionaries.
#[inline(always)]
pub(super) fn walk<V: Visit>(
    source: &[u8],
    place: Place,
    bounds: &Bounds,
    outside: usize,
    visit: &mut V,
) -> Result<Place, Stop> {
    let Bounds { scan, depth, tokens: token_limit } = *bounds;
    let Place { mut at, mut tokens, mut warnings } = place;
    let room = depth.saturating_sub(outside);
    let mut level = Level::LIST;
    let mut open = 0;
    macro_rules! count {
        () => {
            let Some(left) = tokens.checked_sub(1) else {
                return Err(Error::TooManyTokens { at, limit: token_limit }.into());
            };
            tokens = left;
        };
    }
    macro_rules! note {
        ($odd:expr) => {{
            let (read, warning) = $odd;
            if let Some(warning) = warning {
                warnings = warnings.with(warning);
            }
            read
        }};
    }
    loop {
        // A value, or a key, or an end. The first time it is the value that the walk is over.
        let Some(&(mut byte)) = source.get(at) else {
            return Err(Error::UnexpectedEnd { at, expected: expected(level, open) }.into());
        };
        count!();
        if byte == b'e' && open > 0 {
            open -= 1;
            level = visit.end(at, open, bounds, &mut warnings)?;
            at += 1;
            if open == 0 {
                return Ok(Place { at, tokens, warnings });
            }
            continue;
        }
        if level.is_dict() {
            if !byte.is_ascii_digit() {
                return Err(Error::KeyNotString { at }.into());
            }
            let (key, end) = match scan.string(source, at, byte) {
                Some(read) => read,
                None => note!(scan.odd_string(source, at)?),
            };
            let next = Level::dict(at, key);
            if !next.is_after(level) {
                if let Some(warning) = scan.order(source, level, key, at)? {
                    warnings = warnings.with(warning);
                    if matches!(warning, Warning::UnsortedKey { .. }) {
                        visit.unsorted();
                    }
                }
            }
            level = next;
            visit.string(at, key, end);
            at = end;
            let Some(&value) = source.get(at) else {
                return Err(Error::UnexpectedEnd { at, expected: "a value" }.into());
            };
            byte = value;
            count!();
        }
        match byte {
            b'0'..=b'9' => {
                let (bytes, end) = match scan.string(source, at, byte) {
                    Some(read) => read,
                    None => note!(scan.odd_string(source, at)?),
                };
                visit.string(at, bytes, end);
                at = end;
            }
            b'i' => {
                let (_, end) = match scan.integer(source, at) {
                    Some(read) => read,
                    None => note!(scan.odd_integer(source, at)?),
                };
                visit.integer(at);
                at = end;
            }
            b'l' | b'd' => {
                let whole = if byte == b'l' { visit.whole(source, at, open) } else { None };
                if let Some((end, left)) = whole.and_then(|(end, count)| Some((end, tokens.checked_sub(count)?))) {
                    (at, tokens) = (end, left);
                    continue;
                }
                if open >= room {
                    return Err(Error::TooDeep { at, limit: depth }.into());
                }
                if !visit.begin(byte == b'd', at, level, open) {
                    return Err(Stop::Full);
                }
                level = if byte == b'd' { Level::DICT } else { Level::LIST };
                open += 1;
                at += 1;
                continue;
            }
            // A value that a walk begins with, within something, is a dictionary's: in a list the end would have been seen.
            b'e' if level.is_dict() || open == 0 && outside > 0 => return Err(Error::MissingValue { at }.into()),
            _ => return Err(Error::UnexpectedByte { at, byte, expected: "a value" }.into()),
        }
        if open == 0 {
            return Ok(Place { at, tokens, warnings });
        }
    }
}

#[cold]
fn expected(level: Level, open: usize) -> &'static str {
    match (open, level.is_dict()) {
        (0, _) => "a value",
        (_, false) => "a value or the end of the list",
        (_, true) => "a key or the end of the dictionary",
    }
}

/// Keeps the open levels and nothing else, up to `N` of them.
struct Skip<const N: usize>([Level; N]);

impl<const N: usize> Visit for Skip<N> {
    #[inline(always)]
    fn integer(&mut self, _: usize) {}

    #[inline(always)]
    fn string(&mut self, _: usize, _: &[u8], _: usize) {}

    #[inline(always)]
    fn begin(&mut self, _: bool, _: usize, outer: Level, open: usize) -> bool {
        self.0.get_mut(open).map(|kept| *kept = outer).is_some()
    }

    #[inline(always)]
    fn unsorted(&mut self) {}

    #[inline(always)]
    fn end(&mut self, _: usize, open: usize, _: &Bounds, _: &mut Warnings) -> Result<Level, Error> {
        Ok(self.0.get(open).copied().unwrap_or(Level::LIST))
    }
}

/// How many levels a [`Skip`] can keep at most.
pub(super) const MAX_DEPTH: usize = 256;

/// Checks the list or dictionary that starts at `at`, within `outside` open ones, and gives where it ends. Takes a [`Place`] and [`Bounds`] (of
/// these, `limits` are the depth and the tokens) as plain values: what is passed by reference makes the caller keep its state in memory.
#[inline(never)]
pub(super) fn skip(
    source: &[u8],
    at: usize,
    tokens: usize,
    warnings: Warnings,
    scan: Scan,
    limits: (usize, usize),
    outside: usize,
) -> Result<Place, Error> {
    let place = Place { at, tokens, warnings };
    let bounds = Bounds { scan, depth: limits.0, tokens: limits.1 };
    // A small array costs nothing to make. What is deeper (nothing usual is) starts anew with the big one.
    let mut small = Skip([Level::LIST; 8]);
    match walk(source, place, &bounds, outside, &mut small) {
        Ok(end) => Ok(end),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Full) => skip_deep(source, place, &bounds, outside),
    }
}

#[cold]
#[inline(never)]
fn skip_deep(source: &[u8], place: Place, bounds: &Bounds, outside: usize) -> Result<Place, Error> {
    let mut big = Skip([Level::LIST; MAX_DEPTH]);
    match walk(source, place, bounds, outside, &mut big) {
        Ok(end) => Ok(end),
        Err(Stop::Error(error)) => Err(error),
        // The depth that a cursor permits is never more than there is room for.
        Err(Stop::Full) => Err(Error::TooDeep { at: place.at, limit: MAX_DEPTH }),
    }
}

/// Keeps the way to where the walk is.
struct Way {
    levels: Vec<Step>,
}

/// One level on the way.
enum Step {
    /// How many elements came before.
    List(usize),
    /// Where the last key starts and what it is, and whether its value has not come yet.
    Dict { at: usize, key: Vec<u8>, value: bool },
}

impl Way {
    fn element(&mut self) {
        match self.levels.last_mut() {
            Some(Step::List(count)) => *count += 1,
            Some(Step::Dict { value, .. }) => *value = false,
            None => {}
        }
    }
}

impl Visit for Way {
    fn integer(&mut self, _: usize) {
        self.element();
    }

    fn string(&mut self, start: usize, bytes: &[u8], _: usize) {
        match self.levels.last_mut() {
            Some(Step::Dict { at, key, value }) if !*value => {
                (*at, *value) = (start, true);
                key.clear();
                key.extend_from_slice(bytes);
            }
            _ => self.element(),
        }
    }

    fn begin(&mut self, dict: bool, _: usize, _: Level, _: usize) -> bool {
        self.levels.push(if dict { Step::Dict { at: 0, key: Vec::new(), value: false } } else { Step::List(0) });
        true
    }

    fn unsorted(&mut self) {}

    fn end(&mut self, _: usize, _: usize, _: &Bounds, _: &mut Warnings) -> Result<Level, Error> {
        self.levels.pop();
        self.element();
        Ok(match self.levels.last() {
            Some(Step::Dict { at, key, .. }) => Level::dict(*at, key),
            _ => Level::LIST,
        })
    }
}

/// Gives the way from the root to the value that starts at `target`, such as `info.files[3].length`, by a walk over all that
/// stands before it. For errors only.
#[cold]
#[inline(never)]
pub(super) fn path_to(source: &[u8], target: usize) -> String {
    let scan = Scan::new(target, Rules::LENIENT);
    let bounds = Bounds { scan, depth: usize::MAX, tokens: usize::MAX };
    let start = Place { at: 0, tokens: usize::MAX, warnings: Warnings::default() };
    // What stands before the value has been read before; so the walk ends for want of the value, and nothing else.
    let before = source.get(..target).unwrap_or_default();
    let mut way = Way { levels: Vec::new() };
    let _ = walk(before, start, &bounds, 0, &mut way);
    let mut path = String::new();
    for step in way.levels {
        match step {
            Step::List(count) => path.push_str(&format!("[{count}]")),
            Step::Dict { key, .. } => push_key(&mut path, &key),
        }
    }
    path
}
