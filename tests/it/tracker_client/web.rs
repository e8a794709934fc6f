//! HTTP trackers, as far as the machine sees them: what is fetched, and what the answers say.

use super::*;

#[cfg(not(feature = "http"))]
#[test]
fn without_the_feature_an_http_tracker_is_an_error_that_names_it() {
    let mut host = Host::new(Config::default());
    host.ask(1, "http://192.0.2.1/announce", announce());
    assert!(host.error().to_string().contains("feature `http`"));
    host.ask(2, "https://192.0.2.1/announce", announce());
    assert!(host.error().to_string().contains("feature `https`"));
    host.assert_free();
}

#[cfg(feature = "http")]
mod with_http {
    use super::*;
    use bip::proto::announce::Event as Reason;
    use bip::proto::http_tracker::{AnnounceRequest, Retry};
    use bip::tracker::client::{AnnounceReply, Fetch, Fetched};

    impl Host {
        /// Gives the one HTTP request that is to be fetched.
        pub(in super::super) fn fetch(&mut self) -> (JobId, Fetch) {
            let fetches = |job: &Job| matches!(job, Job::Fetch(_));
            let place = self.jobs.iter().position(|(_, job)| fetches(job)).expect("something is fetched");
            match self.jobs.remove(place) {
                (id, Job::Fetch(fetch)) => (id, *fetch),
                other => panic!("{other:?}"),
            }
        }

        pub(in super::super) fn fetched(&mut self, job: JobId, body: &[u8]) {
            self.done(job, Done::Fetched(Ok(Fetched { code: 200, body: body.to_vec() })));
        }
    }

    const TRACKER: &str = "http://192.0.2.1/announce?passkey=5ec7e7";

    #[test]
    fn an_announce_has_all_that_is_told_and_nothing_secret_is_shown() {
        let mut host = Host::new(Config::default());
        let progress = Progress { uploaded: 1, downloaded: 2, left: 3 };
        let tracker_id = Some(b"id &".to_vec());
        let told =
            Announce { progress, event: Reason::Started, num_want: Some(50), key: 0xabc, tracker_id, ..announce() };
        host.ask(1, TRACKER, told);
        assert!(!format!("{:?}", host.jobs).contains("5ec7e7"), "{:?}", host.jobs);
        let (job, fetch) = host.fetch();
        assert_eq!(fetch.addresses, [at("192.0.2.1:80")]);
        let (before, query) = fetch.url.split_once("&info_hash").unwrap();
        assert_eq!(before, TRACKER);
        let asked = format!("info_hash{query}");
        let asked = AnnounceRequest::parse(asked.as_bytes()).unwrap();
        assert_eq!((asked.progress, asked.event, asked.num_want), (progress, Reason::Started, Some(50)));
        assert_eq!((asked.compact, asked.no_peer_id, asked.port), (Some(true), true, 6881));
        assert_eq!((asked.key.as_deref(), asked.tracker_id.as_deref()), (Some(&b"00000ABC"[..]), Some(&b"id &"[..])));
        assert_eq!((fetch.max_redirects, fetch.max_reply), (3, 1 << 20));
        host.fetched(job, b"d8:intervali900e5:peers0:e");
        host.reply();
        host.assert_free();
    }

