use super::*;
use std::collections::BTreeMap;

const START: Instant = Instant::from_micros(77_000_000);

fn after(seconds: u64) -> Instant {
    START + Duration::from_secs(seconds)
}

fn ip(n: u32) -> IpAddr {
    IpAddr::from((0x0100_0000 + n).to_be_bytes())
}

fn items(limits: ItemLimits) -> Items {
    Items::new(limits, &mut Rng::new(1))
}

fn value(n: u32) -> Vec<u8> {
    format!("i{n}e").into_bytes()
}

fn put(items: &mut Items, now: Instant, from: IpAddr, n: u32) -> Result<(), PutError> {
    let value = value(n);
    items.put_immutable(now, from, item::immutable_target(&value), &value)
}

fn has(items: &Items, now: Instant, n: u32) -> bool {
    let value = value(n);
    let found = items.get(now, &item::immutable_target(&value));
    found.is_some_and(|item| *item.value == *value && item.signed.is_none())
}

fn mutable(key: &[u8; 32], seq: i64) -> Mutable<'_> {
    Mutable { key, signature: &[1; 64], seq, salt: b"", cas: None }
}

/// Puts without verifying.
fn put_signed(items: &mut Items, now: Instant, put: &Mutable<'_>, value: &[u8]) -> Result<(), PutError> {
    items.put_signed(now, ip(1), put, value, |_, _| Ok(()))
}

/// Gives the number and the value that are stored for a key.
fn stored(items: &Items, now: Instant, put: &Mutable<'_>) -> Option<(i64, Vec<u8>)> {
    let item = items.get(now, &item::mutable_target(put.key, put.salt))?;
    let signed = item.signed.as_ref().expect("it is a mutable one");
    assert_eq!(signed.key, *put.key);
    Some((signed.seq, item.value.to_vec()))
}

impl Items {
    /// Counts everything again.
    fn check(&self) {
        let mut owners = BTreeMap::new();
        for (target, stored) in self.items.iter_unordered() {
            *owners.entry(stored.owner).or_insert(0) += 1;
            assert!(self.timers.clone().cancel(*target));
        }
        assert_eq!(self.owners.counts(), owners.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(self.timers.len(), self.items.len());
        assert!(self.items.len() <= self.limits.items && owners.values().all(|count| *count <= self.limits.per_ip));
    }
}

#[test]
fn an_item_is_kept_for_two_hours_after_it_was_last_put_by_whomever() {
    let mut items = items(ItemLimits::default());
    put(&mut items, START, ip(1), 5).unwrap();
    assert!(has(&items, after(7_199), 5) && !has(&items, after(7_200), 5) && !has(&items, START, 6));
    put(&mut items, after(3_600), ip(2), 5).unwrap();
    assert!(has(&items, after(10_799), 5) && !has(&items, after(10_800), 5));
    items.check();
    assert_eq!((items.len(), items.next_expiry()), (1, Some(after(10_860))));
    // What has expired and is still there is no obstacle.
    put(&mut items, after(10_800), ip(3), 5).unwrap();
    items.check();
    assert!(has(&items, after(17_999), 5));
}

#[test]
fn the_item_of_bep_44_is_stored_under_its_hash() {
    let mut items = items(ItemLimits::default());
    let target = "e5f96f6f38320f0f33959cb4d3d656452117aadb".parse().unwrap();
    items.put_immutable(START, ip(1), target, b"12:Hello World!").unwrap();
    assert_eq!(*items.get(START, &target).unwrap().value, *b"12:Hello World!");
}

#[test]
fn what_has_expired_is_taken_out_in_bounded_portions() {
    let mut items = items(ItemLimits::default());
    (0..100).for_each(|n| put(&mut items, after(n.into()), ip(n), n).unwrap());
    assert_eq!(items.expire(after(7_199), 99), 0);
    assert_eq!(items.expire(after(7_200 + 49), 20), 20);
    items.check();
    assert_eq!(items.expire(after(7_200 + 49), 99), 30);
    assert_eq!(items.expire(Instant::NEVER, usize::MAX), 50);
    assert_eq!((items.len(), items.next_expiry()), (0, None));
    items.check();
}

#[test]
fn one_host_cannot_fill_the_store() {
    let mut items = items(ItemLimits::default());
    let of_line = |n: u32| IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(n)).to_be_bytes());
    let stored = (0..2_000).filter(|n| put(&mut items, START, ip(1), *n).is_ok()).count();
    let of_64 = (2_000..4_000).filter(|n| put(&mut items, START, of_line(*n), *n).is_ok()).count();
    assert_eq!((stored, of_64, items.len()), (50, 50, 100));
    assert_eq!(put(&mut items, START, ip(1), 9_999), Err(PutError::Full));
    // What is there may be kept for longer, and changed.
    assert_eq!(put(&mut items, START, ip(1), 3), Ok(()));
    assert_eq!(put(&mut items, START, ip(2), 9_999), Ok(()));
    items.check();
    let mut local = Items::new(ItemLimits::default().of_local_network(), &mut Rng::new(1));
    assert!((0..1_000).all(|n| put(&mut local, START, ip(1), n).is_ok()));
}

