//! Magnet links on the command line.

use crate::output::Failure;
use bip::proto::magnet::{Limits, Magnet, Warning};
use std::path::Path;

/// A magnet link, and what is odd about it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) magnet: Magnet,
    pub(crate) warnings: Vec<Warning>,
}

impl Link {
    /// Gives the files that the link asks for, by their numbers in `bip show`, from 1 on, as `bip get --files` takes them.
    pub(crate) fn files_wanted(&self) -> Option<String> {
        let ranges = self.magnet.select_only.as_ref()?.ranges().map(|range| {
            let (start, end) = (u64::from(*range.start()) + 1, u64::from(*range.end()) + 1);
            if start == end { start.to_string() } else { format!("{start}-{end}") }
        });
        Some(ranges.collect::<Vec<_>>().join(","))
    }
}

/// Reads an argument as a magnet link, if it is one or an info hash alone; `None` where it names a file.
pub(crate) fn read(argument: &Path) -> Option<Result<Link, Failure>> {
    let bytes = argument.as_os_str().as_encoded_bytes();
    let is_link = bytes.trim_ascii_start().get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"magnet:"));
    if is_link {
        return Some(parse(bytes));
    }
    let hash = argument.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let topic = match hash.len() {
        40 => format!("magnet:?xt=urn:btih:{hash}"),
        64 => format!("magnet:?xt=urn:btmh:1220{hash}"),
        _ => return None,
    };
    // A file is what it is, whatever its name.
    if argument.exists() { None } else { Some(parse(topic.as_bytes())) }
}

fn parse(link: &[u8]) -> Result<Link, Failure> {
    let mut warnings = Vec::new();
    let magnet = Magnet::parse(link, &Limits::default(), |warning| warnings.push(warning));
    match magnet {
        Ok(magnet) => Ok(Link { magnet, warnings }),
        Err(error) => Err(Failure::new("magnet link", error)),
    }
}
