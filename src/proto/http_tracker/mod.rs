//! The HTTP tracker protocol: announce and scrape, both sides of each (BEP 3, 7, 21, 23, 24, 31, 48).
//!
//! ```text
//! client                                                tracker
//! AnnounceRequest::write_url, write_scrape_url   --->   AnnounceRequest::parse, parse_scrape     the query of a URL
//! decode_announce, decode_scrape                 <---   encode_announce, encode_full_announce,   the body of the answer
//!                                                       encode_failure, encode_scrape
//! ```
//!
//! Only the query and the body are here. How they travel (HTTP, TLS, redirects, compression) is not.
//!
//! ```
//! use bip::proto::announce::{Event, Progress};
//! use bip::proto::http_tracker::{self, AnnounceRequest, Info, Limits, Reply};
//! use bip::proto::id::{InfoHash, PeerId};
//!
//! // The client asks.
//! let request = AnnounceRequest {
//!     progress: Progress { left: 1000, ..Progress::default() },
//!     event: Event::Started,
//!     ..AnnounceRequest::new(InfoHash([b' '; 20]), PeerId(*b"-bp0100-abcdefghijkl"), 6881)
//! };
//! let mut url = String::new();
//! request.write_url(&"http://tracker.example/announce?pass=key".parse()?, &mut url)?;
//! assert!(url.starts_with("http://tracker.example/announce?pass=key&info_hash=%20%20%20"));
//!
//! // The tracker reads the query and answers.
//! let (_, query) = url.split_once('?').unwrap();
//! assert_eq!(AnnounceRequest::parse(query.as_bytes())?, request);
//! let mut body = Vec::new();
//! let info = Info { interval: Some(1800), ..Info::default() };
//! http_tracker::encode_announce(&info, ["192.0.2.1:6881".parse()?, "[2001:db8::1]:6881".parse()?], &mut body);
//!
//! // The client reads that.
//! let Reply::Success(reply) = http_tracker::decode_announce(&body, &Limits::default())? else { panic!("refused") };
//! assert_eq!(reply.info.interval, Some(1800));
//! assert_eq!(reply.addresses().count(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a client accepts
//!
//! - Peers in compact form or as dictionaries, whatever was asked for (BEP 23), and IPv6 peers in `peers6` (BEP 7).
//! - A single peer or torrent that is malformed is left out and counted, as are those over the [`Limits`]; the rest stands.
//! - A number that is negative or not a number, or a text that is none, is as one that is missing. So is a tracker id of more than
//!   [`MAX_TRACKER_ID`] bytes: it would be sent with every announce.
//! - Bytes after the dictionary are left alone.
//! - Nothing else: an answer must be a dictionary with a failure, an interval or peers; nesting is limited to 8.
//!
//! # What a tracker accepts
//!
//! - `info_hash`, `peer_id`, `port` and `left` must be there, the first three once. Of other keys that come twice the first counts.
//!   Keys that are not known are ignored, and so are their values.
//! - An escape (`%41`) must be whole. A `+` is a plus: BEP 3 speaks of the escapes of URLs, in which it is no space, and clients that
//!   do not escape it mean it.
//! - Numbers must be numbers. One that is too large is as large as can be; a negative one is read as 0, a negative `left` as
//!   [`Progress::UNKNOWN`](super::announce::Progress::UNKNOWN), a negative `numwant` as the default.
//! - Port 0 is read as it stands: such a peer cannot be reached and is for the tracker to leave out.
//! - An `ip` that is a name is ignored: nobody should look up what strangers write.
//! - A query has at most [`MAX_QUERY`] bytes, a scrape at most [`MAX_SCRAPE`] info hashes.

mod error;
mod found;
mod query;
mod reply;
mod request;
mod scrape;
mod writer;

pub use error::{ReplyError, RequestError, UrlError};
pub use query::escape;
pub use reply::{
    AnnounceReply, Failure, Host, Info, Limits, MAX_TRACKER_ID, Peer, PeerList, Reply, Retry, decode_announce,
};
pub use request::{AnnounceRequest, Crypto, MAX_QUERY};
pub use scrape::{MAX_SCRAPE, ScrapeFile, ScrapeReply, decode_scrape, encode_scrape, parse_scrape, write_scrape_url};
pub use writer::{encode_announce, encode_failure, encode_full_announce};
