use bip::proto::bencode::{self, Document};
use bip::proto::compact::Family;
use bip::proto::dht_state::{DhtState, Limits};

/// What is read is within its limits, and written to a canonical state that reads the same; and nothing that is cut short is read.
pub fn dht_state(data: &[u8]) {
    check(data, &Limits::default());
    let mut few = Limits::default();
    few.nodes = 2;
    check(data, &few);
}

fn check(bytes: &[u8], limits: &Limits) {
    let state = match DhtState::decode(bytes, limits) {
        Ok(state) => state,
        Err(error) => return super::check_text(&error.to_string()),
    };
    for (nodes, family) in [(&state.nodes, Family::V4), (&state.nodes6, Family::V6)] {
        assert!(nodes.len() <= limits.nodes && nodes.len() * family.node_len() <= bytes.len());
        assert!(nodes.iter().all(|node| Family::of(node.address.ip()) == family && node.address.port() > 0));
    }
    // Every value that is left out has at least a byte.
    assert!(state.dropped <= bytes.len());
    let again = state.encode();
    let kept = DhtState { dropped: 0, ..state };
    assert_eq!(DhtState::decode(&again, limits).as_ref(), Ok(&kept));
    assert!(Document::decode(&again, &bencode::Limits::default()).is_ok_and(|document| document.is_canonical()));
    assert!(DhtState::decode(&again[..again.len() - 1], limits).is_err(), "read although it is cut short");
}
