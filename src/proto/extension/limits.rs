/// How much of an extension's message is kept, and what is believed of what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most names of extensions in a handshake, and the most of our own; 64 by default.
    pub names: usize,
    /// The longest name of an extension, in bytes; 64 by default.
    pub name_length: usize,
    /// The most keys of a handshake that we do not know; 64 by default.
    pub others: usize,
    /// The longest name of a client, in bytes; 256 by default.
    pub client_length: usize,
    /// The longest `info` dictionary that is gathered from peers, in bytes; 32 MiB by default. Nothing is allocated because a peer
    /// claims a size.
    pub metadata: u32,
    /// The most addresses taken of each list of a `ut_pex` message; 50 by default.
    pub pex_peers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { names: 64, name_length: 64, others: 64, client_length: 256, metadata: 32 << 20, pex_peers: 50 }
    }
}
