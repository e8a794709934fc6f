//! What each fuzz target does with its bytes: plain functions, shared by the libFuzzer targets and by the test that replays the
//! corpus. A function returns where all is well and panics where a promise of the library is broken.

mod cost;
mod script;

pub use connection::connection_reaches;
pub use dht_node::dht_node_reaches;
pub use swarm::swarm_reaches;
pub use tracker_server::tracker_server_reaches;

/// A target's name, which is also its folder in `corpus/`, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// Names the targets, each with the bytes of memory that it may ask for: so many, and so many more for each byte of its input.
///
/// The bounds are a few times what the corpus needs. They cover the targets' own checks too, which decode and encode several times.
macro_rules! targets {
    ($($name:ident: $base:expr, $each:literal;)*) => {
        $(mod $name;)*

        $(
            #[doc = concat!("The target `", stringify!($name), "`; fuzz/README.md says what it asserts.")]
            pub fn $name(data: &[u8]) {
                cost::bounded($base, $each, data, || $name::$name(data));
            }
        )*

        /// All targets.
        pub const TARGETS: &[Target] = &[$((stringify!($name), $name),)*];
    };
}

targets! {
    bencode: 1 << 20, 512;
    connection: 1 << 20, 20_000;
    dht_node: 4 << 20, 20_000;
    dht_state: 64 << 10, 256;
    extension: 64 << 10, 256;
    handshake: 64 << 10, 256;
    http_tracker_reply: 64 << 10, 256;
    http_tracker_request: 64 << 10, 256;
    krpc: 64 << 10, 256;
    lsd: 64 << 10, 256;
    magnet: 64 << 10, 256;
    merkle: 64 << 10, 256;
    message: 64 << 10, 256;
    metainfo: 1 << 20, 12_288;
    mse: 64 << 10, 256;
    peer_id: 64 << 10, 256;
    resume: 64 << 10, 256;
    swarm: 1 << 20, 20_000;
    tracker_server: 4 << 20, 20_000;
    tracker_url: 64 << 10, 256;
    udp_tracker: 64 << 10, 256;
    ut_metadata: 64 << 20, 256;
    ut_pex: 64 << 10, 256;
    utp: 64 << 10, 256;
}

/// Divides bytes into parts whose lengths come from `sizes`, used again and again; no part is empty.
fn parts<'a>(mut bytes: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        // A few large parts among small ones: an odd size counts in single bytes, an even one in hundreds.
        let size = match sizes.next().copied().unwrap_or(1) {
            odd if odd % 2 == 1 => usize::from(odd / 2) + 1,
            even => usize::from(even) * 50 + 1,
        };
        let (part, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        (!part.is_empty()).then_some(part)
    })
}

/// Nothing that is shown can confuse a terminal.
fn check_text(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}
