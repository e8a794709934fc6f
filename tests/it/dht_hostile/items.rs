//! What others want to be stored, and what they say is stored (BEP 44).

use super::*;
use bip::dht::Item;
#[cfg(feature = "mutable-items")]
use bip::dht::Signed;
use bip::proto::krpc::item;

fn get(target: NodeId, arguments: &[u8]) -> Vec<u8> {
    query(id(1, 1), "get", &[arguments, b"6:target20:", &target.0])
}

fn put(token: &[u8], arguments: &[&[u8]]) -> Vec<u8> {
    query(id(1, 1), "put", &[&join(arguments), b"5:token", &string(token)])
}

/// A value of as many bytes in all, where these are 104 to 1,003.
fn value(length: usize) -> Vec<u8> {
    string(&vec![b'v'; length - b"100:".len()])
}

#[test]
fn a_value_is_stored_with_a_token_and_up_to_a_length() {
    let mut host = Host::new(config());
    let (token, other) = (host.token(v4(1)), host.token(v4(2)));
    for (packet, expected) in [
        (put(&other, &[b"1:v", &value(500)]), 203),
        (put(b"", &[b"1:v", &value(500)]), 203),
        (put(&token, &[b"1:v", &value(1_001)]), 205),
        (put(&token, &[b"1:v", &value(60_000)]), 205),
        (put(&token, &[b"1:vd1:bi0e1:ai0ee"]), 203),
    ] {
        assert_eq!(code(&host.ask(v4(1), &packet).unwrap()), expected);
        assert_eq!(host.status().stored_items, 0);
    }
    let longest = value(1_000);
    assert!(reply_of(&host.ask(v4(1), &put(&token, &[b"1:v", &longest])).unwrap()).id.is_some());
    let target = item::immutable_target(&longest);
    let answer = host.ask(v4(3), &get(target, b"")).unwrap();
    assert!(answer.bytes.len() <= 1_400);
    assert_eq!(reply_of(&answer).value, Some(&longest[..]));
    assert!(reply_of(&answer).token.is_some());
    // Nobody who asks for something else gets it.
    assert_eq!(reply_of(&host.ask(v4(3), &get(id(1, 1), b"")).unwrap()).value, None);
    host.wait(125 * MINUTE);
    assert_eq!(reply_of(&host.ask(v4(3), &get(target, b"")).unwrap()).value, None);
}

#[test]
fn the_longest_value_fits_into_a_reply_over_ipv6_with_all_that_goes_with_it() {
    let mut host = Host::dual(config());
    let token = host.token(v6(1));
    for n in 0..8 {
        assert!(host.befriend(v6(100 + n), id(200, n)));
    }
    let longest = value(1_000);
    assert!(reply_of(&host.ask(v6(1), &put(&token, &[b"1:v", &longest])).unwrap()).id.is_some());
    let answer = host.ask(v6(1), &get(item::immutable_target(&longest), b"4:wantl2:n42:n6e")).unwrap();
    assert_eq!(reply_of(&answer).value, Some(&longest[..]));
    assert!(answer.bytes.len() <= 1_400);
}

#[test]
fn one_host_does_not_fill_the_store() {
    let mut config = config();
    config.guard.queries = u32::MAX;
    let mut host = Host::new(config);
    let token = host.token(v4(1));
    let mut refused = 0;
    for n in 0..100 {
        let value = format!("i{n}e");
        if let Body::Error { code, .. } =
            host.ask(v4(1), &put(&token, &[b"1:v", value.as_bytes()])).unwrap().message().body
        {
            assert_eq!(code, 202);
            refused += 1;
        }
    }
    assert_eq!((host.status().stored_items, refused), (50, 50));
    let token = host.token(v4(2));
    assert!(reply_of(&host.ask(v4(2), &put(&token, &[b"1:v", b"i1000e"])).unwrap()).id.is_some());
}

#[test]
fn a_value_that_does_not_have_the_hash_that_was_asked_for_is_not_one() {
    let mut host = Host::new(config());
    assert!(host.befriend(v4(1), id(200, 1)) && host.befriend(v4(2), id(200, 2)));
    let target = item::immutable_target(b"i7e");
    host.tell(Command::GetImmutable { request: RequestId(1), target });
    assert!(host.answer(v4(1), id(200, 1), &[b"1:vi8e"]));
    assert_eq!(host.end(1), None);
    assert!(host.answer(v4(2), id(200, 2), &[b"1:vi7e"]));
    let Some(Event::Got { item: Some(Item::Immutable(value)), .. }) = host.end(1) else { panic!("no value") };
    assert_eq!(value, b"i7e");
}

#[cfg(feature = "mutable-items")]
mod signed {
    use super::*;

    fn key() -> item::SigningKey {
        item::SigningKey::from_seed(&[3; 32])
    }

