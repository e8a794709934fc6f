//! One pass over one value, whatever is in it, without recursion: [`Document`](super::Document) keeps what it comes across,
//! [`Cursor`](super::Cursor) skips with it what its user does not read.

use super::error::{Error, push_key};
use super::rules::{Rules, Warning, Warnings};
use super::scan::{Scan, Text};

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

/// The list or dictionary that a walk is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    List,
    /// With the last key.
    Dict(Option<Text>),
}

/// What is told of each token, in order, and keeps the levels that are open outside the innermost one.
pub(super) trait Visit {
    fn integer(&mut self, at: usize);

    /// A string that is a value, or a key.
    fn string(&mut self, at: usize, text: Text);

    /// A list or dictionary begins within `outer`. Gives whether there was room for it.
    fn begin(&mut self, dict: bool, at: usize, outer: Level) -> bool;

    /// A key came that is smaller than the one before it.
    fn unsorted(&mut self);

    /// The innermost level ends: gives the one that it began in.
    fn end(&mut self, at: usize, bounds: &Bounds, warnings: &mut Warnings) -> Result<Level, Error>;
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
    let mut level = Level::List;
    let mut open = outside;
    macro_rules! count {
        () => {
            let Some(left) = tokens.checked_sub(1) else {
                return Err(Error::TooManyTokens { at, limit: token_limit }.into());
            };
            tokens = left;
        };
    }
    macro_rules! noted {
        ($odd:expr) => {{
            let (value, warning) = $odd?;
            if let Some(warning) = warning {
                warnings = warnings.with(warning);
            }
            value
        }};
    }
    loop {
        // A value, or a key, or an end. The first time it is the begin itself: no end can stand there.
        let Some(&(mut byte)) = source.get(at) else {
            let expected = match level {
                _ if open == outside => "a value",
                Level::List => "a value or the end of the list",
                Level::Dict(_) => "a key or the end of the dictionary",
            };
            return Err(Error::UnexpectedEnd { at, expected }.into());
        };
        count!();
        if byte == b'e' && open > outside {
            level = visit.end(at, bounds, &mut warnings)?;
            open -= 1;
            at += 1;
            if open == outside {
                return Ok(Place { at, tokens, warnings });
            }
            continue;
        }
        if let Level::Dict(last) = level {
            if !byte.is_ascii_digit() {
                return Err(Error::KeyNotString { at }.into());
            }
            let key = noted!(scan.string(source, at, byte));
            if let Some(last) = last {
                let text = |(start, end): Text| source.get(start..end).unwrap_or_default();
                let warning = scan.order(text(last), text(key), at)?;
                if let Some(warning) = warning {
                    warnings = warnings.with(warning);
                    if matches!(warning, Warning::UnsortedKey { .. }) {
                        visit.unsorted();
                    }
                }
            }
            level = Level::Dict(Some(key));
            visit.string(at, key);
            at = key.1;
            let Some(&value) = source.get(at) else {
                return Err(Error::UnexpectedEnd { at, expected: "a value" }.into());
            };
            byte = value;
            count!();
        }
        match byte {
            b'0'..=b'9' => {
                let text = noted!(scan.string(source, at, byte));
                visit.string(at, text);
                at = text.1;
                if open == outside {
                    return Ok(Place { at, tokens, warnings });
                }
            }
            b'i' => {
                let (_, end) = noted!(scan.integer(source, at));
                visit.integer(at);
                at = end;
                if open == outside {
                    return Ok(Place { at, tokens, warnings });
                }
            }
            b'l' | b'd' => {
                if open >= depth {
                    return Err(Error::TooDeep { at, limit: depth }.into());
                }
                if !visit.begin(byte == b'd', at, level) {
                    return Err(Stop::Full);
                }
                level = if byte == b'd' { Level::Dict(None) } else { Level::List };
                open += 1;
                at += 1;
            }
            // A value that a walk begins with, within something, is a dictionary's: in a list the end would have been seen.
            b'e' if matches!(level, Level::Dict(_)) || open == outside && outside > 0 => {
                return Err(Error::MissingValue { at }.into());
            }
            _ => return Err(Error::UnexpectedByte { at, byte, expected: "a value" }.into()),
        }
    }
}

/// Keeps the open levels and nothing else, up to `N` of them.
struct Skip<const N: usize> {
    levels: [(u32, u32); N],
    used: usize,
}

