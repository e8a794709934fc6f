//! What a peer tells a tracker and a tracker a peer, whether over HTTP or UDP: events, progress, and words for people.
//!
//! The bytes are those of [`http_tracker`](super::http_tracker) and [`udp_tracker`](super::udp_tracker).
//!
//! ```
//! use bip::proto::announce::{Progress, Reason};
//! assert!(Progress { left: 0, ..Progress::default() }.is_seed());
//! assert!(!Progress { left: Progress::UNKNOWN, ..Progress::default() }.is_seed());
//! assert_eq!(Reason::new(b"go \x1b[31maway").to_string(), "go \\u{1b}[31maway");
//! ```

use std::fmt;

/// Why an announce is made (BEP 3, BEP 15, BEP 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Event {
    /// Nothing happened; the interval is over.
    #[default]
    None,
    /// The last piece that was missing has come.
    Completed,
    /// The torrent was started.
    Started,
    /// The torrent was stopped.
    Stopped,
    /// The peer is a partial seed: it has not all and wants no more (BEP 21).
    ///
    /// BEP 15 has no number for it; it is written as 4 over UDP, as libtorrent does.
    Paused,
}

impl Event {
    /// Gives the event's name in the query of an HTTP announce; empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Completed => "completed",
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
        }
    }

    /// Gives the event of a name, also of `empty` (BEP 3).
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"" | b"empty" => Self::None,
            b"completed" => Self::Completed,
            b"started" => Self::Started,
            b"stopped" => Self::Stopped,
            b"paused" => Self::Paused,
            _ => return None,
        })
    }

    /// Gives the event's number in a UDP announce.
    pub fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Completed => 1,
            Self::Started => 2,
            Self::Stopped => 3,
            Self::Paused => 4,
        }
    }

    /// Gives the event of a number.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::None, Self::Completed, Self::Started, Self::Stopped, Self::Paused]
            .into_iter()
            .find(|e| e.number() == number)
    }
}

/// How far a peer is with a torrent, in bytes.
///
/// No value that was decoded is over [`Progress::UNKNOWN`], and none is written that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Progress {
    /// What was sent to other peers since the torrent was started.
    pub uploaded: u64,
    /// What came from other peers since the torrent was started.
    pub downloaded: u64,
    /// What is still missing.
    pub left: u64,
}

impl Progress {
    /// What is left where that is not known, as for a magnet link whose metadata has not come: 2^63 - 1.
    ///
    /// Trackers only look whether it is 0. A negative `left`, which some clients send to say the same, is read as this.
    pub const UNKNOWN: u64 = i64::MAX as u64;

    /// Says whether the peer has all of the torrent.
    pub fn is_seed(&self) -> bool {
        self.left == 0
    }
}

/// Words of a tracker for the user, borrowed: why it refused, or a warning.
///
/// They are whatever bytes the tracker sent. Shown, they are UTF-8 as far as they can be, at most [`Reason::SHOWN`] characters,
/// and without anything that a terminal would obey.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Reason<'a>(&'a [u8]);

impl<'a> Reason<'a> {
    /// How many characters are shown at most: 256.
    pub const SHOWN: usize = 256;

    /// Takes bytes as they came.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Gives the bytes as they came.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl<'a> From<&'a str> for Reason<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let characters = self.0.utf8_chunks().flat_map(|chunk| {
            let replaced = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
            chunk.valid().chars().chain(replaced.chars())
        });
        for (shown, character) in characters.enumerate() {
            if shown == Self::SHOWN {
                return f.write_str("…");
            }
            if is_obeyed(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reason({self})")
    }
}

/// Control characters, and those that turn the direction of the text around them.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_a_name_and_a_number_of_its_own() {
        for event in [Event::None, Event::Completed, Event::Started, Event::Stopped, Event::Paused] {
            assert_eq!(Event::from_name(event.name().as_bytes()), Some(event));
            assert_eq!(Event::from_number(event.number()), Some(event));
        }
        assert_eq!(Event::from_name(b"empty"), Some(Event::None));
        assert_eq!((Event::from_name(b"Started"), Event::from_number(5)), (None, None));
    }

    #[test]
    fn the_words_of_a_tracker_cannot_drive_a_terminal_and_end_somewhere() {
        let shown = Reason::new("\x1b[2J\n\u{202e}txt.exe \u{fffd}".as_bytes()).to_string();
        assert_eq!(shown, "\\u{1b}[2J\\u{a}\\u{202e}txt.exe \u{fffd}");
        assert_eq!(Reason::new(b"a\xffb\xc3").to_string(), "a\u{fffd}b\u{fffd}");
        let long = "é".repeat(10_000);
        assert_eq!(Reason::from(&long[..]).to_string(), format!("{}…", "é".repeat(256)));
        assert_eq!(Reason::from(&long[..512]).to_string(), "é".repeat(256));
        assert_eq!(format!("{:?}", Reason::from("a\nb")), "Reason(a\\u{a}b)");
    }
}
