//! What is read and written.

use std::io::Write;

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    write!(out, "{}:", bytes.len()).expect("a Vec takes all");
    out.extend_from_slice(bytes);
}

/// The same bytes each time, of every value.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 56) as u8
    })
    .take(length)
    .collect()
}

pub const FILES: usize = 20_000;
pub const PIECES: usize = 100_000;

pub fn path(file: usize) -> [String; 2] {
    [format!("directory-{:03}", file / 100), format!("some file name {file:06}.dat")]
}

/// 100,000 pieces and 20,000 files: 3.4 MB.
pub fn torrent() -> Vec<u8> {
    let mut out =
        b"d8:announce39:udp://tracker.example.org:1337/announce10:created by7:bench/113:creation datei1700000000e"
            .to_vec();
    out.extend_from_slice(b"4:infod5:filesl");
    for file in 0..FILES {
        write!(out, "d6:lengthi{}e4:pathl", 5_242_880 + file).expect("a Vec takes all");
        path(file).iter().for_each(|part| string(&mut out, part.as_bytes()));
        out.extend_from_slice(b"ee");
    }
    out.extend_from_slice(b"e4:name17:benchmark-torrent12:piece lengthi1048576e6:pieces");
    string(&mut out, &noise(PIECES * 20, 1));
    out.extend_from_slice(b"ee");
    out
}

/// A get_peers query, a reply with 8 nodes, one with 50 peers.
pub fn messages() -> [(&'static str, Vec<u8>); 3] {
    let mut query = b"d1:ad2:id".to_vec();
    string(&mut query, &noise(20, 2));
    query.extend_from_slice(b"9:info_hash");
    string(&mut query, &noise(20, 3));
    query.extend_from_slice(b"e1:q9:get_peers1:t4:abcd1:v4:LT011:y1:qe");

    let mut nodes = b"d2:ip6:abcdef1:rd2:id".to_vec();
    string(&mut nodes, &noise(20, 4));
    nodes.extend_from_slice(b"5:nodes");
    string(&mut nodes, &noise(208, 5));
    nodes.extend_from_slice(b"5:token4:tokne1:t4:abcd1:v4:LT011:y1:re");

    let mut values = b"d2:ip6:abcdef1:rd2:id".to_vec();
    string(&mut values, &noise(20, 6));
    values.extend_from_slice(b"5:token4:tokn6:valuesl");
    for peer in 0..50 {
        string(&mut values, &noise(6, 7 + peer));
    }
    values.extend_from_slice(b"ee1:t4:abcd1:v4:LT011:y1:re");
    [("query", query), ("nodes", nodes), ("values", values)]
}
