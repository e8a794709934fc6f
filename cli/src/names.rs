//! Names, and patterns for them, on the command line: bytes that need not be UTF-8.

use bip::disk::{self, Glob};
use std::ffi::OsString;

/// Reads a pattern for what is left out.
pub(crate) fn exclude(text: OsString) -> Result<Glob, String> {
    Glob::parse(text.as_encoded_bytes()).map_err(|error| match error {
        disk::Error::Glob { at, problem, .. } => format!("{problem}, at byte {at}"),
        other => other.to_string(),
    })
}

/// Reads a name that a torrent can have.
pub(crate) fn name(text: OsString) -> Result<OsString, String> {
    let bytes = text.as_encoded_bytes();
    if matches!(bytes, b"" | b"." | b"..") || bytes.contains(&b'/') {
        return Err("not the name of a file or folder".to_owned());
    }
    Ok(text)
}
