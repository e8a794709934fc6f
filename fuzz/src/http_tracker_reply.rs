use bip::proto::compact::{Family, Peers};
use bip::proto::http_tracker::{
    AnnounceReply, Failure, Info, Limits, MAX_TRACKER_ID, PeerList, Reply, ReplyError, decode_announce, decode_scrape,
    encode_announce, encode_failure, encode_full_announce, encode_scrape,
};

/// The first byte chooses between announce and scrape, and the limits.
///
/// What is read is within the limits, is written to a body that reads the same, and nothing that is shown can confuse a terminal.
pub fn http_tracker_reply(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let limits = match choice / 2 % 3 {
        0 => Limits::default(),
        1 => Limits { peers: 2, files: 2, ..Limits::default() },
        _ => Limits { length: 200, ..Limits::default() },
    };
    if choice % 2 == 0 { announce(body, &limits) } else { scrape(body, &limits) }
}

fn announce(body: &[u8], limits: &Limits) {
    match decode_announce(body, limits) {
        Ok(Reply::Success(reply)) => {
            check(&reply.info);
            let listed = match &reply.peers {
                PeerList::Compact(peers) => peers.len(),
                PeerList::Full(peers) => peers.len(),
            };
            assert!(listed <= limits.peers && reply.peers6.len() <= limits.peers);
            assert_eq!(reply.addresses().count() + reply.names().count(), listed + reply.peers6.len());
            write_again(&reply);
        }
        Ok(Reply::Failure(found)) => failure(found, |body| match decode_announce(body, &Limits::default()) {
            Ok(Reply::Failure(failure)) => failure,
            other => panic!("{other:?}"),
        }),
        Err(error) => refused(&error, body, limits),
    }
}

fn check(info: &Info<'_>) {
    assert!(info.tracker_id.is_none_or(|id| id.len() <= MAX_TRACKER_ID));
    assert!(info.warning.is_none_or(|warning| !warning.to_string().contains(char::is_control)));
}

fn write_again(reply: &AnnounceReply<'_>) {
    let mut out = Vec::new();
    match &reply.peers {
        PeerList::Compact(_) => {
            encode_announce(&reply.info, reply.addresses().collect::<Vec<_>>(), &mut out);
            let again = success(&out);
            let sorted = |reply: &AnnounceReply<'_>| {
                let mut all: Vec<_> = reply.addresses().collect();
                all.sort();
                all
            };
            // IPv4 addresses that came in IPv6 form change their place.
            assert_eq!((again.info, sorted(&again), again.dropped), (reply.info, sorted(reply), 0));
        }
        PeerList::Full(peers) => {
            encode_full_announce(&reply.info, peers.iter().copied(), &mut out);
            let again = success(&out);
            let peers6 = Peers::new(Family::V6, &[]).expect("none is whole");
            assert_eq!(again, AnnounceReply { peers6, dropped: 0, ..reply.clone() });
        }
    }
}

fn success(body: &[u8]) -> AnnounceReply<'_> {
    let limits = Limits { peers: 5000, ..Limits::default() };
    match decode_announce(body, &limits) {
        Ok(Reply::Success(reply)) => reply,
        // An answer with nothing in it at all but peers elsewhere is still one: `peers` is always written.
        other => panic!("{other:?}"),
    }
}

fn scrape(body: &[u8], limits: &Limits) {
    match decode_scrape(body, limits) {
        Ok(Reply::Success(reply)) => {
            assert!(reply.files.len() <= limits.files);
            let mut out = Vec::new();
            encode_scrape(reply.files.iter().copied(), reply.min_request_interval, &mut out);
            let Ok(Reply::Success(mut again)) = decode_scrape(&out, &Limits::default()) else { panic!("not read") };
            // Written in their order, whatever that was.
            let mut files = reply.files.clone();
            files.sort_by_key(|file| file.info_hash);
            again.files.sort_by_key(|file| file.info_hash);
            assert_eq!(
                (again.files, again.min_request_interval, again.dropped),
                (files, reply.min_request_interval, 0)
            );
        }
        Ok(Reply::Failure(found)) => failure(found, |body| match decode_scrape(body, &Limits::default()) {
            Ok(Reply::Failure(failure)) => failure,
            other => panic!("{other:?}"),
        }),
        Err(error) => refused(&error, body, limits),
    }
}

fn failure(found: Failure<'_>, read: impl Fn(&[u8]) -> Failure<'_>) {
    assert!(!found.reason.to_string().contains(char::is_control));
    let mut out = Vec::new();
    encode_failure(&found, &mut out);
    assert_eq!(read(&out), found);
}

fn refused(error: &ReplyError, body: &[u8], limits: &Limits) {
    super::check_text(&error.to_string());
    if let ReplyError::Bencode(error) = error {
        assert!(error.position() <= body.len() && error.position() <= limits.length.max(body.len()));
    }
}
