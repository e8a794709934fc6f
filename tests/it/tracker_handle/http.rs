//! HTTP trackers: a small one, and some that are none.

use super::*;
use bip::proto::http_tracker::{AnnounceRequest, Info, ScrapeFile, encode_announce, encode_scrape, parse_scrape};
use bip::session::tracker::Error;
use bip::tracker::client;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

type Answer = dyn Fn(&str, &mut TcpStream) + Send + Sync;

/// A server that answers each request by a function of its target.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended, answer): (_, _, Arc<Answer>) = (Arc::clone(&asked), Arc::clone(&end), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (mut stream, answer, count) = (stream.unwrap(), Arc::clone(&answer), Arc::clone(&count));
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    let Some(Ok(first)) = lines.next() else { return };
                    lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                    count.fetch_add(1, Ordering::SeqCst);
                    answer(first.split(' ').nth(1).unwrap(), &mut stream);
                });
            }
        });
        Self { address, asked, end, thread: Some(thread) }
    }

    fn url(&self) -> TrackerUrl {
        url(format!("http://{}/announce?passkey=5ec7e7", self.address))
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    // A client that has seen enough is gone.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn query(target: &str) -> &[u8] {
    target.split_once('?').unwrap().1.as_bytes()
}

/// A tracker whose one other peer is at port 7001.
fn tracker(target: &str, stream: &mut TcpStream) {
    let mut body = Vec::new();
    if target.starts_with("/scrape") {
        let file = |hash| ScrapeFile { complete: Some(3), incomplete: Some(4), ..ScrapeFile::new(hash) };
        encode_scrape(parse_scrape(query(target)).unwrap().into_iter().map(file), None, &mut body);
    } else {
        let asked = AnnounceRequest::parse(query(target)).unwrap();
        assert_eq!((asked.info_hash, asked.compact), (hash(1), Some(true)));
        let info = Info { interval: Some(900), complete: Some(3), tracker_id: Some(b"id"), ..Info::default() };
        encode_announce(&info, ["127.0.0.1:7001".parse().unwrap()], &mut body);
    }
    respond(stream, "200 OK", "", &body);
}

