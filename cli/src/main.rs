//! The `bip` command-line tool.
fn main() {}
