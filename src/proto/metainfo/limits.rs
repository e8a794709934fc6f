//! How much of a torrent is accepted.

use super::path::Names;

/// How much of a torrent is accepted, and how its names are made safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long the torrent file may be, in bytes. Default 32 MiB.
    pub torrent_bytes: usize,
    /// How many pieces there may be. Default 2^21.
    pub pieces: u32,
    /// How long a piece may be, in bytes. Default 512 MiB.
    pub piece_length: u32,
    /// How many files there may be; of version 2 with the padding between them. Default 250,000.
    pub files: usize,
    /// How many parts a path may have, with the torrent's name. Default 100.
    pub path_depth: usize,
    /// How deep lists and dictionaries may nest; a torrent of version 2 nests its folders. Default 64.
    pub bencode_depth: usize,
    /// How many bencoded elements there may be, at 8 bytes of memory each. Default 3,000,000.
    pub bencode_tokens: usize,
    /// How much of the names is repaired.
    pub names: Names,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            torrent_bytes: 32 << 20,
            pieces: 1 << 21,
            piece_length: 512 << 20,
            files: 250_000,
            path_depth: 100,
            bencode_depth: 64,
            bencode_tokens: 3_000_000,
            names: Names::default(),
        }
    }
}
