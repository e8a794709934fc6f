//! Scrapes.

use super::*;
use bip::proto::http_tracker::ScrapeFile;

const TRACKER: &str = "udp://192.0.2.9:6969";

fn stats(n: u32) -> Stats {
    Stats { seeders: n, completed: 1000 + n, leechers: 2 * n }
}

fn hashes(count: u32) -> Vec<InfoHash> {
    (0..count).map(|n| InfoHash(std::array::from_fn(|at| if at < 4 { n.to_be_bytes()[at] } else { 7 }))).collect()
}

fn files(event: Event) -> Vec<ScrapeFile> {
    match event {
        Event::Scraped { files, .. } => files,
        other => panic!("{other:?}"),
    }
}

#[test]
fn many_torrents_are_asked_for_74_at_a_time_and_their_figures_come_in_order() {
    for count in [1, 74, 75, 148, 200] {
        let mut host = Host::new(Config::default());
        host.scrape(1, TRACKER, hashes(count));
        let connect = host.one();
        host.connected(&connect, 1);
        let mut parts = Vec::new();
        let mut known = 0;
        while let Some(sent) = host.sent.pop() {
            let Request::Scrape { info_hashes, .. } = sent.request() else { panic!("no scrape") };
            parts.push(info_hashes.len());
            assert!(info_hashes.iter().eq(hashes(count).into_iter().skip(known).take(74)));
            let part: Vec<Stats> = (known as u32..).take(info_hashes.len()).map(stats).collect();
            known += info_hashes.len();
            let wrong = Sent { to: at("192.0.2.8:6969"), ..sent.clone() };
            host.scraped(&wrong, &part);
            host.scraped(&sent, &part);
        }
        assert_eq!(parts.iter().sum::<usize>(), count as usize);
        assert!(parts[..parts.len() - 1].iter().all(|part| *part == 74));
        let files = files(host.answer());
        for (n, (file, hash)) in (0..).zip(files.iter().zip(hashes(count))) {
            let seen = (file.info_hash, file.complete, file.downloaded, file.incomplete);
            assert_eq!(seen, (hash, Some(n), Some(1000 + n), Some(2 * n)));
        }
        assert_eq!(files.len(), count as usize);
        host.assert_free();
    }
}

#[test]
fn a_tracker_that_knows_fewer_leaves_the_others_open_and_one_that_gives_more_is_cut() {
    let mut host = Host::new(Config::default());
    host.scrape(1, TRACKER, hashes(3));
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.scraped(&sent, &[stats(5)]);
    let answer = files(host.answer());
    assert_eq!((answer[0].complete, answer[1].complete, answer.len()), (Some(5), None, 3));
    host.scrape(2, TRACKER, hashes(1));
    let sent = host.one();
    host.scraped(&sent, &[stats(5), stats(6)]);
    assert_eq!(files(host.answer()).len(), 1);
    host.assert_free();
}

#[test]
fn a_scrape_for_none_or_too_many_is_refused() {
    let mut host = Host::new(Config { max_scrape: 100, ..Config::default() });
    for count in [0, 101] {
        host.scrape(1, TRACKER, hashes(count));
        assert_eq!(host.error(), Error::WrongCount { hashes: count as usize });
    }
    host.assert_free();
}

#[test]
fn a_scrape_that_ends_between_two_parts_leaves_nothing() {
    let mut host = Host::new(Config::default());
    host.scrape(1, TRACKER, hashes(100));
    let connect = host.one();
    host.connected(&connect, 1);
    let sent = host.one();
    host.scraped(&sent, &[stats(1); 74]);
    let sent = host.one();
    host.refused(&sent, "enough");
    assert!(matches!(host.error(), Error::Refused { .. }));
    host.assert_free();
}
