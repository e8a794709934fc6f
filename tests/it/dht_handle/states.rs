//! What a node keeps from one run to the next.

use super::{HANG, joined, node, silent};
use crate::hosting::Folder;
use bip::proto::dht_state::{DhtState, Limits};
use bip::session::dht::{Dht, Error};
use std::fs;

#[test]
fn a_node_finds_those_that_it_knew_while_the_router_is_dead() {
    let folder = Folder::new();
    let file = folder.path().join("not/there/yet/node.dat");
    let (network, _other) = joined(8);
    let dht = node(network.bootstrap()).state_file(&file).spawn().unwrap();
    dht.bootstrapped().wait(HANG).unwrap();
    dht.find_node(bip::proto::id::NodeId([0; 20])).wait(HANG).unwrap();
    let id = dht.status().sides[0].id;
    dht.shut_down(HANG).unwrap();

    let state = DhtState::decode(&fs::read(&file).unwrap(), &Limits::default()).unwrap();
    assert!(state.id == Some(id) && !state.nodes.is_empty() && state.dropped == 0, "{state:?}");
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing unfinished is left");

    let (_socket, dead) = silent();
    let again = node(dead).state_file(&file).spawn().unwrap();
    assert!(again.bootstrapped().wait(HANG).unwrap() > 0);
    assert_eq!(again.status().sides[0].id, id, "it is who it was");
}

#[test]
fn a_state_goes_from_hand_to_hand_without_a_file() {
    let (_network, dht) = joined(4);
    let state = dht.save().wait(HANG).unwrap();
    drop(dht);
    let (_socket, dead) = silent();
    let again = node(dead).state(state).spawn().unwrap();
    assert!(again.bootstrapped().wait(HANG).unwrap() > 0);
}

#[test]
fn a_node_that_is_dropped_keeps_its_state_too() {
    let folder = Folder::new();
    let file = folder.path().join("node.dat");
    let (network, _other) = joined(4);
    let dht = node(network.bootstrap()).state_file(&file).spawn().unwrap();
    dht.bootstrapped().wait(HANG).unwrap();
    drop(dht);
    assert!(!DhtState::decode(&fs::read(&file).unwrap(), &Limits::default()).unwrap().nodes.is_empty());
}

#[test]
fn a_node_that_knows_nobody_leaves_the_state_as_it_was() {
    let folder = Folder::new();
    let file = folder.path().join("node.dat");
    let state = DhtState {
        nodes: vec![bip::proto::compact::Node { id: bip::proto::id::NodeId([1; 20]), address: silent().1 }],
        ..DhtState::default()
    };
    fs::write(&file, state.encode()).unwrap();
    let (_socket, dead) = silent();
    node(dead).state_file(&file).spawn().unwrap().shut_down(HANG).unwrap();
    assert_eq!(fs::read(&file).unwrap(), state.encode());
}

#[test]
fn a_file_that_is_no_state_is_told_at_the_start_and_not_replaced() {
    let folder = Folder::new();
    for (name, bytes) in
        [("torn", &b"d7:bip dhti1e2:id20:aaaa"[..]), ("key", &[b'a'; 64]), ("later", b"d7:bip dhti2ee")]
    {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let error = Dht::builder().bind(super::loopback()).state_file(&file).spawn().unwrap_err();
        assert!(matches!(&error, Error::State { path, .. } if *path == file), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(&file).unwrap(), bytes, "{name}");
    }
    // One that was made for it and never written has nothing to lose.
    let (network, _other) = joined(4);
    let file = folder.path().join("empty");
    fs::write(&file, b"").unwrap();
    let dht = node(network.bootstrap()).state_file(&file).spawn().unwrap();
    assert!(dht.bootstrapped().wait(HANG).unwrap() > 0);
    dht.shut_down(HANG).unwrap();
    assert!(DhtState::decode(&fs::read(&file).unwrap(), &Limits::default()).is_ok());
}

#[test]
fn a_state_that_cannot_be_read_is_told_at_the_start_and_not_touched() {
    let folder = Folder::new();
    let long = folder.path().join("long");
    fs::write(&long, vec![b'x'; (1 << 20) + 1]).unwrap();
    for file in [long.clone(), folder.path().to_owned(), long.join("below a file")] {
        let error = Dht::builder().bind(super::loopback()).state_file(&file).spawn().unwrap_err();
        assert!(matches!(&error, Error::State { path, .. } if *path == file), "{error:?}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    }
    assert_eq!(fs::metadata(&long).unwrap().len(), (1 << 20) + 1);
}

#[test]
fn a_state_that_cannot_be_kept_does_not_hinder_the_end() {
    let folder = Folder::new();
    let file = folder.path().join("node.dat");
    let (network, _other) = joined(4);
    let dht = node(network.bootstrap()).state_file(&file).spawn().unwrap();
    dht.bootstrapped().wait(HANG).unwrap();
    // A folder with something in it stands where the file is to be.
    fs::create_dir_all(file.join("in the way")).unwrap();
    dht.shut_down(HANG).unwrap();
    assert!(file.join("in the way").is_dir());
}
