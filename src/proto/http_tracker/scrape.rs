use super::error::{ReplyError, RequestError, UrlError};
use super::found::each_pair;
use super::query::{escape, write_base};
use super::reply::{Limits, Reply, failure, number};
use super::writer::{bytes, int};
use crate::proto::bencode::Document;
use crate::proto::id::InfoHash;
use crate::proto::tracker_url::TrackerUrl;

/// For how many torrents figures may be asked at once: 74, as over UDP.
pub const MAX_SCRAPE: usize = 74;

/// Appends the URL that asks for the figures of torrents: of the first [`MAX_SCRAPE`]. Says how many those are.
///
/// The URL given is the one of announces.
///
/// ```
/// use bip::proto::http_tracker::write_scrape_url;
/// use bip::proto::id::InfoHash;
/// let mut url = String::new();
/// let hashes = [InfoHash([b'x'; 20]), InfoHash([b'y'; 20])];
/// assert_eq!(write_scrape_url(&"http://tracker/announce".parse()?, hashes, &mut url)?, 2);
/// assert_eq!(url, "http://tracker/scrape?info_hash=xxxxxxxxxxxxxxxxxxxx&info_hash=yyyyyyyyyyyyyyyyyyyy");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The URL is not one of HTTP, its own query has a key of announces, or it does not say where to scrape. Nothing is appended then.
pub fn write_scrape_url(
    announce: &TrackerUrl,
    info_hashes: impl IntoIterator<Item = InfoHash>,
    out: &mut String,
) -> Result<usize, UrlError> {
    write_base(&announce.scrape().ok_or(UrlError::NoScrape)?, out)?;
    let mut written = 0;
    for hash in info_hashes.into_iter().take(MAX_SCRAPE) {
        out.push_str(if written == 0 { "info_hash=" } else { "&info_hash=" });
        escape(&hash.0, out);
        written += 1;
    }
    Ok(written)
}

/// Reads the query of a scrape, without its `?`: the torrents asked for, in the client's order, perhaps one more than once.
///
/// None at all is a question for all torrents, which few trackers answer.
///
/// # Errors
///
/// See [`RequestError`].
pub fn parse_scrape(query: &[u8]) -> Result<Vec<InfoHash>, RequestError> {
    let mut hashes = Vec::new();
    each_pair(query, &["info_hash"], |raw| {
        if hashes.len() == MAX_SCRAPE {
            return Err(RequestError::TooManyHashes);
        }
        hashes.push(InfoHash(raw.id()?));
        Ok(())
    })?;
    Ok(hashes)
}

/// What a tracker knows of one torrent; what it does not say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScrapeFile {
    /// The torrent.
    pub info_hash: InfoHash,
    /// How many peers have all of it.
    pub complete: Option<u32>,
    /// How many times it was downloaded in full.
    pub downloaded: Option<u32>,
    /// How many peers do not have all of it.
    pub incomplete: Option<u32>,
    /// How many of those are downloading; the others are partial seeds (BEP 21).
    pub downloaders: Option<u32>,
}

impl ScrapeFile {
    /// Makes the figures of a torrent of which nothing is known.
    pub fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, complete: None, downloaded: None, incomplete: None, downloaders: None }
    }
}

/// What a tracker answers to a scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeReply {
    /// The figures, in the tracker's order: perhaps of other torrents than were asked for.
    pub files: Vec<ScrapeFile>,
    /// How many seconds to wait before the next scrape, if the tracker says so (`flags`).
    pub min_request_interval: Option<u32>,
    /// How many torrents were left out: they were malformed, or over [`Limits::files`].
    pub dropped: usize,
}

