use bip::proto::announce::Progress;
use bip::proto::http_tracker::{AnnounceRequest, MAX_QUERY, MAX_SCRAPE, parse_scrape, write_scrape_url};
use bip::proto::tracker_url::TrackerUrl;

/// The first byte chooses between announce and scrape; the rest is a query.
///
/// What is read is written to a query that reads the same, also behind a URL that has a query of its own.
pub fn http_tracker_request(data: &[u8]) {
    let Some((choice, query)) = data.split_first() else { return };
    let url: TrackerUrl = "http://tracker.example/announce?passkey=1".parse().expect("it is a URL");
    let mut written = String::new();
    if choice % 2 == 0 {
        let request = match AnnounceRequest::parse(query) {
            Ok(request) => request,
            Err(error) => return super::check_text(&error.to_string()),
        };
        assert!(query.len() <= MAX_QUERY);
        let Progress { uploaded, downloaded, left } = request.progress;
        assert!([uploaded, downloaded, left].iter().all(|amount| *amount <= Progress::UNKNOWN));
        assert!(request.num_want.is_none_or(|wanted| wanted <= i32::MAX as u32));
        request.write_url(&url, &mut written).expect("it is a tracker's URL");
        let query = own_query(&written);
        // Escaped it may be longer than what is read.
        if query.len() <= MAX_QUERY {
            assert_eq!(AnnounceRequest::parse(query.as_bytes()), Ok(request));
        }
    } else {
        let hashes = match parse_scrape(query) {
            Ok(hashes) => hashes,
            Err(error) => return super::check_text(&error.to_string()),
        };
        assert!(hashes.len() <= MAX_SCRAPE);
        let count = write_scrape_url(&url, hashes.iter().copied(), &mut written);
        assert_eq!(count, Ok(hashes.len()));
        assert_eq!(parse_scrape(own_query(&written).as_bytes()), Ok(hashes));
    }
    assert!(TrackerUrl::parse(&written).is_ok_and(|url| url.as_str() == written) || written.len() > 4096);
}

fn own_query(url: &str) -> &str {
    url.split_once('?').map_or("", |(_, query)| query)
}
