use bip::proto::announce::Progress;
use bip::proto::compact::Family;
use bip::proto::udp_tracker::{Options, Request, Response, StatsList, encode_url_data};

/// The first byte says who reads the rest: a tracker, a client over IPv4 or IPv6, or the reader of options.
///
/// What is read is written to bytes that read the same, and these are those that came, but for what is documented as left out or
/// bounded. What is written is no longer than what was read.
pub fn udp_tracker(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else { return };
    match choice % 4 {
        0 => request(bytes),
        1 => response(bytes, Family::V4),
        2 => response(bytes, Family::V6),
        _ => options(Options::new(bytes)),
    }
}

fn request(bytes: &[u8]) {
    let request = match Request::decode(bytes) {
        Ok(request) => request,
        Err(error) => return super::check_text(&error.to_string()),
    };
    let mut out = Vec::new();
    request.encode(&mut out);
    assert_eq!(Request::decode(&out), Ok(request));
    assert!(out.len() <= bytes.len());
    match request {
        Request::Connect { .. } => assert_eq!(out, bytes[..16]),
        Request::Announce { announce, .. } => {
            let Progress { uploaded, downloaded, left } = announce.progress;
            assert!([uploaded, downloaded, left].iter().all(|amount| *amount <= Progress::UNKNOWN));
            assert_eq!(out.len(), bytes.len());
            // Beside amounts and the number of peers, which are bounded.
            assert_eq!((&out[..56], &out[80..92], &out[96..]), (&bytes[..56], &bytes[80..92], &bytes[96..]));
            options(announce.options);
        }
        Request::Scrape { info_hashes, .. } => {
            assert!(bytes.starts_with(&out) && bytes.len() - out.len() < 20);
            assert_eq!(info_hashes.iter().count(), info_hashes.len());
        }
    }
}

fn response(bytes: &[u8], family: Family) {
    let response = match Response::decode(bytes, family) {
        Ok(response) => response,
        Err(error) => return super::check_text(&error.to_string()),
    };
    let mut out = Vec::new();
    response.encode(&mut out);
    assert!(out.len() <= bytes.len());
    let again = Response::decode(&out, family).expect("what is written can be read");
    match (response, again) {
        (
            Response::Announce { transaction, head, peers, ignored },
            Response::Announce { transaction: t, head: h, peers: p, ignored: 0 },
        ) => {
            assert_eq!((transaction, head, peers), (t, h, p));
            assert_eq!(20 + peers.as_bytes().len() + ignored, bytes.len());
            assert!(ignored < family.peer_len());
        }
        (Response::Scrape { transaction, stats }, Response::Scrape { transaction: t, stats: s }) => {
            assert_eq!(transaction, t);
            assert!(stats.iter().eq(s.iter()) && s == StatsList::new(&out[8..]));
        }
        (response, again) => assert_eq!(response, again),
    }
    if let Response::Error { reason, .. } = response {
        assert!(!reason.to_string().contains(char::is_control));
    }
}

fn options(options: Options<'_>) {
    let mut length = 0;
    for option in options {
        match option {
            Ok((_, data)) => length += 2 + data.len(),
            Err(error) => super::check_text(&error.to_string()),
        }
    }
    assert!(length <= options.as_bytes().len());
    if let Ok(Some(url)) = options.url_data() {
        assert!(url.len() <= options.as_bytes().len());
        let mut out = Vec::new();
        encode_url_data(&url, &mut out);
        assert_eq!(Options::new(&out).url_data(), Ok(Some(url)));
    }
}
