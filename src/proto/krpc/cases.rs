//! Messages byte for byte, and what is no message.

use super::*;
use crate::proto::compact::{Family, Node, Nodes};
use crate::proto::id::{InfoHash, NodeId};
use proptest::prelude::*;
use std::net::{Ipv6Addr, SocketAddr};

const A: NodeId = NodeId(*b"abcdefghij0123456789");
const M: NodeId = NodeId(*b"mnopqrstuvwxyz123456");
const HASH: InfoHash = InfoHash(*b"mnopqrstuvwxyz123456");

fn encode(message: &Message<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    message.encode(&mut out);
    let out = out.split_off(6);
    assert_eq!(out.len(), message.encoded_len());
    out
}

fn query(method: Method<'_>) -> Message<'_> {
    Message::query(b"aa", Query { id: A, want: Want::default(), method })
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Reads a packet that must be one.
fn read(packet: &[u8]) -> Message<'_> {
    Message::decode(packet).unwrap_or_else(|error| panic!("{}: {error}", text(packet)))
}

fn reply(packet: &[u8]) -> Reply<'_> {
    let Body::Reply(reply) = read(packet).body else { panic!("no reply") };
    reply
}

/// The reason for which a packet is none, and what is to be answered.
fn refused(packet: &[u8]) -> (Reason, Option<(i64, String)>) {
    let error = Message::decode(packet).expect_err(&text(packet));
    let answer = error.answer().map(|answer| {
        assert_eq!(answer.transaction, b"aa");
        let Body::Error { code, text } = answer.body else { panic!("no error") };
        (code, String::from_utf8(text.to_vec()).unwrap())
    });
    (error.reason, answer)
}

