//! Requests that two readers could understand differently, and heads without end.

use super::*;

/// A second request, hidden in the first.
const HIDDEN: &str = "GET /announce?hidden HTTP/1.1\r\nHost: t\r\n\r\n";

#[test]
fn a_shape_of_smuggling_ends_the_connection_and_nothing_behind_it_is_read() {
    for head in [
        format!("GET / HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n", HIDDEN.len()),
        "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding : chunked\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\r\n Transfer-Encoding: chunked\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n".into(),
        "POST / HTTP/1.1\r\nHost: t\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "GET / HTTP/9.9\r\nHost: t\r\n\r\n".into(),
        "\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\x0c\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: \x0bclose\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: t u\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost:\r\n\r\n".into(),
        "\u{16}\u{3}\u{1}\r\n\r\n".into(),
    ] {
        for piece in [usize::MAX, 1] {
            let mut host = Host::new(Config::default());
            let conn = host.accept(v4(1));
            for byte in format!("{head}{HIDDEN}").as_bytes().chunks(piece) {
                if host.client(conn).closed.is_none() {
                    host.send(conn, byte, usize::MAX);
                }
            }
            assert_eq!(host.client(conn).closed, Some(true), "{head:?}");
            let answer = host.read(conn, 0);
            let (head_of_answer, _) = parts(&answer);
            let refused =
                ["400", "405", "505"].iter().any(|code| head_of_answer.starts_with(&format!("HTTP/1.1 {code} ")));
            assert!(refused && head_of_answer.contains("Connection: close\r\n"), "{head:?}: {head_of_answer}");
            assert_eq!(head_of_answer.starts_with("HTTP/1.1 405 "), head_of_answer.contains("\r\nAllow: GET\r\n"));
            let figures = host.swarms.figures();
            assert_eq!((figures.http_errors, figures.http_refusals, figures.http_announces), (1, 0, 0), "{head:?}");
        }
    }
}

#[test]
fn one_empty_line_before_a_request_is_passed_over() {
    for piece in [usize::MAX, 1, 2] {
        let mut host = Host::new(Config::default());
        let conn = host.accept(v4(1));
        host.send(conn, format!("\r\n{0}\r\n{0}{0}\r\n", get("/scrape")).as_bytes(), piece);
        assert_eq!(host.client(conn).closed, None);
        assert_eq!(String::from_utf8_lossy(&host.read(conn, 0)).matches("200 OK").count(), 3, "{piece}");
        // A second one is none.
        host.send(conn, b"\r\n\r\n", piece);
        assert_eq!(host.client(conn).closed, Some(true));
    }
}

#[test]
fn a_head_that_is_too_long_ends_the_connection() {
    for piece in [usize::MAX, 1_000, 1] {
        // As long as it may be, and one byte more, with an end and without.
        let fill = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", "x".repeat(length - 27));
        for (request, refused) in
            [(fill(8 << 10), false), (fill((8 << 10) + 1), true), ("x".repeat((8 << 10) + 1), true)]
        {
            let mut host = Host::new(Config::default());
            let conn = host.accept(v4(1));
            host.send(conn, request.as_bytes(), piece);
            assert_eq!(host.client(conn).closed, refused.then_some(true), "{} in {piece}", request.len());
            let status = if refused { "HTTP/1.1 431 " } else { "HTTP/1.1 404 " };
            assert!(host.read(conn, 0).starts_with(status.as_bytes()));
        }
    }
}

#[test]
fn a_query_of_any_length_that_fits_is_answered() {
    let mut host = Host::new(Config::default());
    let long = format!("&x={}", "y".repeat(7_500));
    assert!(host.get(v4(1), &get(&target(hash(1), &long))).contains("8:interval"));
}

#[test]
fn garbage_on_a_connection_is_survived() {
    let rng = &mut Rng::new(9);
    let mut host = Host::new(Config::default());
    for _ in 0..3_000 {
        let mut bytes = format!("{}{}", get(&target(hash(1), "&ip=::1")), get("/scrape?info_hash=%01")).into_bytes();
        for _ in 0..1 + rng.below(6) {
            let place = rng.below(bytes.len() as u32) as usize;
            bytes[place] = if rng.below(2) == 0 { rng.next_u64() as u8 } else { *rng.choose(b"\r\n :%&=\0").unwrap() };
        }
        let conn = host.accept(v4(rng.below(50)));
        for part in bytes.chunks(1 + rng.below(100) as usize) {
            if host.client(conn).closed.is_none() {
                host.send(conn, part, usize::MAX);
            }
        }
        host.gone(conn);
    }
    let figures = host.swarms.figures();
    assert_eq!((figures.connections, figures.open()), (3_000, 0));
    assert!(figures.http_announces > 100 && figures.http_errors > 100, "{figures:?}");
}
