//! Files with keys to sign with: 64 hexadecimal digits, the seed of an Ed25519 key.

use super::args::{hex, unhex};
use crate::output::{Failure, reason};
use bip::proto::krpc::item::SigningKey;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;

/// How long a file with a key is at most, in bytes: 64 digits, and what an editor may have put around them.
const LENGTH: u64 = 1024;

/// Reads a key.
pub(crate) fn read(file: &Path) -> Result<SigningKey, Failure> {
    let failed = |error: std::io::Error| {
        let more = if error.kind() == ErrorKind::NotFound { "; `bip dht key FILE` makes one" } else { "" };
        Failure::new(file.display(), format_args!("{}{more}", reason(&error)))
    };
    let mut text = String::new();
    fs::File::open(file).and_then(|file| file.take(LENGTH).read_to_string(&mut text)).map_err(failed)?;
    let seed = unhex(text.trim()).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
    let seed = seed.ok_or_else(|| Failure::new(file.display(), "is no key: 64 hexadecimal digits were expected"))?;
    Ok(SigningKey::from_seed(&seed))
}

/// Reads a key, or makes one in a new file that nobody else can read.
pub(crate) fn read_or_make(file: &Path) -> Result<SigningKey, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let failed = |error: std::io::Error| Failure::new(file.display(), reason(&error));
    let mut new = match options.open(file) {
        Ok(new) => new,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return read(file),
        Err(error) => return Err(failed(error)),
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Failure::new("random numbers", error))?;
    writeln!(new, "{}", hex(&seed)).and_then(|()| new.sync_all()).map_err(failed)?;
    Ok(SigningKey::from_seed(&seed))
}