fn failure(answer: Result<client::AnnounceReply, Error>) -> client::Error {
    match answer {
        Err(Error::Tracker(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn announces_and_scrapes_are_answered() {
    let server = Server::start(tracker);
    let trackers = trackers();
    let reply = trackers.announce(&server.url(), announce(7002)).wait(HANG).unwrap();
    assert_eq!((reply.peers.len(), reply.seeders, reply.tracker_id.as_deref()), (1, Some(3), Some(&b"id"[..])));
    let files = trackers.scrape(&server.url(), (0..90).map(hash).collect()).wait(HANG).unwrap();
    assert_eq!((files.len(), files[89].complete, server.asked()), (90, Some(3), 4));
    let named = url(format!("http://localhost:{}/announce", server.address.port()));
    assert_eq!(trackers.announce(&named, announce(7002)).wait(HANG).unwrap().peers.len(), 1);
}

#[test]
fn redirects_are_followed_three_times_with_nothing_but_what_they_say() {
    let server = Server::start(|target, stream| match target.split('?').next().unwrap() {
        "/announce" => respond(stream, "302 Found", "Location: /announce.1?x=1\r\n", b""),
        "/announce.1" => {
            assert_eq!(target, "/announce.1?x=1");
            respond(stream, "307 Temporary Redirect", "Location: announce.2\r\n", b"");
        }
        "/announce.2" => respond(stream, "301 Moved", "Location: announce.3\r\n", b""),
        "/announce.3" => respond(stream, "200 OK", "", b"d8:intervali77e5:peers0:e"),
        "/announce.loop" => respond(stream, "303 See Other", "Location: announce.loop\r\n", b""),
        "/announce.in" => respond(stream, "302 Found", "Location: /admin\r\n", b""),
        "/announce.udp" => respond(stream, "302 Found", "Location: udp://127.0.0.1:1/announce\r\n", b""),
        "/announce.nowhere" => respond(stream, "302 Found", "", b""),
        other => panic!("{other} was asked"),
    });
    let trackers = trackers();
    let reply = trackers.announce(&server.url(), announce(1)).wait(HANG).unwrap();
    assert_eq!((reply.interval.as_secs(), server.asked()), (77, 4));
    let ask = |path: &str| {
        let to = url(format!("http://{}{path}", server.address));
        failure(trackers.announce(&to, announce(1)).wait(HANG))
    };
    assert_eq!(ask("/announce.loop"), client::Error::TooManyRedirects);
    assert_eq!(server.asked(), 8);
    assert_eq!(ask("/announce.in"), client::Error::Forbidden);
    assert_eq!(ask("/announce.udp"), client::Error::Forbidden);
    assert_eq!(ask("/announce.nowhere"), client::Error::Status { code: 302 });
}

#[test]
fn an_answer_that_is_too_long_is_cut_off_and_one_that_is_as_long_as_may_be_is_read() {
    const MOST: usize = 1 << 20;
    fn body(length: usize) -> Vec<u8> {
        let mut body = b"d8:intervali1e5:peers0:1:z".to_vec();
        let rest = length - body.len() - 1;
        // The digits of a length that leaves room for them.
        let text = rest - (rest.to_string().len() + 1);
        body.extend(format!("{text}:").bytes());
        body.extend(vec![b'z'; length - body.len() - 1]);
        body.push(b'e');
        assert_eq!(body.len(), length);
        body
    }
    let server = Server::start(|target, stream| match target.split('?').next().unwrap() {
        "/announce.most" => respond(stream, "200 OK", "", &body(MOST)),
        "/announce.more" => respond(stream, "200 OK", "", &body(MOST + 1)),
        _ => {
            // Without an end, and without a length.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'l'; 65_536]).is_ok() {}
        }
    });
    let trackers = trackers();
    let ask = |path: &str| {
        let to = url(format!("http://{}{path}", server.address));
        trackers.announce(&to, announce(1)).wait(HANG)
    };
    assert_eq!(ask("/announce.most").unwrap().interval.as_secs(), 1);
    assert_eq!(failure(ask("/announce.more")), client::Error::TooLong);
    assert_eq!(failure(ask("/announce.endless")), client::Error::TooLong);
}

#[test]
fn what_is_no_tracker_is_an_error_without_the_url_in_it() {
    let server = Server::start(|target, stream| match target.split('?').next().unwrap() {
        "/announce.html" => respond(stream, "200 OK", "", b"<html>hello"),
        "/announce.gone" => respond(stream, "404 Not Found", "", b"<html>no"),
        "/announce.refused" => respond(stream, "400 Bad Request", "", b"d14:failure reason7:not youe"),
        "/announce.nested" => respond(stream, "200 OK", "", &[b'l'; 20_000]),
        "/announce.words" => respond(stream, "200 OK", "", b"d14:failure reason6:\x1b[31m\x07e"),
        "/announce.garbage" => drop(stream.write_all(b"SSH-2.0-x\r\n\r\n")),
        _ => {}
    });
    let trackers = trackers();
    for (path, expected) in [
        ("/announce.html", "expected"),
        ("/announce.gone", "HTTP status 404"),
        ("/announce.refused", "the tracker refuses: not you"),
        ("/announce.nested", ""),
        ("/announce.words", "the tracker refuses: \\u{1b}[31m\\u{7}"),
        ("/announce.garbage", ""),
        ("/announce.closes", ""),
    ] {
        let to = url(format!("http://{}{path}?passkey=5ec7e7", server.address));
        let error = failure(trackers.announce(&to, announce(1)).wait(HANG)).to_string();
        assert!(error.contains(expected) && !error.contains("5ec7e7"), "{path}: {error}");
    }
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let to = url(format!("http://{dead}/announce?passkey=5ec7e7"));
    let error = failure(trackers.announce(&to, announce(1)).wait(HANG)).to_string();
    assert!(!error.contains("5ec7e7"), "{error}");
}

#[test]
fn a_compressed_answer_is_read() {
    // "d8:intervali77e5:peers0:e" by gzip, as a stored block.
    let plain = b"d8:intervali77e5:peers0:e";
    let mut crc = !0_u32;
    for byte in plain {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
    }
    let length = plain.len() as u16;
    let mut body = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    body.extend(length.to_le_bytes());
    body.extend((!length).to_le_bytes());
    body.extend(plain);
    body.extend((!crc).to_le_bytes());
    body.extend(u32::from(length).to_le_bytes());
    let server = Server::start(move |_, stream| respond(stream, "200 OK", "Content-Encoding: gzip\r\n", &body));
    assert_eq!(trackers().announce(&server.url(), announce(1)).wait(HANG).unwrap().interval.as_secs(), 77);
}

/// What a deflate stream is written with: bits, the lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    /// Writes a code, whose highest bit comes first.
    fn code(&mut self, code: u32, bits: u32) {
        for bit in (0..bits).rev() {
            if self.count % 8 == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((code >> bit & 1) as u8) << (self.count % 8);
            self.count += 1;
        }
    }
}

#[test]
fn an_answer_that_is_small_and_grows_beyond_the_limit_is_cut_off_while_it_grows() {
    // One block with the fixed codes: an `l`, and 5,000 times "258 bytes again, from one before", which are 1.3 MB in 8 KB.
    let mut bits = Bits::default();
    bits.code(0b1_10, 3);
    bits.code(0x30 + u32::from(b'l'), 8);
    (0..5000).for_each(|_| bits.code(0b11000101 << 5, 13));
    assert!(bits.bytes.len() < 10_000);
    let body = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255][..], &bits.bytes].concat();
    let server = Server::start(move |_, stream| {
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
            .and_then(|()| stream.write_all(&body));
        // There is never an end: who waits for it, because it counts what goes in, waits until the time is over.
        let _ = std::io::copy(stream, &mut std::io::sink());
    });
    let error = failure(trackers().announce(&server.url(), announce(1)).wait(HANG));
    assert_eq!(error, client::Error::TooLong);
}

#[test]
fn a_name_and_password_go_to_the_tracker_and_not_to_where_it_redirects() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = listener.local_addr().unwrap();
    let heads = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
        let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
        respond(&mut stream, "200 OK", "", b"d8:intervali1ee");
        head
    });
    let server = Server::start(move |_, stream| {
        respond(stream, "302 Found", &format!("Location: http://{other}/announce\r\n"), b"");
    });
    let to = url(format!("http://me:5ec7e7@{}/announce", server.address));
    trackers().announce(&to, announce(1)).wait(HANG).unwrap();
    let head = heads.join().unwrap().join("\n").to_lowercase();
    assert!(!head.contains("authorization") && !head.contains("5ec7e7"), "{head}");
}

#[test]
fn a_server_that_hangs_holds_nobody_else_and_the_end_does_not_wait_for_it() {
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start(tracker);
    let trackers = trackers();
    let to = url(format!("http://{}/announce", hangs.local_addr().unwrap()));
    let mut slow: Vec<_> = (0..4).map(|_| trackers.announce(&to, announce(1))).collect();
    trackers.announce(&server.url(), announce(1)).wait(HANG).unwrap();
    assert!(slow.iter_mut().all(|answer| answer.try_take().is_none()));
    trackers.shut_down(Duration::from_secs(8)).unwrap();
}