/// Reads the body of an answer to a scrape.
///
/// ```
/// use bip::proto::http_tracker::{Limits, Reply, decode_scrape};
/// let body = b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19eeee";
/// let Reply::Success(reply) = decode_scrape(body, &Limits::default())? else { panic!("refused") };
/// assert_eq!((reply.files[0].complete, reply.files[0].incomplete), (Some(11), Some(19)));
/// # Ok::<(), bip::proto::http_tracker::ReplyError>(())
/// ```
///
/// # Errors
///
/// See [`ReplyError`].
pub fn decode_scrape<'a>(body: &'a [u8], limits: &Limits) -> Result<Reply<'a, ScrapeReply>, ReplyError> {
    let document = Document::decode_prefix(body, &limits.bencode())?;
    let root = document.root().dict()?;
    if let Some(failure) = failure(root) {
        return Ok(Reply::Failure(failure));
    }
    let expected = "`files` or `failure reason`";
    let files = root.get("files").and_then(|files| files.as_dict()).ok_or(ReplyError::NotAReply { expected })?;
    let flags = root.get("flags").and_then(|flags| flags.as_dict());
    let mut reply = ScrapeReply {
        files: Vec::new(),
        min_request_interval: flags.and_then(|flags| number(flags, "min_request_interval")),
        dropped: 0,
    };
    for (hash, file) in files {
        match (<[u8; 20]>::try_from(hash), file.as_dict()) {
            (Ok(hash), Some(file)) if reply.files.len() < limits.files => reply.files.push(ScrapeFile {
                info_hash: InfoHash(hash),
                complete: number(file, "complete"),
                downloaded: number(file, "downloaded"),
                incomplete: number(file, "incomplete"),
                downloaders: number(file, "downloaders"),
            }),
            _ => reply.dropped += 1,
        }
    }
    Ok(Reply::Success(reply))
}

