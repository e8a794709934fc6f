//! What machines are seeded with, from the system's cryptographic source.

use crate::machine::{Rng, Secret};
use std::io;

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|e| io::Error::other(format!("the system gives no random bytes: {e}")))
}

/// Gives a seed for an [`Rng`]. Fails only if the system has no random bytes to give.
pub fn seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Gives a generator with a fresh seed. Fails only if the system has no random bytes to give.
pub fn rng() -> io::Result<Rng> {
    seed().map(Rng::new)
}

/// Gives a fresh [`Secret`]. Fails only if the system has no random bytes to give.
pub fn secret() -> io::Result<Secret> {
    let mut bytes = [0; 32];
    fill(&mut bytes)?;
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_secrets_differ_each_time() {
        assert_ne!(seed().unwrap(), seed().unwrap());
        assert_ne!(secret().unwrap().expand("t", b""), secret().unwrap().expand("t", b""));
    }
}
