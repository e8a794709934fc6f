//! Nothing: see `benches/`.