/// Stands for a list among the levels: no key ends before it starts.
const LIST: (u32, u32) = (1, 0);

impl<const N: usize> Visit for Skip<N> {
    #[inline(always)]
    fn integer(&mut self, _: usize) {}

    #[inline(always)]
    fn string(&mut self, _: usize, _: Text) {}

    #[inline(always)]
    fn begin(&mut self, _: bool, _: usize, outer: Level) -> bool {
        let Some(kept) = self.levels.get_mut(self.used) else { return false };
        *kept = match outer {
            // Inputs are shorter than 2^32.
            Level::Dict(Some((start, end))) => (start as u32, end as u32),
            _ => LIST,
        };
        self.used += 1;
        true
    }

    #[inline(always)]
    fn unsorted(&mut self) {}

    #[inline(always)]
    fn end(&mut self, _: usize, _: &Bounds, _: &mut Warnings) -> Result<Level, Error> {
        self.used = self.used.saturating_sub(1);
        Ok(match self.levels.get(self.used).copied().unwrap_or(LIST) {
            LIST => Level::List,
            (start, end) => Level::Dict(Some((start as usize, end as usize))),
        })
    }
}

/// How many levels a [`Skip`] can keep at most.
pub(super) const MAX_DEPTH: usize = 256;

/// Checks the list or dictionary that starts at `place`, within `outside` open ones, and gives where it ends.
#[inline(never)]
pub(super) fn skip(source: &[u8], place: Place, bounds: Bounds, outside: usize) -> Result<Place, Error> {
    // A small array costs nothing to make. What is deeper (nothing usual is) starts anew with the big one.
    let mut small = Skip { levels: [LIST; 8], used: 0 };
    match walk(source, place, &bounds, outside, &mut small) {
        Ok(end) => Ok(end),
        Err(Stop::Error(error)) => Err(error),
        Err(Stop::Full) => skip_deep(source, place, &bounds, outside),
    }
}

#[cold]
#[inline(never)]
fn skip_deep(source: &[u8], place: Place, bounds: &Bounds, outside: usize) -> Result<Place, Error> {
    let mut big = Skip { levels: [LIST; MAX_DEPTH], used: 0 };
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

struct Step {
    level: Level,
    /// How many elements of the list came before; whether a dictionary is between a key and its value.
    count: usize,
    value: bool,
}

impl Way {
    fn element(&mut self) {
        if let Some(step) = self.levels.last_mut() {
            step.count += 1;
            step.value = false;
        }
    }
}

impl Visit for Way {
    fn integer(&mut self, _: usize) {
        self.element();
    }

    fn string(&mut self, _: usize, text: Text) {
        match self.levels.last_mut() {
            Some(Step { level: Level::Dict(key), value: value @ false, .. }) => {
                *key = Some(text);
                *value = true;
            }
            _ => self.element(),
        }
    }

    fn begin(&mut self, dict: bool, _: usize, _: Level) -> bool {
        let level = if dict { Level::Dict(None) } else { Level::List };
        self.levels.push(Step { level, count: 0, value: false });
        true
    }

    fn unsorted(&mut self) {}

    fn end(&mut self, _: usize, _: &Bounds, _: &mut Warnings) -> Result<Level, Error> {
        self.levels.pop();
        self.element();
        Ok(self.levels.last().map_or(Level::List, |step| step.level))
    }
}

/// Gives the way from the root to the value that starts at `target`, such as `info.files[3].length`, by a walk over all that
/// stands before it. For errors only.
#[cold]
#[inline(never)]
pub(super) fn path_to(source: &[u8], target: usize) -> String {
    let scan = Scan { string_length: usize::MAX, rules: Rules::LENIENT };
    let bounds = Bounds { scan, depth: usize::MAX, tokens: usize::MAX };
    let mut way = Way { levels: Vec::new() };
    // What stands before the value has been read before; so the walk ends for want of the value, and nothing else.
    let before = source.get(..target).unwrap_or_default();
    let _ = walk(before, Place { at: 0, tokens: usize::MAX, warnings: Warnings::default() }, &bounds, 0, &mut way);
    let mut path = String::new();
    for step in way.levels {
        match step.level {
            Level::List => path.push_str(&format!("[{}]", step.count)),
            Level::Dict(Some((start, end))) => push_key(&mut path, source.get(start..end).unwrap_or_default()),
            Level::Dict(None) => {}
        }
    }
    path
}
