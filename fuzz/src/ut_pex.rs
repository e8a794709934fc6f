use bip::proto::extension::pex::Pex;
use bip::proto::extension::{Id, Limits};

/// The first byte says how many peers are taken of a list.
///
/// No more are; what is left out is counted; with more room the same comes first; and what is read is written so that it is read again.
pub fn ut_pex(data: &[u8]) {
    let Some((most, payload)) = data.split_first() else { return };
    let limits = Limits { pex_peers: usize::from(*most), ..Limits::default() };
    let Ok(pex) = Pex::decode(payload, &limits) else { return };
    for v6 in [false, true] {
        assert!(pex.added.iter().filter(|added| added.address.is_ipv6() == v6).count() <= limits.pex_peers);
        assert!(pex.dropped.iter().filter(|address| address.is_ipv6() == v6).count() <= limits.pex_peers);
    }
    let all = Pex::decode(payload, &Limits { pex_peers: usize::MAX, ..limits }).expect("it was read before");
    let count = |pex: &Pex| pex.added.len() + pex.dropped.len();
    assert_eq!(count(&pex) + pex.left_out, count(&all) + all.left_out);
    assert!(pex.added.iter().all(|added| all.added.contains(added)));
    assert!(count(&all) <= payload.len() / 6);

    let mut out = Vec::new();
    pex.encode(Id::new(1).expect("not 0"), &mut out);
    let again = Pex::decode(&out[6..], &limits).expect("what we write can be read");
    assert_eq!(again, Pex { left_out: 0, ..pex });
}