/// Appends the body of an answer to a scrape. Of a torrent given twice the first figures are written.
pub fn encode_scrape(
    files: impl IntoIterator<Item = ScrapeFile>,
    min_request_interval: Option<u32>,
    out: &mut Vec<u8>,
) {
    let mut files: Vec<ScrapeFile> = files.into_iter().collect();
    // Stable, so that the first of equals stays.
    files.sort_by_key(|file| file.info_hash);
    files.dedup_by_key(|file| file.info_hash);
    out.push(b'd');
    bytes("files", out);
    out.push(b'd');
    for file in files {
        bytes(file.info_hash.0, out);
        out.push(b'd');
        for (key, count) in [
            ("complete", file.complete),
            ("downloaded", file.downloaded),
            ("downloaders", file.downloaders),
            ("incomplete", file.incomplete),
        ] {
            int(key, count, out);
        }
        out.push(b'e');
    }
    out.push(b'e');
    if min_request_interval.is_some() {
        bytes("flags", out);
        out.push(b'd');
        int("min_request_interval", min_request_interval, out);
        out.push(b'e');
    }
    out.push(b'e');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::announce::Reason;
    use proptest::prelude::*;

    fn decode(body: &[u8]) -> ScrapeReply {
        match decode_scrape(body, &Limits::default()).unwrap() {
            Reply::Success(reply) => reply,
            Reply::Failure(failure) => panic!("{failure:?}"),
        }
    }

    #[test]
    fn the_example_of_bep_48_is_read_and_written() {
        let body = b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19ee\
            20:yyyyyyyyyyyyyyyyyyyyd8:completei21e10:downloadedi206e10:incompletei20eeee";
        let file = |id, complete, downloaded, incomplete| ScrapeFile {
            complete: Some(complete),
            downloaded: Some(downloaded),
            incomplete: Some(incomplete),
            ..ScrapeFile::new(InfoHash([id; 20]))
        };
        let expected = [file(b'x', 11, 13772, 19), file(b'y', 21, 206, 20)];
        let reply = decode(body);
        assert_eq!(reply, ScrapeReply { files: expected.to_vec(), min_request_interval: None, dropped: 0 });
        let mut out = Vec::new();
        // In any order, and twice.
        encode_scrape([expected[1], expected[0], ScrapeFile::new(InfoHash([b'x'; 20]))], None, &mut out);
        assert_eq!(out, body);
    }

    #[test]
    fn flags_and_active_downloaders_are_read() {
        let body = b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd11:downloadersi3eee5:flagsd20:min_request_intervali900eee";
        let reply = decode(body);
        assert_eq!((reply.files[0].downloaders, reply.files[0].complete), (Some(3), None));
        assert_eq!(reply.min_request_interval, Some(900));
        let mut out = Vec::new();
        encode_scrape(reply.files, reply.min_request_interval, &mut out);
        assert_eq!(out, body);
    }

    #[test]
    fn a_torrent_that_is_malformed_is_left_out_and_counted() {
        let body = b"d5:filesd2:xxdee".to_vec();
        assert!(decode_scrape(&body, &Limits::default()).is_err(), "cut");
        let body =
            b"d5:filesd2:xxde20:xxxxxxxxxxxxxxxxxxxxi1e20:yyyyyyyyyyyyyyyyyyyyd8:completei-1e10:downloaded1:xeee";
        let reply = decode(&[&body[..], b"e"].concat()[..body.len()]);
        assert_eq!((reply.dropped, &reply.files[..]), (2, &[ScrapeFile::new(InfoHash([b'y'; 20]))][..]));
    }

    #[test]
    fn torrents_over_the_limit_are_left_out_and_counted() {
        let mut body = Vec::new();
        encode_scrape((0..50).map(|i| ScrapeFile::new(InfoHash([i; 20]))), None, &mut body);
        let limits = Limits { files: 20, ..Limits::default() };
        let Ok(Reply::Success(reply)) = decode_scrape(&body, &limits) else { panic!("not read") };
        assert_eq!((reply.files.len(), reply.dropped), (20, 30));
    }

    #[test]
    fn a_refusal_is_one_and_another_dictionary_is_no_answer() {
        let body = b"d14:failure reason9:forbiddene";
        let Ok(Reply::Failure(failure)) = decode_scrape(body, &Limits::default()) else { panic!("not read") };
        assert_eq!(failure.reason, Reason::from("forbidden"));
        for body in [&b"de"[..], b"d5:filesi1ee", b"d8:intervali1e5:peers0:e"] {
            assert!(matches!(decode_scrape(body, &Limits::default()), Err(ReplyError::NotAReply { .. })));
        }
        let nested = [&b"d5:files"[..], &vec![b'l'; 20_000]].concat();
        assert!(matches!(decode_scrape(&nested, &Limits::default()), Err(ReplyError::Bencode(_))));
    }

    #[test]
    fn a_scrape_may_ask_for_several_torrents_and_not_for_too_many() {
        let query = |count: usize| vec!["info_hash=%00%ffaaaaaaaaaaaaaaaaaa"; count].join("&");
        assert_eq!(parse_scrape(query(74).as_bytes()).map(|hashes| hashes.len()), Ok(74));
        assert_eq!(parse_scrape(query(75).as_bytes()), Err(RequestError::TooManyHashes));
        assert_eq!(parse_scrape(b"").map(|hashes| hashes.len()), Ok(0));
        let error = parse_scrape(b"x=1&info_hash=abc").unwrap_err();
        assert_eq!(error, RequestError::WrongLength { key: "info_hash", at: 14, length: 3 });
        // As many as may be asked for fit the limit of a query, however they are escaped.
        let mut url = String::new();
        let hashes = [InfoHash([0xff; 20]); 200];
        assert_eq!(write_scrape_url(&"http://a/announce".parse().unwrap(), hashes, &mut url), Ok(74));
        let parsed = parse_scrape(url.split_once('?').unwrap().1.as_bytes()).unwrap();
        assert_eq!(parsed, hashes[..74]);
    }

    #[test]
    fn the_url_of_announces_says_where_to_scrape() {
        let url = |url: &str| {
            let mut out = String::new();
            write_scrape_url(&url.parse().unwrap(), [InfoHash([b'a'; 20])], &mut out).map(|_| out)
        };
        assert_eq!(url("http://a/announce?k=v").unwrap(), format!("http://a/scrape?k=v&info_hash={}", "a".repeat(20)));
        assert_eq!(url("http://a/tracker"), Err(UrlError::NoScrape));
        assert_eq!(url("udp://a:1/announce"), Err(UrlError::NotHttp));
        assert_eq!(url("http://a/announce?info_hash=1"), Err(UrlError::ReservedKey { key: "info_hash" }));
    }

    proptest! {
        #[test]
        fn any_figures_are_read_back(
            files in prop::collection::btree_map(any::<[u8; 20]>(), any::<[Option<u32>; 4]>(), 0..20),
            interval in any::<Option<u32>>(),
        ) {
            let files: Vec<_> = files
                .into_iter()
                .map(|(hash, [complete, downloaded, incomplete, downloaders])| ScrapeFile {
                    info_hash: InfoHash(hash), complete, downloaded, incomplete, downloaders,
                })
                .collect();
            let mut body = Vec::new();
            encode_scrape(files.iter().copied(), interval, &mut body);
            prop_assert!(Document::decode(&body, &Limits::default().bencode()).unwrap().is_canonical());
            prop_assert_eq!(decode(&body), ScrapeReply { files, min_request_interval: interval, dropped: 0 });
        }
    }
}