#[test]
fn who_puts_little_keeps_it_when_others_put_much() {
    let mut items = items(ItemLimits::default());
    // 300 hosts with one item, the oldest there are; then 200 with as many as they can.
    (0..300).for_each(|n| put(&mut items, START, ip(n), n).unwrap());
    for n in 0..200 * 50 {
        put(&mut items, after(1 + u64::from(n) / 100), ip(1_000 + n / 50), 1_000 + n).unwrap();
    }
    items.check();
    assert_eq!(items.len(), 1_000);
    assert!((0..300).all(|n| has(&items, after(200), n)));
    // Of those with as many as each other, the item that expires first makes room.
    let mut items = Items::new(ItemLimits { items: 10, ..ItemLimits::default() }, &mut Rng::new(1));
    for n in 0..20 {
        put(&mut items, after(n.into()), ip(20 - n), n).unwrap();
    }
    assert!((0..20).all(|n| has(&items, after(20), n) == (n >= 10)));
}

#[test]
fn what_is_too_long_or_negative_is_refused_with_its_code() {
    let limits = ItemLimits { value: 100, ..ItemLimits::default() };
    let mut items = items(limits);
    let long = [b"98:".as_slice(), &[b'x'; 98]].concat();
    let refused = items.put_immutable(START, ip(1), item::immutable_target(&long), &long);
    assert_eq!(refused.map_err(PutError::code), Err(205));
    let code = |put: &Mutable<'_>, value: &[u8]| {
        put_signed(&mut Items::new(ItemLimits::default(), &mut Rng::new(1)), START, put, value).map_err(PutError::code)
    };
    let key = [7; 32];
    assert_eq!(put_signed(&mut items, START, &mutable(&key, 1), &long).map_err(PutError::code), Err(205));
    assert_eq!(code(&Mutable { salt: &[7; 65], ..mutable(&key, 1) }, b"i1e"), Err(207));
    assert_eq!(code(&Mutable { salt: &[7; 64], ..mutable(&key, 1) }, b"i1e"), Ok(()));
    assert_eq!(code(&mutable(&key, -1), b"i1e"), Err(203));
    assert_eq!(code(&mutable(&key, 0), b"i1e"), Ok(()));
    let full = Mutable { cas: Some(4), ..mutable(&key, i64::MAX) };
    assert_eq!(code(&full, b"i1e"), Ok(()), "cas counts only where there is something");
    assert_eq!(items.len(), 0);
}

#[test]
fn a_mutable_item_only_becomes_newer() {
    let mut items = items(ItemLimits::default());
    let key = [7; 32];
    let mut put = |now, seq, value: &[u8]| {
        let result = put_signed(&mut items, now, &mutable(&key, seq), value).map_err(PutError::code);
        items.check();
        (result, stored(&items, now, &mutable(&key, seq)).unwrap())
    };
    let four = (4, b"i4e".to_vec());
    assert_eq!(put(START, 4, b"i4e"), (Ok(()), four.clone()));
    assert_eq!(put(START, 3, b"i3e"), (Err(302), four.clone()));
    assert_eq!(put(START, 3, b"i4e"), (Err(302), four.clone()));
    assert_eq!(put(START, 4, b"i5e"), (Err(302), four.clone()));
    // The same one again is kept for longer.
    assert_eq!(put(after(7_000), 4, b"i4e"), (Ok(()), four.clone()));
    assert_eq!(put(after(14_199), 3, b"i3e"), (Err(302), four));
    // The same value with a greater number is a newer one.
    assert_eq!(put(after(14_199), 9, b"i4e"), (Ok(()), (9, b"i4e".to_vec())));
    assert_eq!(put(after(14_199), i64::MAX, b"le"), (Ok(()), (i64::MAX, b"le".to_vec())));
    // What has expired is no longer in the way.
    assert_eq!(put(after(30_000), 1, b"i1e"), (Ok(()), (1, b"i1e".to_vec())));
}

#[test]
fn an_item_is_replaced_only_if_it_is_the_one_that_is_to_be() {
    let mut items = items(ItemLimits::default());
    let key = [7; 32];
    let mut put = |cas, seq| {
        let put = Mutable { cas: Some(cas), ..mutable(&key, seq) };
        put_signed(&mut items, START, &put, &value(seq as u32)).map_err(PutError::code)
    };
    assert_eq!(put(99, 4), Ok(()));
    assert_eq!(put(3, 5), Err(301));
    // Which number is too low need not be told where the wrong one was to be replaced.
    assert_eq!(put(3, 2), Err(301));
    assert_eq!(put(4, 5), Ok(()));
    assert_eq!(put(4, 6), Err(301));
    assert_eq!(put(5, 4), Err(302));
}

