use bip::proto::extension::{Handshake, Id, Incoming, Limits, Names, Reason, Theirs};
use bip::proto::message::Message;
use std::collections::BTreeMap;

/// What one peer sends: the first byte chooses the limits; then come messages, each after its length (one byte, or 255 for all that is
/// left) and its number.
///
/// Each message is read again as what was read, and a handshake obeys its limits; and after any handshakes the peer's ids are those that
/// a plain map of them has.
pub fn extension(data: &[u8]) {
    let Some((choice, mut rest)) = data.split_first() else { return };
    let limits = match choice % 2 {
        0 => Limits::default(),
        _ => Limits { names: 3, name_length: 8, others: 2, client_length: 4, metadata: 20_000, pex_peers: 2 },
    };
    let mut names = Names::standard();
    names.register("xy_chat", &Limits::default()).expect("the name is new");
    let (mut theirs, mut model) = (Theirs::default(), BTreeMap::new());
    while let Some(([length, id], more)) = rest.split_first_chunk() {
        let length = if *length == 255 { more.len() } else { more.len().min(usize::from(*length)) };
        let (payload, after) = more.split_at(length);
        rest = after;
        let Ok(incoming) = names.decode(*id, payload, &limits) else { continue };
        again(&names, &incoming, &limits);
        if let Incoming::Handshake(handshake) = incoming {
            check(payload, &handshake, &limits);
            theirs.merge(&names, &handshake);
            model.extend(handshake.names().map(|(name, id)| (name.to_vec(), id)));
            for (name, _) in names.iter() {
                assert_eq!(theirs.id(&names, name), model.get(name).copied().flatten());
            }
        }
    }
}

/// What is read is written so that it is read again.
fn again(names: &Names, incoming: &Incoming<'_>, limits: &Limits) {
    let (id, mut out) = (Id::new(9).expect("not 0"), Vec::new());
    let kind = match incoming {
        Incoming::Handshake(message) => {
            message.encode(&mut out);
            0
        }
        Incoming::Metadata(message) => {
            message.encode(id, &mut out);
            1
        }
        Incoming::Pex(message) => {
            message.encode(id, &mut out);
            2
        }
        Incoming::DontHave(message) => {
            message.encode(id, &mut out);
            3
        }
        Incoming::Holepunch(message) => {
            message.encode(id, &mut out);
            4
        }
        Incoming::UploadOnly(message) => {
            message.encode(id, &mut out);
            5
        }
        _ => return,
    };
    let Ok(Message::Extended { id: written, payload }) = Message::decode(&out[4..]) else {
        panic!("not an extended message");
    };
    assert_eq!(out[..4], (out.len() as u32 - 4).to_be_bytes());
    assert_eq!(written, if kind == 0 { 0 } else { 9 });
    let read = names.decode(kind, payload, limits).expect("what we write can be read");
    match (incoming, read) {
        // What was left out is not written.
        (Incoming::Pex(message), Incoming::Pex(read)) => {
            assert_eq!((&message.added, &message.dropped, 0), (&read.added, &read.dropped, read.left_out));
        }
        (incoming, read) => assert_eq!(*incoming, read),
    }
}

fn check(payload: &[u8], handshake: &Handshake<'_>, limits: &Limits) {
    assert!(handshake.names().len() <= limits.names && handshake.others().len() <= limits.others);
    assert!(handshake.names().all(|(name, _)| name.len() <= limits.name_length));
    assert!(handshake.client.is_none_or(|client| client.len() <= limits.client_length));
    assert!(handshake.metadata_size.is_none_or(|size| (1..=limits.metadata).contains(&size.get())));
    let mut odd = 0;
    let noting = Handshake::decode_noting(payload, limits, |oddity| {
        odd += usize::from(!matches!(oddity.reason, Reason::SharedId(_)));
        assert!(payload.as_ptr_range().contains(&oddity.key.as_ptr()) || oddity.key.is_empty());
    });
    assert_eq!(noting.as_ref(), Ok(handshake));
    assert!(odd <= 500, "more oddities than elements");
    for (name, id) in handshake.names() {
        assert_eq!(handshake.name(name), Some(id));
    }
    for (key, value) in handshake.others() {
        assert_eq!(handshake.other(key), Some(value));
        assert!(handshake.clone().set_other(key, value), "an unknown key is known");
    }
}
