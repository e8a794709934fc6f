//! Why a request has no answer.

use crate::proto::compact::Family;
use crate::proto::http_tracker::{ReplyError, Retry, UrlError};
use crate::proto::tracker_url::Scheme;
use std::fmt;

/// Why a tracker could not be asked, or did not answer what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// As many requests, or torrents, as there may be are under way.
    Busy,
    /// The name for it is in use: by a request that is not answered, or a torrent that is followed.
    Duplicate,
    /// A scrape for no torrent, or for more than [`Config::max_scrape`](super::Config::max_scrape).
    WrongCount {
        /// For how many.
        hashes: usize,
    },
    /// The library was built without what this scheme takes.
    NoFeature {
        /// The scheme.
        scheme: Scheme,
    },
    /// The tracker's URL cannot be asked.
    Url(UrlError),
    /// The name of the host could not be looked up.
    Name {
        /// Why not, in the system's words.
        reason: String,
    },
    /// The host has no address of the family that was asked for, or of none that the client has a socket of.
    NoAddress {
        /// The family, where one was asked for.
        family: Option<Family>,
    },
    /// The URL, or a redirect, leads to where strangers must not send us, or where no tracker is.
    Forbidden,
    /// Nothing came in time.
    TimedOut,
    /// The tracker refused.
    Refused {
        /// Why, in the tracker's words, without what a terminal would obey.
        reason: String,
        /// When to ask again, if it says so (BEP 31).
        retry: Option<Retry>,
    },
    /// The answer cannot be read.
    Malformed(ReplyError),
    /// HTTP: the answer is no success, and has no words of a tracker.
    Status {
        /// The status code.
        code: u16,
    },
    /// HTTP: the answer is longer than [`Config::max_reply`](super::Config::max_reply).
    TooLong,
    /// HTTP: there are more redirects than [`Config::max_redirects`](super::Config::max_redirects).
    TooManyRedirects,
    /// HTTP: the connection or TLS failed.
    Connection {
        /// Why. No URL is in it.
        reason: String,
    },
    /// The host does no such jobs: it has no threads for names and HTTP.
    NoJobs,
    /// The program wanted no more of it.
    Cancelled,
    /// The client ends.
    ShutDown,
}

impl Error {
    /// Says whether asking again later is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Error::NoFeature { .. } | Error::Url(_) | Error::Forbidden | Error::NoJobs => true,
            Error::Refused { retry, .. } => *retry == Some(Retry::Never),
            _ => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Busy => f.write_str("as many requests as there may be are under way"),
            Error::Duplicate => f.write_str("it is under way already"),
            Error::WrongCount { hashes } => write!(f, "a scrape for {hashes} torrents"),
            Error::NoFeature { scheme } => {
                write!(f, "trackers with `{0}` take the feature `{0}`, without which this was built", scheme.name())
            }
            Error::Url(error) => error.fmt(f),
            Error::Name { reason } => f.write_str(reason),
            Error::NoAddress { family: None } => {
                f.write_str("the tracker has no address that can be reached from here")
            }
            Error::NoAddress { family: Some(Family::V4) } => f.write_str("the tracker has no IPv4 address"),
            Error::NoAddress { family: Some(Family::V6) } => f.write_str("the tracker has no IPv6 address"),
            Error::Forbidden => f.write_str(
                "it leads to an address that is not of the Internet, and to no tracker of the user's own there",
            ),
            Error::TimedOut => f.write_str("the tracker does not answer"),
            Error::Refused { reason, retry } => {
                write!(f, "the tracker refuses: {reason}")?;
                match retry {
                    Some(Retry::Minutes(minutes)) => write!(f, " (again in {minutes} min)"),
                    Some(Retry::Never) => f.write_str(" (for ever)"),
                    None => Ok(()),
                }
            }
            Error::Malformed(error) => error.fmt(f),
            Error::Status { code } => write!(f, "HTTP status {code}"),
            Error::TooLong => f.write_str("the answer is too long"),
            Error::TooManyRedirects => f.write_str("too many redirects"),
            Error::Connection { reason } => f.write_str(reason),
            Error::NoJobs => f.write_str("names and HTTP trackers take job threads, and this host has none"),
            Error::Cancelled => f.write_str("cancelled"),
            Error::ShutDown => f.write_str("the client ends"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Url(error) => Some(error),
            Error::Malformed(error) => Some(error),
            _ => None,
        }
    }
}
