//! The URLs of trackers and of web seeds: taken apart, and shown without what is secret in them (BEP 3, BEP 15, BEP 48).
//!
//! This is the part of RFC 3986 that such URLs use. A [`TrackerUrl`] is kept in one form that can be sent as it is:
//!
//! - the scheme (`http`, `https`, `udp`) and the host are in lower case; the default port is not written;
//! - the path of `http` and `https` is at least `/`; a fragment (`#…`) is dropped;
//! - what may not stand in a request (`"<>\^`{|}` and bytes that are not ASCII) is percent-encoded in path and query, and nothing
//!   else is changed there: a passkey stays what it is.
//!
//! Refused are: control characters and spaces anywhere, other schemes, a host that is missing or that a resolver could take for
//! something else (an IPv4 address in hexadecimal or with parts missing, `a@b@c`), names that are not ASCII, port 0, and more than
//! [`MAX_LEN`] bytes.
//!
//! # Secrets
//!
//! URLs of private trackers hold a passkey that lets anybody use its owner's account: in the query, in a part of the path, or as a
//! password. So `Display` and `Debug`, which end in logs, show none of these; [`TrackerUrl::as_str`] gives the whole. A passkey in the
//! name of the host is shown; nothing tells it from any other name.
//!
//! ```
//! use bip::proto::tracker_url::{Scheme, TrackerUrl};
//! let url: TrackerUrl = "HTTP://Tracker.Example:8080/1f2e3d/announce?uk=4c5b#x".parse()?;
//! assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Http, "tracker.example", 8080));
//! assert_eq!((url.path(), url.query()), ("/1f2e3d/announce", Some("uk=4c5b")));
//! assert_eq!(url.as_str(), "http://tracker.example:8080/1f2e3d/announce?uk=4c5b");
//! assert_eq!(url.to_string(), "http://tracker.example:8080/…/announce?…");
//! assert_eq!(url.scrape().unwrap().path(), "/1f2e3d/scrape");
//! # Ok::<(), bip::proto::tracker_url::Error>(())
//! ```

mod error;
mod host;
mod url;

pub use error::Error;
pub(super) use host::is_name;
pub use url::{Scheme, TrackerUrl};

/// How long a URL may be, in bytes, as given and as kept: 4096.
pub const MAX_LEN: usize = 4096;

/// How long a host's name may be, in bytes: 253.
pub const MAX_HOST_LEN: usize = 253;