    /// What a put or a reply has of a signed value.
    fn parts(salt: &[u8], seq: i64, value: &[u8], signature: &[u8; 64]) -> Vec<u8> {
        let salt = if salt.is_empty() { Vec::new() } else { join(&[b"4:salt", &string(salt)]) };
        let seq = format!("3:seqi{seq}e");
        join(&[b"1:k32:", &key().public(), &salt, seq.as_bytes(), b"3:sig64:", signature, b"1:v", value])
    }

    fn signed(salt: &[u8], seq: i64, value: &[u8]) -> Vec<u8> {
        parts(salt, seq, value, &key().sign(salt, seq, value))
    }

    #[test]
    fn a_signed_value_is_taken_only_with_its_signature_salt_and_sequence_number() {
        let mut host = Host::new(config());
        let token = host.token(v4(1));
        let mut wrong = key().sign(b"s", 5, b"i1e");
        wrong[0] ^= 1;
        let other_salt = key().sign(b"t", 5, b"i1e");
        for (argument, expected) in [
            (parts(b"s", 5, b"i1e", &wrong), 206),
            (parts(b"s", 5, b"i1e", &other_salt), 206),
            (parts(b"s", 5, b"i1e", &[0; 64]), 206),
            (signed(&[b's'; 65], 5, b"i1e"), 207),
            (signed(b"s", 5, &value(1_001)), 205),
            (signed(b"s", -1, b"i1e"), 203),
        ] {
            assert_eq!(code(&host.ask(v4(1), &put(&token, &[&argument])).unwrap()), expected);
            assert_eq!(host.status().stored_items, 0);
        }
        assert!(reply_of(&host.ask(v4(1), &put(&token, &[&signed(b"s", 5, b"i1e")])).unwrap()).id.is_some());
        for (arguments, expected) in [
            // Older, or another of the same number, or not what is to be replaced.
            (signed(b"s", 4, b"i1e"), 302),
            (signed(b"s", 5, b"i2e"), 302),
            (join(&[b"3:casi4e", &signed(b"s", 6, b"i2e")]), 301),
            // Newer, and signed by somebody else.
            (parts(b"s", 6, b"i2e", &wrong), 206),
        ] {
            assert_eq!(code(&host.ask(v4(1), &put(&token, &[&arguments])).unwrap()), expected);
        }
        let stored = |host: &mut Host, seq: &[u8]| {
            let answer = host.ask(v4(2), &get(item::mutable_target(&key().public(), b"s"), seq)).unwrap();
            let reply = reply_of(&answer);
            assert_eq!(reply.value.is_some(), reply.signature.is_some() && reply.key.is_some());
            (reply.seq, reply.value.map(<[u8]>::to_vec))
        };
        // It is given only to who has none or an older one.
        assert_eq!(stored(&mut host, b""), (Some(5), Some(b"i1e".to_vec())));
        assert_eq!(stored(&mut host, b"3:seqi4e"), (Some(5), Some(b"i1e".to_vec())));
        assert_eq!(stored(&mut host, b"3:seqi5e"), (Some(5), None));
        assert_eq!(stored(&mut host, b"3:seqi9223372036854775807e"), (Some(5), None));
        for arguments in [signed(b"s", 5, b"i1e"), join(&[b"3:casi5e", &signed(b"s", 6, b"i2e")])] {
            assert!(reply_of(&host.ask(v4(1), &put(&token, &[&arguments])).unwrap()).id.is_some());
        }
        assert_eq!(stored(&mut host, b""), (Some(6), Some(b"i2e".to_vec())));
        assert_eq!(host.status().stored_items, 1);
    }

    #[test]
    fn of_the_values_that_others_have_the_newest_that_is_signed_counts() {
        let mut host = Host::new(config());
        for n in 1..=6 {
            assert!(host.befriend(v4(n), id(200, n)));
        }
        host.pass(60);
        let request = RequestId(1);
        let get = Command::GetMutable { request, key: key().public(), salt: b"s".to_vec(), newer_than: Some(2) };
        host.tell(get);
        let mut wrong = key().sign(b"s", 100, b"i100e");
        wrong[9] ^= 1;
        let values = [
            signed(b"s", 4, b"i4e"),
            parts(b"s", 100, b"i100e", &wrong),
            // Of another salt, and not newer than what is known, or told already.
            signed(b"t", 50, b"i50e"),
            signed(b"s", 2, b"i2e"),
            signed(b"s", 4, b"i4e"),
            signed(b"s", 5, b"i5e"),
        ];
        for values in values {
            // Whoever is asked next.
            let to = host.queries.first().expect("all are asked").to;
            let n = (1..=6).find(|n| v4(*n) == to).expect("it is one of them");
            assert!(host.answer(to, id(200, n), &[&values]));
        }
        let seq = |event: &Event| match event {
            Event::Item { item: Item::Mutable(Signed { seq, .. }), .. } => Some(*seq),
            _ => None,
        };
        let told: Vec<_> = host.events.iter().filter_map(seq).collect();
        assert_eq!(told, [4, 5]);
        let Some(Event::Got { item: Some(item), .. }) = host.end(1) else { panic!("no value") };
        assert_eq!(item.value(), b"i5e");
    }
}
