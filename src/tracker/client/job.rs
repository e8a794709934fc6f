//! Work that blocks: names and HTTP.

use super::command::Trust;
use super::error::Error;
use crate::proto::compact::Family;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Work of a client's that blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Job {
    /// Resolve a name.
    Resolve {
        /// The name.
        name: String,
    },
    /// Fetch something over HTTP ([`http`](super::http)).
    Fetch(Box<Fetch>),
}

/// An HTTP request.
#[derive(Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The URL with all that is asked. Secret: it is not shown.
    pub url: String,
    /// The addresses of the URL's host, to be tried in this order. Names that redirects lead to are looked up by the executor.
    pub addresses: Vec<SocketAddr>,
    /// The family that redirects have to keep to as well.
    pub family: Option<Family>,
    /// Who named the tracker.
    pub trust: Trust,
    /// How long it may take.
    pub timeout: Duration,
    /// How long of this the connection may take, each time there is one.
    pub connect_timeout: Duration,
    /// How long the body is at most, uncompressed, in bytes.
    pub max_reply: usize,
    /// Redirects that are followed.
    pub max_redirects: u32,
    /// Who asks.
    pub user_agent: String,
    /// Whom to believe who a server is ([`Config::roots`](super::Config::roots)).
    #[cfg(feature = "https")]
    pub roots: Option<super::Roots>,
}

impl fmt::Debug for Fetch {
    /// The URL is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("addresses", &self.addresses)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// An HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The status code, which is no redirect's.
    pub code: u16,
    /// The body, uncompressed.
    pub body: Vec<u8>,
}

/// What became of a [`Job`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done {
    /// The addresses of a name, whose ports mean nothing; or why there are none.
    Resolved(Result<Vec<SocketAddr>, String>),
    /// What was fetched, or why nothing was.
    Fetched(Result<Fetched, Error>),
}