#[test]
fn keys_and_salts_have_items_of_their_own() {
    let mut items = items(ItemLimits::default());
    let keys = [[1; 32], [2; 32]];
    let salts: [&[u8]; 3] = [b"", b"a", b"b"];
    let all = || keys.iter().flat_map(|key| salts.map(|salt| Mutable { salt, ..mutable(key, 1) }));
    for (n, put) in all().enumerate() {
        put_signed(&mut items, START, &put, &value(n as u32)).unwrap();
    }
    for (n, put) in all().enumerate() {
        assert_eq!(stored(&items, START, &put), Some((1, value(n as u32))));
    }
    items.check();
}

#[test]
fn a_signature_that_is_wrong_changes_nothing_and_one_that_is_known_is_not_verified_again() {
    let mut items = items(ItemLimits::default());
    let key = [7; 32];
    let wrong = |items: &mut Items, put: &Mutable<'_>, value: &[u8]| {
        items.put_signed(after(3_600), ip(1), put, value, |_, _| Err(PutError::InvalidSignature))
    };
    assert_eq!(wrong(&mut items, &mutable(&key, 4), b"i4e").map_err(PutError::code), Err(206));
    assert_eq!(items.len(), 0);
    put_signed(&mut items, START, &mutable(&key, 4), b"i4e").unwrap();
    let other = Mutable { signature: &[2; 64], ..mutable(&key, 4) };
    for (put, value) in [(other, b"i4e"), (mutable(&key, 5), b"i5e")] {
        assert_eq!(wrong(&mut items, &put, value), Err(PutError::InvalidSignature));
    }
    assert_eq!(stored(&items, after(7_199), &other), Some((4, b"i4e".to_vec())));
    assert_eq!(stored(&items, after(7_200), &other), None, "what was refused kept it for no longer");
    // Another node may put it again: it needs the signature and not the key.
    assert_eq!(wrong(&mut items, &mutable(&key, 4), b"i4e"), Ok(()));
    assert!(stored(&items, after(7_200), &other).is_some());
}

#[test]
fn who_has_put_too_much_makes_us_verify_nothing() {
    let mut items = items(ItemLimits { per_ip: 1, ..ItemLimits::default() });
    put(&mut items, START, ip(1), 1).unwrap();
    let verify = |_: &Mutable<'_>, _: &[u8]| -> Result<(), PutError> { panic!("not to be asked") };
    let refused = items.put_signed(START, ip(1), &mutable(&[7; 32], 1), b"i1e", verify);
    assert_eq!(refused.map_err(PutError::code), Err(202));
}

#[test]
fn an_item_of_one_kind_does_not_replace_one_of_the_other() {
    // A key that begins as a bencoded string: with its salt it is a value, whose hash is the same target.
    let value = [b"45:".as_slice(), &[b'x'; 45]].concat();
    let (key, salt) = value.split_first_chunk::<32>().unwrap();
    let signed = Mutable { salt, ..mutable(key, 1) };
    let target = item::immutable_target(&value);
    assert_eq!(target, item::mutable_target(key, salt));

    let mut items = Items::new(ItemLimits::default(), &mut Rng::new(1));
    items.put_immutable(START, ip(1), target, &value).unwrap();
    assert_eq!(put_signed(&mut items, START, &signed, b"i1e"), Err(PutError::OtherKind));
    let mut items = Items::new(ItemLimits::default(), &mut Rng::new(1));
    put_signed(&mut items, START, &signed, b"i1e").unwrap();
    assert_eq!(items.put_immutable(START, ip(1), target, &value), Err(PutError::OtherKind));
    items.check();
}

#[cfg(not(feature = "mutable-items"))]
#[test]
fn without_the_feature_nothing_is_stored_that_cannot_be_verified() {
    let mut items = items(ItemLimits::default());
    assert_eq!(items.put_mutable(START, ip(1), &mutable(&[7; 32], 1), b"i1e"), Err(PutError::Unsupported));
    assert_eq!(items.len(), 0);
}

