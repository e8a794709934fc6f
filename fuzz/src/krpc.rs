use bip::proto::compact::{Family, Node};
use bip::proto::krpc::{
    Body, Lists, MAX_INTERVAL, MAX_PACKET, MAX_REPLY, MAX_SALT, MAX_TOKEN, MAX_TOKENS, MAX_TRANSACTION, MAX_VALUE,
    MAX_VERSION, Message, Method, Reply, item,
};
use std::net::SocketAddr;

/// What is read is within its limits and is written to a message that reads the same; a query that is not understood is answered by
/// an error that can be read.
pub fn krpc(data: &[u8]) {
    let message = match Message::decode(data) {
        Ok(message) => message,
        Err(error) => {
            super::check_text(&error.to_string());
            if let Some(answer) = error.answer() {
                assert_eq!(error.transaction, Some(answer.transaction));
                assert!(matches!(answer.body, Body::Error { code: 203 | 205 | 207, .. }));
                let mut out = Vec::new();
                answer.encode(&mut out);
                assert!(out.len() < 100 && Message::decode(&out) == Ok(answer));
            }
            return;
        }
    };
    assert!(data.len() <= MAX_PACKET && (1..=MAX_TRANSACTION).contains(&message.transaction.len()));
    assert!(message.version.is_none_or(|version| version.len() <= MAX_VERSION));
    super::check_text(&format!("{message:?}"));
    match &message.body {
        Body::Query(query) => check_method(&query.method),
        Body::Reply(reply) => check_reply(reply),
        Body::Error { .. } => {}
    }

    let mut out = Vec::new();
    message.encode(&mut out);
    assert_eq!(out.len(), message.encoded_len());
    let again = Message::decode(&out).expect("what is written can be read");
    same(&again, &message);
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(twice, out);

    if let Body::Reply(reply) = &message.body {
        filled(&message, reply);
    }
}

fn check_method(method: &Method<'_>) {
    match method {
        Method::AnnouncePeer(announce) => assert!(announce.token.len() <= MAX_TOKEN),
        Method::Put(put) => {
            assert!(put.token.len() <= MAX_TOKEN && item::is_value(put.value));
            if let Some(mutable) = &put.mutable {
                assert!(mutable.salt.len() <= MAX_SALT);
                let mut signed = Vec::new();
                item::encode_signed(mutable.salt, mutable.seq, put.value, &mut signed);
                assert!(signed.ends_with(put.value));
            }
        }
        _ => {}
    }
}

fn check_reply(reply: &Reply<'_>) {
    assert!(reply.token.is_none_or(|token| token.len() <= MAX_TOKEN));
    assert!(reply.value.is_none_or(|value| item::is_value(value) && value.len() <= MAX_VALUE));
    assert!(reply.interval.is_none_or(|interval| interval <= MAX_INTERVAL));
    assert!(reply.values.is_none_or(|values| values.len() <= MAX_TOKENS && values.iter().count() == values.len()));
    assert!(reply.samples.is_none_or(|samples| samples.iter().count() == samples.len()));
    assert!(reply.dropped <= MAX_TOKENS);
}

/// All but what was left out, and the bytes in between.
fn same(again: &Message<'_>, message: &Message<'_>) {
    let (Body::Reply(a), Body::Reply(b)) = (again.body, message.body) else {
        assert_eq!(again, message);
        return;
    };
    let plain = |message: &Message<'_>| (message.transaction.to_vec(), message.read_only, message.ip);
    assert_eq!((plain(again), again.version), (plain(message), message.version));
    let peers = |reply: &Reply<'_>| reply.values.map(|values| values.iter().collect::<Vec<_>>());
    assert_eq!((peers(&a), a.dropped), (peers(&b), 0));
    assert_eq!(Reply { values: None, ..a }, Reply { values: None, dropped: 0, ..b });
}

/// With lists that are given apart a reply stays within its limit.
fn filled(message: &Message<'_>, reply: &Reply<'_>) {
    let nodes: Vec<Node> = reply.nodes.into_iter().flat_map(|nodes| nodes.iter()).collect();
    let nodes6: Vec<Node> = reply.nodes6.into_iter().flat_map(|nodes| nodes.iter()).collect();
    let hashes: Vec<_> = reply.samples.into_iter().flat_map(|samples| samples.iter()).collect();
    let peers: Vec<SocketAddr> = reply.values.into_iter().flat_map(|values| values.iter()).collect();
    let own = Reply { nodes: None, nodes6: None, samples: None, values: None, ..*reply };
    let least = Message { body: Body::Reply(own), ..*message }.encoded_len();
    for limit in [0, least, least + peers.len(), MAX_REPLY, MAX_PACKET] {
        let lists = Lists {
            nodes: reply.nodes.map(|_| &nodes[..]),
            nodes6: reply.nodes6.map(|_| &nodes6[..]),
            samples: reply.samples.map(|_| &hashes[..]),
            values: Some(peers.iter().copied()),
        };
        let mut out = Vec::new();
        let written = message.encode_with(lists, limit, &mut out);
        assert!(out.len() <= limit.max(least), "{} bytes of {limit}", out.len());
        let Ok(Message { body: Body::Reply(read), .. }) = Message::decode(&out) else { panic!("no reply") };
        assert_eq!(read.dropped, 0);
        assert_eq!(read.values.map_or(0, |values| values.len()), written.values);
        // Of an IPv6 node whose address is an IPv4 one in disguise the other key is the place.
        let of = |nodes: &[Node], family| nodes.iter().filter(|node| Family::of(node.address.ip()) == family).count();
        assert!(written.nodes <= of(&nodes, Family::V4) && written.nodes6 <= of(&nodes6, Family::V6));
        // There was room for more.
        if out.len() + 100 < limit {
            assert_eq!((written.values, written.samples), (peers.len(), hashes.len()));
        }
    }
}