    fn answer(body: &[u8]) -> Result<AnnounceReply, Error> {
        let mut host = Host::new(Config::default());
        host.ask(1, TRACKER, announce());
        let (job, _) = host.fetch();
        host.fetched(job, body);
        host.assert_free();
        match host.answer() {
            Event::Announced { reply, .. } => Ok(reply),
            Event::Failed { error, .. } => Err(error),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn peers_in_all_forms_and_all_that_a_tracker_says_are_read() {
        let body = b"d8:completei5e10:downloadedi99e11:external ip4:\x01\x02\x03\x0410:incompletei7e8:intervali1800e\
            12:min intervali60e5:peersld2:ip7:1.2.3.44:porti5eed2:ip11:2001:db8::94:porti6eee\
            6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x1a\xe110:tracker id2:ab15:warning message4:slowe";
        let reply = answer(body).unwrap();
        assert_eq!((reply.seeders, reply.leechers, reply.completed), (Some(5), Some(7), Some(99)));
        assert_eq!((reply.interval, reply.min_interval), (1800 * SECOND, Some(MINUTE)));
        assert_eq!(reply.peers, [at("1.2.3.4:5"), at("[2001:db8::9]:6"), at("[2001:db8::7]:6881")]);
        assert_eq!((reply.tracker_id.as_deref(), reply.warning.as_deref()), (Some(&b"ab"[..]), Some("slow")));
        assert_eq!(reply.external_ip, Some("1.2.3.4".parse().unwrap()));
        let compact = answer(b"d8:intervali1e5:peers12:\x01\x02\x03\x04\0\x05\x01\x02\x03\x04\0\0e").unwrap();
        assert_eq!(compact.peers, [at("1.2.3.4:5")], "nobody is at port 0");
    }

    #[test]
    fn a_refusal_says_why_and_when_to_ask_again_whatever_the_status() {
        let error = answer(b"d14:failure reason9:\x1b[31mgone8:retry ini5ee").unwrap_err();
        assert_eq!(error.to_string(), "the tracker refuses: \\u{1b}[31mgone (again in 5 min)");
        let mut host = Host::new(Config::default());
        host.ask(1, TRACKER, announce());
        let (job, _) = host.fetch();
        let body = b"d14:failure reason6:banned8:retry in5:nevere".to_vec();
        host.done(job, Done::Fetched(Ok(Fetched { code: 403, body })));
        assert_eq!(host.error(), Error::Refused { reason: "banned".into(), retry: Some(Retry::Never) });
        host.ask(2, TRACKER, announce());
        let (job, _) = host.fetch();
        host.done(job, Done::Fetched(Ok(Fetched { code: 404, body: b"<html>".to_vec() })));
        assert_eq!(host.error(), Error::Status { code: 404 });
        host.assert_free();
    }

    #[test]
    fn what_is_no_answer_of_a_tracker_is_an_error() {
        let nested = [b"d5:peers".to_vec(), vec![b'l'; 20_000]].concat();
        let long = [b"d8:intervali1e5:peers1048600:".to_vec(), vec![1; 1_048_600], b"e".to_vec()].concat();
        for body in [&b""[..], b"<html>", b"de", b"i1e", b"d8:intervali1e", &nested, &long, &vec![b'l'; 20_000]] {
            let error = answer(body).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{error}");
        }
    }

    #[test]
    fn only_so_many_are_fetched_at_a_time_and_one_that_is_late_gives_its_place_back_when_it_ends() {
        let mut host = Host::new(Config { max_fetches: 2, ..Config::default() });
        (0..5).for_each(|n| host.ask(n, TRACKER, announce()));
        assert_eq!(host.jobs.len(), 2);
        let (job, _) = host.fetch();
        host.fetched(job, b"d8:intervali1ee");
        assert_eq!(host.jobs.len(), 2);
        host.wait(MINUTE);
        assert_eq!(host.told().len(), 5);
        assert_eq!((host.client.usage().requests, host.client.usage().fetches), (0, 2));
        let (job, _) = host.fetch();
        host.fetched(job, b"d8:intervali1ee");
        let (job, _) = host.fetch();
        host.done(job, Done::Fetched(Err(Error::TimedOut)));
        assert!(host.told().is_empty());
        host.assert_free();
    }

    #[test]
    fn torrents_are_scraped_40_at_a_time_and_what_was_not_asked_for_is_left_out() {
        let mut host = Host::new(Config::default());
        host.scrape(1, TRACKER, (0..100).map(hash).collect());
        for (first, count) in [(0, 40), (40, 40), (80, 20)] {
            let (job, fetch) = host.fetch();
            assert!(fetch.url.starts_with("http://192.0.2.1/scrape?passkey=5ec7e7&info_hash="));
            assert_eq!(fetch.url.matches("info_hash").count(), count);
            let mut body = b"d5:filesd".to_vec();
            for n in [first as u8, 200] {
                body.extend([b"20:".as_slice(), &hash(n).0, format!("d8:completei{n}eee").as_bytes()].concat());
            }
            body.truncate(body.len());
            body.extend(b"ee");
            host.fetched(job, &body);
        }
        let Event::Scraped { files, .. } = host.answer() else { panic!("not scraped") };
        let known: Vec<_> = files.iter().filter_map(|file| file.complete).collect();
        assert_eq!((files.len(), known), (100, vec![0, 40, 80]));
        host.assert_free();
        host.scrape(2, "http://192.0.2.1/announce/../x", vec![hash(1)]);
        assert_eq!(host.error(), Error::Forbidden, "it leads out of where trackers are");
        host.scrape(3, "http://8.8.8.8/tracker", vec![hash(1)]);
        assert!(matches!(host.error(), Error::Url(_)), "it does not say where to scrape");
    }

    #[test]
    fn a_url_that_speaks_for_us_is_not_asked() {
        let mut host = Host::new(Config::default());
        host.ask(1, "http://8.8.8.8/x?info_hash=1", announce());
        assert!(matches!(host.error(), Error::Url(_)));
        host.assert_free();
    }

    #[test]
    fn the_address_at_which_a_tracker_sees_us_is_told_of_followed_torrents_too() {
        let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
        host.command(Command::Follow { torrent: TORRENT, following: Box::new(following(&[&[TRACKER]])) });
        host.wait(Duration::ZERO);
        let (job, _) = host.fetch();
        host.told();
        host.fetched(job, b"d11:external ip4:\x01\x02\x03\x048:intervali900ee");
        let told = host.told();
        let [Event::Tracker { status, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(status.external_ip, Some("1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn a_followed_torrent_heeds_min_interval_tracker_id_retry_in_and_never() {
        let mut host = Host::with_sockets(Config::default(), &["0.0.0.0:1"]);
        let following = following(&[&[TRACKER]]);
        host.command(Command::Follow { torrent: TORRENT, following: Box::new(following) });
        host.wait(Duration::ZERO);
        let (job, fetch) = host.fetch();
        assert!(!fetch.url.contains("trackerid") && fetch.url.contains("event=started"));
        host.fetched(job, b"d8:intervali1800e12:min intervali900e5:peers0:10:tracker id2:abe");
        host.command(Command::MorePeers { torrent: TORRENT });
        host.wait(899 * SECOND);
        assert!(host.jobs.is_empty());
        host.wait(SECOND);
        let (job, fetch) = host.fetch();
        assert!(fetch.url.contains("trackerid=ab") && !fetch.url.contains("event="));
        host.fetched(job, b"d14:failure reason4:busy8:retry in2:10e");
        host.wait(599 * SECOND);
        assert!(host.jobs.is_empty());
        host.wait(SECOND);
        let (job, _) = host.fetch();
        host.told();
        host.fetched(job, b"d14:failure reason4:gone8:retry in5:nevere");
        let status = host.told();
        assert!(
            matches!(&status[..], [Event::Tracker { status, .. }] if status.state == TrackerState::Disabled && status.next.is_none())
        );
        host.wait(240 * HOUR);
        assert!(host.jobs.is_empty());
    }
}