#[cfg(feature = "mutable-items")]
#[test]
fn what_is_stored_is_signed_by_its_owner() {
    let owner = item::SigningKey::from_seed(&[4; 32]);
    let (key, signature) = (owner.public(), owner.sign(b"salt", 3, b"i3e"));
    let right = Mutable { key: &key, signature: &signature, seq: 3, salt: b"salt", cas: None };
    let mut items = items(ItemLimits::default());
    let other = item::SigningKey::from_seed(&[5; 32]).public();
    for wrong in [
        Mutable { key: &other, ..right },
        Mutable { signature: &[0; 64], ..right },
        Mutable { seq: 4, ..right },
        Mutable { salt: b"", ..right },
    ] {
        assert_eq!(items.put_mutable(START, ip(1), &wrong, b"i3e"), Err(PutError::InvalidSignature));
    }
    assert_eq!(items.put_mutable(START, ip(1), &right, b"i4e"), Err(PutError::InvalidSignature));
    assert_eq!(items.len(), 0);
    assert_eq!(items.put_mutable(START, ip(1), &right, b"i3e"), Ok(()));
    let item = items.get(START, &item::mutable_target(&key, b"salt")).unwrap();
    let signed = item.signed.as_ref().unwrap();
    assert!(item::verify(&signed.key, b"salt", signed.seq, &item.value, &signed.signature));
}

#[test]
fn the_store_is_as_a_plain_list_of_which_the_same_items_are_left_out() {
    /// An item in the model: when it expires, who owns it, its number, its value.
    type Plain = BTreeMap<NodeId, (Instant, IpAddr, i64, Vec<u8>)>;
    for seed in 0..8 {
        let mut rng = Rng::new(seed);
        let limits = ItemLimits { items: 12, per_ip: 4, expiry: Duration::from_secs(100), value: MAX_VALUE };
        let (mut items, mut model) = (items(limits), Plain::new());
        let mut second = 0;
        for _ in 0..3_000 {
            second += u64::from(rng.below(4) * rng.below(3));
            let (now, from, which) = (after(second), ip(rng.below(9)), rng.below(30));
            model.retain(|_, item| item.0 > now);
            let (key, seq) = ([which as u8; 32], i64::from(rng.below(5)));
            let signed = which % 2 == 0;
            let bytes = if signed { value(rng.below(2)) } else { value(which) };
            let target = if signed { item::mutable_target(&key, b"") } else { item::immutable_target(&bytes) };
            match rng.below(8) {
                0..5 => {
                    let result = if signed {
                        items.put_signed(now, from, &mutable(&key, seq), &bytes, |_, _| Ok(()))
                    } else {
                        items.put_immutable(now, from, target, &bytes)
                    };
                    let seq = if signed { seq } else { 0 };
                    let expected = match model.get(&target).cloned() {
                        Some((_, _, old, value)) if seq < old || seq == old && bytes != value => {
                            Err(PutError::SequenceTooLow)
                        }
                        Some((_, owner, ..)) => {
                            model.insert(target, (now + Duration::from_secs(100), owner, seq, bytes));
                            Ok(())
                        }
                        None if model.values().filter(|item| item.1 == from).count() >= 4 => Err(PutError::Full),
                        None => {
                            if model.len() == 12 {
                                let count = |of: IpAddr| model.values().filter(|item| item.1 == of).count();
                                let most = model.values().map(|item| count(item.1)).max();
                                let heavy = model.iter().filter(|(_, item)| Some(count(item.1)) == most);
                                let first = heavy.clone().map(|(_, item)| item.0).min();
                                let out = heavy.filter(|(_, item)| Some(item.0) == first);
                                // Of several the one that the store took.
                                let mut out = out.filter(|(target, _)| items.get(now, target).is_none());
                                let out = *out.next().expect("one of them is gone").0;
                                model.remove(&out);
                            }
                            model.insert(target, (now + Duration::from_secs(100), from, seq, bytes));
                            Ok(())
                        }
                    };
                    assert_eq!(result, expected);
                }
                5 => assert!(items.expire(now, 3) <= 3),
                _ => {
                    let found = items.get(now, &target).map(|item| item.value.to_vec());
                    assert_eq!(found, model.get(&target).map(|item| item.3.clone()));
                }
            }
            if rng.below(3) == 0 {
                items.expire(now, usize::MAX);
                assert_eq!(items.len(), model.len());
            }
            assert!(model.iter().all(|(target, item)| *items.get(now, target).unwrap().value == *item.3));
            items.check();
        }
    }
}

#[test]
fn a_full_store_takes_what_its_limits_promise() {
    let limits = ItemLimits::default();
    let item = size_of::<Signed>() + limits.value;
    // The map has room for 8/7 as many, rounded up to a power of two; three sets in order are at least half full.
    let map = (limits.items * 8 / 7).next_power_of_two() * (size_of::<(NodeId, Stored)>() + 1);
    let sets = 2 * limits.items * (2 * size_of::<(Instant, NodeId)>() + size_of::<(Instant, NodeId)>() + 64);
    let bytes = limits.items * item + map + sets;
    assert!(bytes < 2 << 20, "{bytes}");
}