/// The examples of BEP 5.
fn examples() -> Vec<(&'static [u8], Message<'static>)> {
    let announce = AnnouncePeer { info_hash: HASH, port: 6881, implied_port: true, seed: false, token: b"aoeusnth" };
    let get_peers = Method::GetPeers { info_hash: HASH, no_seed: false, scrape: false };
    vec![
        (b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee", Message::error(b"aa", 201, "A Generic Error Ocurred")),
        (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", query(Method::Ping)),
        (b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re", Message::reply(b"aa", Reply::new(M))),
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
            query(Method::FindNode { target: M }),
        ),
        (
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
            query(get_peers),
        ),
        (
            b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
            5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            query(Method::AnnouncePeer(announce)),
        ),
    ]
}

#[test]
fn the_examples_of_bep_5_are_read_and_written_byte_for_byte() {
    for (bytes, message) in examples() {
        assert_eq!(read(bytes), message, "{}", text(bytes));
        assert_eq!(text(&encode(&message)), text(bytes));
    }
}

#[test]
fn the_replies_with_peers_and_with_nodes_of_bep_5_are_read() {
    let peers: &[u8] = b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re";
    let found = reply(peers);
    assert_eq!((found.id, found.token, found.dropped), (Some(A), Some(&b"aoeusnth"[..]), 0));
    let addresses: Vec<_> = found.values.unwrap().iter().map(|peer| peer.to_string()).collect();
    assert_eq!(addresses, ["97.120.106.101:11893", "105.100.104.116:28269"]);
    assert_eq!(text(&encode(&read(peers))), text(peers));

    // The nodes in the examples are no whole node: none is left, and that is counted.
    for packet in [
        &b"d1:rd2:id20:0123456789abcdefghij5:nodes9:def456...e1:t2:aa1:y1:re"[..],
        b"d1:rd2:id20:abcdefghij01234567895:nodes9:def456...5:token8:aoeusnthe1:t2:aa1:y1:re",
    ] {
        let found = reply(packet);
        assert_eq!((found.nodes.unwrap().len(), found.dropped), (0, 1));
    }
}

/// One message of every form that the other BEPs add, and its bytes.
fn extended() -> Vec<(Vec<u8>, Message<'static>)> {
    let want = |v4, v6| Query { id: A, want: Want { v4, v6 }, method: Method::FindNode { target: M } };
    let head = "d1:ad2:id20:abcdefghij0123456789";
    let target = "6:target20:mnopqrstuvwxyz123456";
    let find = |want: &str| format!("{head}{target}{want}e1:q9:find_node1:t2:aa1:y1:qe").into_bytes();
    let mutable = Mutable { key: &[b'k'; 32], signature: &[b's'; 64], seq: 4, salt: b"foobar", cas: Some(-3) };
    let put = |mutable| query(Method::Put(Put { token: b"tok", value: b"12:Hello World!", mutable }));
    let (keys, signature) = ("k".repeat(32), "s".repeat(64));
    // It is not in BEP 44, but the `mainline` crate insists on it.
    let at = |head: &str, target: NodeId, tail: &str| {
        [head.as_bytes(), b"6:target20:", &target.0, b"5:token3:tok", tail.as_bytes(), b"e1:q3:put1:t2:aa1:y1:qe"]
            .concat()
    };
    let text = "1:v12:Hello World!";
    let announce = AnnouncePeer { info_hash: HASH, port: 0, implied_port: false, seed: true, token: b"" };
    vec![
        (find("4:wantl2:n4e"), Message::query(b"aa", want(true, false))),
        (find("4:wantl2:n6e"), Message::query(b"aa", want(false, true))),
        (find("4:wantl2:n42:n6e"), Message::query(b"aa", want(true, true))),
        (
            format!("{head}9:info_hash20:mnopqrstuvwxyz1234566:noseedi1e6:scrapei1ee1:q9:get_peers1:t2:aa1:y1:qe")
                .into(),
            query(Method::GetPeers { info_hash: HASH, no_seed: true, scrape: true }),
        ),
        (
            format!(
                "{head}9:info_hash20:mnopqrstuvwxyz1234564:porti0e4:seedi1e5:token0:e1:q13:announce_peer1:t2:aa1:y1:qe"
            )
            .into(),
            query(Method::AnnouncePeer(announce)),
        ),
        (format!("{head}{target}e1:q3:get1:t2:aa1:y1:qe").into(), query(Method::Get { target: M, seq: None })),
        (
            format!("{head}3:seqi7e{target}e1:q3:get1:t2:aa1:y1:qe").into(),
            query(Method::Get { target: M, seq: Some(7) }),
        ),
        (at(head, item::immutable_target(b"12:Hello World!"), text), put(None)),
        (
            at(
                &format!(
                    "d1:ad3:casi-3e2:id20:abcdefghij01234567891:k32:{keys}4:salt6:foobar3:seqi4e3:sig64:{signature}"
                ),
                item::mutable_target(&[b'k'; 32], b"foobar"),
                text,
            ),
            put(Some(mutable)),
        ),
        (
            format!("{head}{target}e1:q17:sample_infohashes1:t2:aa1:y1:qe").into(),
            query(Method::SampleInfohashes { target: M }),
        ),
        (
            format!("{head}e2:ip6:axje.u1:q4:ping2:roi1e1:t2:aa1:v4:BP011:y1:qe").into(),
            Message {
                version: Some(b"BP01"),
                read_only: true,
                ip: Some("97.120.106.101:11893".parse().unwrap()),
                ..query(Method::Ping)
            },
        ),
        (
            format!(
                "d1:rd4:BFpe256:{}4:BFsd256:{}2:id20:mnopqrstuvwxyz1234568:intervali60e1:k32:{keys}\
                5:nodes26:abcdefghij0123456789axje.u6:nodes638:abcdefghij0123456789ABCDEFGHIJKLMNOP.u3:numi9e\
                7:samples20:abcdefghij01234567893:seqi5e3:sig64:{signature}5:token3:tok1:vd1:ai1ee\
                6:valuesl6:axje.u18:ABCDEFGHIJKLMNOP.uee1:t2:aa1:y1:re",
                "p".repeat(256),
                "q".repeat(256)
            )
            .into(),
            Message::reply(
                b"aa",
                Reply {
                    id: Some(M),
                    nodes: Some(Nodes::new(Family::V4, b"abcdefghij0123456789axje.u").unwrap()),
                    nodes6: Some(Nodes::new(Family::V6, b"abcdefghij0123456789ABCDEFGHIJKLMNOP.u").unwrap()),
                    values: reply(b"d1:rd6:valuesl6:axje.u18:ABCDEFGHIJKLMNOP.uee1:t2:aa1:y1:re").values,
                    token: Some(b"tok"),
                    seeds: Some(&[b'q'; 256]),
                    peers: Some(&[b'p'; 256]),
                    samples: Some(Samples::prefix(b"abcdefghij0123456789").0),
                    interval: Some(60),
                    total: Some(9),
                    value: Some(b"d1:ai1ee"),
                    key: Some(&[b'k'; 32]),
                    signature: Some(&[b's'; 64]),
                    seq: Some(5),
                    dropped: 0,
                },
            ),
        ),
    ]
}

#[test]
fn every_extension_is_read_and_written_byte_for_byte() {
    for (bytes, message) in extended() {
        assert_eq!(read(&bytes), message, "{}", text(&bytes));
        assert_eq!(text(&encode(&message)), text(&bytes));
    }
}

#[test]
fn a_message_that_is_cut_anywhere_is_none_and_gets_no_answer() {
    let all =
        examples().into_iter().map(|(bytes, _)| bytes.to_vec()).chain(extended().into_iter().map(|(bytes, _)| bytes));
    for bytes in all {
        for length in 0..bytes.len() {
            let (reason, answer) = refused(&bytes[..length]);
            assert!(matches!(reason, Reason::Bencode(_)), "{reason:?}");
            assert_eq!(answer, None);
        }
        let more = [&bytes[..], b"x"].concat();
        assert!(matches!(refused(&more).0, Reason::Bencode(bencode::Error::TrailingBytes { .. })));
    }
}

#[test]
fn each_argument_that_a_method_must_have_is_asked_for_by_name() {
    use Argument::*;
    let key = "k".repeat(32);
    let cases: [(&str, &str, Argument); 12] = [
        ("", "ping", Id),
        ("2:id20:abcdefghij0123456789", "find_node", Target),
        ("2:id20:abcdefghij0123456789", "get_peers", InfoHash),
        ("2:id20:abcdefghij01234567894:porti1e5:token1:x", "announce_peer", InfoHash),
        ("2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234565:token1:x", "announce_peer", Port),
        ("2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti1e", "announce_peer", Token),
        ("2:id20:abcdefghij0123456789", "get", Target),
        ("2:id20:abcdefghij01234567891:vi1e", "put", Token),
        ("2:id20:abcdefghij01234567895:token1:x", "put", Value),
        (&format!("2:id20:abcdefghij01234567891:k32:{key}3:seqi1e5:token1:x1:vi1e"), "put", Signature),
        (&format!("2:id20:abcdefghij01234567891:k32:{key}3:sig64:{key}{key}5:token1:x1:vi1e"), "put", Sequence),
        ("2:id20:abcdefghij0123456789", "sample_infohashes", Target),
    ];
    for (arguments, method, argument) in cases {
        let packet = format!("d1:ad{arguments}e1:q{}:{method}1:t2:aa1:y1:qe", method.len());
        let answer = (203, format!("missing {}", argument.key()));
        assert_eq!(refused(packet.as_bytes()), (Reason::Missing(argument), Some(answer)), "{packet}");
    }
}

#[test]
fn an_argument_that_is_malformed_is_named_if_its_method_has_it() {
    use Argument::*;
    let put = |more: &str| format!("2:id20:abcdefghij01234567895:token1:x{more}");
    let (key, signature, long) = ("k".repeat(32), "s".repeat(64), "x".repeat(129));
    let mutable = |more: &str| put(&format!("1:vi1e1:k32:{key}3:sig64:{signature}{more}"));
    let cases = [
        ("2:id19:abcdefghij012345678".into(), "ping", Id),
        ("2:idi1e".into(), "ping", Id),
        ("2:id20:abcdefghij01234567896:target1:x".into(), "find_node", Target),
        ("2:id20:abcdefghij01234567899:info_hashle".into(), "get_peers", InfoHash),
        (
            "2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti65536e5:token1:x".into(),
            "announce_peer",
            Port,
        ),
        (
            "2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti-1e5:token1:x".into(),
            "announce_peer",
            Port,
        ),
        (
            "2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti1e5:tokeni1e".into(),
            "announce_peer",
            Token,
        ),
        ("2:id20:abcdefghij01234567893:seq1:16:target20:mnopqrstuvwxyz123456".into(), "get", Sequence),
        // As BEP 44 has it: keys of a value that are out of order.
        (put("1:vd1:bi1e1:ai1ee"), "put", Value),
        (put("1:vi1e1:k31:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), "put", PublicKey),
        (mutable("4:salti1e3:seqi1e"), "put", Salt),
        (mutable("3:cas1:13:seqi1e"), "put", Cas),
    ];
    for (arguments, method, argument) in cases {
        let packet = format!("d1:ad{arguments}e1:q{}:{method}1:t2:aa1:y1:qe", method.len());
        let answer = (203, format!("malformed {}", argument.key()));
        assert_eq!(refused(packet.as_bytes()), (Reason::Malformed(argument), Some(answer)), "{packet}");
    }
    let token = format!("d1:ad2:id20:abcdefghij01234567895:token129:{long}1:vi1ee1:q3:put1:t2:aa1:y1:qe");
    assert_eq!(refused(token.as_bytes()), (Reason::TooLong(Token), Some((203, "token is too long".into()))));
    // A `ping` has no port and no target.
    read(b"d1:ad2:id20:abcdefghij01234567894:port1:x6:target1:xe1:q4:ping1:t2:aa1:y1:qe");
}

#[test]
fn a_value_or_salt_over_its_limit_has_a_code_of_its_own() {
    let key = "k".repeat(32);
    let value = |length: usize| {
        let length = length - 4;
        let text = "v".repeat(length);
        format!("d1:ad2:id20:abcdefghij01234567895:token1:x1:v{length}:{text}e1:q3:put1:t2:aa1:y1:qe")
    };
    assert!(Message::decode(value(1000).as_bytes()).is_ok());
    let big = value(1004);
    assert_eq!(refused(big.as_bytes()), (Reason::TooLong(Argument::Value), Some((205, "v is too long".into()))));
    let salt = |length: usize| {
        let salt = "s".repeat(length);
        format!(
            "d1:ad2:id20:abcdefghij01234567891:k32:{key}4:salt{length}:{salt}3:seqi1e3:sig64:{key}{key}\
            5:token1:x1:vi1ee1:q3:put1:t2:aa1:y1:qe"
        )
    };
    assert!(Message::decode(salt(64).as_bytes()).is_ok());
    assert_eq!(refused(salt(65).as_bytes()), (Reason::TooLong(Argument::Salt), Some((207, "salt is too long".into()))));
}

#[test]
fn a_port_that_is_implied_need_not_be_there() {
    for (implied, taken) in [("i1e", true), ("i2e", true), ("i-1e", true), ("i0e", false), ("1:1", false)] {
        let packet = format!(
            "d1:ad2:id20:abcdefghij012345678912:implied_port{implied}9:info_hash20:mnopqrstuvwxyz1234565:token1:xe\
            1:q13:announce_peer1:t2:aa1:y1:qe"
        );
        assert_eq!(Message::decode(packet.as_bytes()).is_ok(), taken, "{implied}");
    }
}

#[test]
fn an_unknown_method_is_kept_apart_with_what_it_is_about() {
    let method = |arguments: &str| {
        let packet = format!("d1:ad2:id20:abcdefghij0123456789{arguments}e1:q4:what1:t2:aa1:y1:qe").into_bytes();
        let Body::Query(Query { method, .. }) = read(&packet).body else { panic!("no query") };
        assert_eq!(method.name(), b"what");
        method.target()
    };
    assert_eq!(method(""), None);
    assert_eq!(method("6:target20:mnopqrstuvwxyz123456"), Some(M));
    assert_eq!(method("9:info_hash20:mnopqrstuvwxyz123456"), Some(M));
    assert_eq!(method("9:info_hash20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456"), Some(M));
    assert_eq!(method("6:target3:xyz"), None);
}

#[test]
fn what_is_malformed_in_a_reply_is_left_out_and_counted() {
    let packet: &[u8] =
        b"d1:rd4:BFpe3:abc4:BFsdi1e2:id3:abc8:interval1:x1:k1:x5:nodesi1e6:nodes6le3:numi-1e7:samplesi1e\
        3:seq1:x3:sig1:x5:tokeni1e1:vd1:bi1e1:ai1ee6:values6:axje.ue1:t2:aa1:y1:re";
    assert_eq!(reply(packet), Reply { dropped: 14, ..Reply::default() });
    let values: &[u8] = b"d1:rd6:valuesl6:axje.u7:axje.uui1el6:axje.ue0:18:ABCDEFGHIJKLMNOP.u6:idhtnmee1:t2:aa1:y1:re";
    let found = reply(values);
    let ports: Vec<_> = found.values.unwrap().iter().map(|peer| peer.port()).collect();
    assert_eq!((ports.len(), found.values.unwrap().len(), found.dropped), (3, 3, 4));
    assert_eq!(ports, [11893, 11893, 28269]);
    let nodes = [
        &b"d1:rd5:nodes53:"[..],
        &[b'n'; 53],
        b"6:nodes637:",
        &[b'n'; 37],
        b"7:samples21:",
        &[b's'; 21],
        b"e1:t2:aa1:y1:re",
    ];
    let nodes = nodes.concat();
    let found = reply(&nodes);
    let lengths = (found.nodes.unwrap().len(), found.nodes6.unwrap().len(), found.samples.unwrap().len());
    assert_eq!((lengths, found.dropped), ((2, 0, 1), 3));
    let big = format!("d1:rd5:token129:{}1:v997:{}e1:t2:aa1:y1:re", "t".repeat(129), "v".repeat(997));
    assert_eq!(reply(big.as_bytes()), Reply { dropped: 2, ..Reply::default() });
}

#[test]
fn an_interval_out_of_range_is_brought_into_it() {
    let interval = |int: i64| reply(format!("d1:rd8:intervali{int}ee1:t2:aa1:y1:re").as_bytes()).interval;
    assert_eq!([-1, 0, 21_600, 21_601, i64::MAX].map(interval), [0, 0, 21_600, 21_600, 21_600].map(Some));
}

#[test]
fn an_error_need_not_say_anything() {
    for (list, expected) in [
        ("", (0, "")),
        ("1:ei5e", (0, "")),
        ("1:ele", (0, "")),
        ("1:eli203ee", (203, "")),
        ("1:el3:abci203ee", (203, "abc")),
        ("1:eli204e1:xi1e1:ye", (204, "x")),
        ("1:ed3:abci203ee", (0, "")),
    ] {
        let packet = format!("d{list}1:t2:aa1:y1:ee").into_bytes();
        assert_eq!(read(&packet), Message::error(b"aa", expected.0, expected.1), "{list}");
    }
}

#[test]
fn a_packet_without_what_every_message_has_is_refused() {
    let id = "d1:ad2:id20:abcdefghij0123456789e";
    assert_eq!(refused(format!("{id}1:q4:ping1:y1:qe").as_bytes()), (Reason::Transaction { length: None }, None));
    assert_eq!(
        refused(format!("{id}1:q4:ping1:t0:1:y1:qe").as_bytes()),
        (Reason::Transaction { length: Some(0) }, None)
    );
    let long = format!("{id}1:q4:ping1:t33:{}1:y1:qe", "t".repeat(33));
    assert_eq!(refused(long.as_bytes()), (Reason::Transaction { length: Some(33) }, None));
    assert!(Message::decode(long.replace("33:t", "32:").as_bytes()).is_ok());
    for kind in ["", "1:y1:x", "1:yi1e", "1:y2:qq"] {
        assert_eq!(refused(format!("{id}1:q4:ping1:t2:aa{kind}e").as_bytes()), (Reason::UnknownKind, None), "{kind}");
    }
    assert_eq!(refused(b"d1:t2:aa1:y1:re"), (Reason::NoValues, None));
    assert_eq!(refused(b"d1:rle1:t2:aa1:y1:re"), (Reason::NoValues, None));
    assert_eq!(
        refused(format!("{id}1:t2:aa1:y1:qe").as_bytes()),
        (Reason::NoMethod, Some((203, "missing method".into())))
    );
    let answer = Some((203, "missing arguments".into()));
    assert_eq!(refused(b"d1:q4:ping1:t2:aa1:y1:qe"), (Reason::NoArguments, answer.clone()));
    assert_eq!(refused(b"d1:ale1:q4:ping1:t2:aa1:y1:qe"), (Reason::NoArguments, answer));
}

#[test]
fn what_is_nested_deep_or_has_many_elements_or_is_long_is_refused() {
    let nested = |depth| format!("d1:rd1:x{}{}e1:t2:aa1:y1:re", "l".repeat(depth), "e".repeat(depth));
    assert!(Message::decode(nested(8).as_bytes()).is_ok());
    for depth in [9, 20_000, 32_000] {
        assert!(matches!(
            refused(nested(depth).as_bytes()).0,
            Reason::Bencode(bencode::Error::TooDeep { limit: 10, .. })
        ));
    }
    let many = |count| format!("d1:rd1:xl{}ee1:t2:aa1:y1:re", "0:".repeat(count));
    assert!(Message::decode(many(488).as_bytes()).is_ok());
    let error = refused(many(489).as_bytes()).0;
    assert!(matches!(error, Reason::Bencode(bencode::Error::TooManyTokens { limit: 500, .. })), "{error:?}");
    let long = |length: usize| format!("d1:t2:aa1:x{length}:{}1:y1:ee", "x".repeat(length));
    let extra = long(60_000).len() - 60_000;
    assert!(Message::decode(long(MAX_PACKET - extra).as_bytes()).is_ok());
    assert!(matches!(
        refused(long(MAX_PACKET - extra + 1).as_bytes()).0,
        Reason::Bencode(bencode::Error::InputTooLong { .. })
    ));
}

#[test]
fn keys_out_of_order_unknown_and_twice_are_taken() {
    let packet =
        b"d1:y1:q1:t2:aa1:q4:ping1:zd1:zlee1:ad1:xi1e2:id20:abcdefghij01234567891:wle2:id20:mnopqrstuvwxyz123456ee";
    assert_eq!(read(packet), query(Method::Ping));
    assert!(matches!(refused(b"d1:t2:aa1:t2:bb1:y1:ee").0, Reason::Bencode(bencode::Error::DuplicateKey { .. })));
}

#[test]
fn our_address_is_read_with_a_port_and_without() {
    for (bytes, expected) in [
        (&b"6:axje.u"[..], Some("97.120.106.101:11893")),
        (b"4:axje", Some("97.120.106.101:0")),
        (b"16:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01", Some("[2001:db8::1]:0")),
        (b"16:\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04", Some("1.2.3.4:0")),
        (b"18:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1", Some("[2001:db8::1]:6881")),
        (b"5:axje.", None),
        (b"i1e", None),
    ] {
        let packet = [b"d2:ip", bytes, b"1:rde1:t2:aa1:y1:re"].concat();
        assert_eq!(read(&packet).ip, expected.map(|ip| ip.parse().unwrap()), "{}", text(bytes));
    }
    let long = format!("d1:rde1:t2:aa1:v33:{}1:y1:re", "v".repeat(33));
    assert_eq!(read(long.as_bytes()).version, None);
}

#[test]
fn a_reply_is_filled_up_to_its_limit_and_never_beyond() {
    let v4 = |n: u16| SocketAddr::from(([192, 0, 2, 1], n));
    let v6 = |n: u16| SocketAddr::from((Ipv6Addr::LOCALHOST, n));
    let node = |address| Node { id: M, address };
    let mixed: Vec<Node> = (0..16).map(|n| node(if n % 2 == 0 { v4(n) } else { v6(n) })).collect();
    let samples = vec![HASH; 300];
    let head = Message::reply(b"abcd", Reply { token: Some(&[7; 20]), value: Some(b"i1e"), ..Reply::new(A) });
    for limit in (0..2000).step_by(7) {
        for (sampled, peer) in [(false, v4 as fn(u16) -> SocketAddr), (true, v6)] {
            let lists = Lists {
                nodes: Some(&mixed[..]),
                nodes6: Some(&mixed[..]),
                samples: sampled.then_some(&samples[..]),
                values: Some((0..400).map(peer)),
            };
            let mut out = Vec::new();
            let written = head.encode_with(lists, limit, &mut out);
            assert!(out.len() <= limit.max(head.encoded_len()), "{} of {limit}", out.len());
            let found = reply(&out);
            assert_eq!((found.dropped, found.token, found.value), (0, Some(&[7; 20][..]), Some(&b"i1e"[..])));
            assert_eq!(found.nodes.map_or(0, Nodes::len), written.nodes);
            assert_eq!(found.nodes6.map_or(0, Nodes::len), written.nodes6);
            assert_eq!(found.samples.map_or(0, Samples::len), written.samples);
            assert_eq!(found.values.map_or(0, Values::len), written.values);
            if limit > 1000 {
                // Each address goes with its family, and the room is used.
                assert_eq!((written.nodes, written.nodes6), (8, 8));
                assert!(found.nodes.unwrap().iter().all(|node| node.address.is_ipv4()));
                assert!(found.nodes6.unwrap().iter().all(|node| node.address.is_ipv6()));
                assert!(out.len() + 40 > limit, "{} of {limit}", out.len());
            }
        }
    }
}

#[test]
fn lists_that_are_empty_say_what_an_empty_list_says() {
    let lists = Lists { nodes: Some(&[][..]), nodes6: None, samples: Some(&[][..]), values: Some(std::iter::empty()) };
    let mut out = Vec::new();
    Message::reply(b"aa", Reply::new(A)).encode_with(lists, MAX_REPLY, &mut out);
    // Who supports BEP 51 shows it by samples, even of no torrent; but who has `values` has peers.
    assert_eq!(text(&out), "d1:rd2:id20:abcdefghij01234567895:nodes0:7:samples0:e1:t2:aa1:y1:re");
}

fn bytes(length: impl Into<prop::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), length)
}

proptest! {
    #[test]
    fn any_query_is_read_as_it_was_written(
        (which, id, target, want) in (0..8, any::<[u8; 20]>(), any::<[u8; 20]>(), any::<(bool, bool)>()),
        (transaction, version, token) in (bytes(1..=32), prop::option::of(bytes(0..=32)), bytes(0..=128)),
        (key, sign, salt, seq, cas) in (any::<[u8; 32]>(), bytes(64), bytes(0..=64), any::<i64>(), any::<Option<i64>>()),
        (port, implied_port, seed, other, read_only) in any::<(u16, bool, bool, bool, bool)>(),
        ip in any::<Option<SocketAddr>>(),
    ) {
        let (target, info_hash) = (NodeId(target), InfoHash(target));
        let signature = sign.as_slice().try_into().unwrap();
        let mutable = Mutable { key: &key, signature, seq, salt: &salt, cas };
        let method = match which {
            0 => Method::Ping,
            1 => Method::FindNode { target },
            2 => Method::GetPeers { info_hash, no_seed: seed, scrape: other },
            3 => Method::AnnouncePeer(AnnouncePeer { info_hash, port, implied_port, seed, token: &token }),
            4 => Method::Get { target, seq: cas },
            5 => Method::Put(Put { token: &token, value: b"l3:abcd1:ai1eee", mutable: other.then_some(mutable) }),
            6 => Method::SampleInfohashes { target },
            _ => Method::Unknown { method: b"other", target: other.then_some(target) },
        };
        let query = Query { id: NodeId(id), want: Want { v4: want.0, v6: want.1 }, method };
        // An address is written in its plainest form.
        let ip = ip.map(|ip| SocketAddr::new(ip.ip().to_canonical(), ip.port()));
        let message = Message { version: version.as_deref(), read_only, ip, ..Message::query(&transaction, query) };
        let packet = encode(&message);
        prop_assert_eq!(Message::decode(&packet), Ok(message));
    }

    #[test]
    fn no_packet_whatever_makes_a_panic(mut packet in bytes(0..300), at in any::<prop::sample::Index>(), byte: u8) {
        let _ = Message::decode(&packet);
        // Nearly a message: one byte of it is another.
        for (bytes, _) in extended() {
            packet.clone_from(&bytes);
            *at.get_mut(&mut packet) = byte;
            if let Ok(message) = Message::decode(&packet) {
                let again = encode(&message);
                prop_assert_eq!(encode(&read(&again)), again);
            }
        }
    }
}
