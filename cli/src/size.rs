//! Sizes as people write them.

use bip::proto::metainfo::Limits;
use std::num::NonZeroU64;

/// Reads a number of bytes: `262144`, `256K`, `64M`, `1G`, in powers of 1024.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KIB" => 10,
        "M" | "MIB" => 20,
        "G" | "GIB" => 30,
        "T" | "TIB" => 40,
        unit => return Err(format!("'{unit}' is no unit: use K, M, G or T, which are powers of 1024")),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("not a whole number with K, M, G or T after it".to_owned());
    }
    let number = digits.parse::<u64>().ok();
    number.and_then(|n| n.checked_mul(1 << shift)).ok_or_else(|| "too large".to_owned())
}

/// Reads a number of bytes per second: as a size, with or without `/s`. 0 would move nothing, which nobody means.
pub(crate) fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    let rate = parse(text.strip_suffix("/s").unwrap_or(text))?;
    NonZeroU64::new(rate).ok_or_else(|| "must be more than 0; without this option there is no limit".to_owned())
}

/// The most bytes that the demo's file may have.
const DEMO: u64 = 64 << 30;

/// Reads the size of the demo's file: not 0, and nothing that fills a disk by a slip of the finger.
pub(crate) fn parse_demo(text: &str) -> Result<u64, String> {
    let size = parse(text)?;
    if (1..=DEMO).contains(&size) { Ok(size) } else { Err(format!("must be from 1 to {}G", DEMO >> 30)) }
}

/// Reads a piece length: a power of two from 16K up to what the library reads.
pub(crate) fn parse_piece_length(text: &str) -> Result<u32, String> {
    let size = parse(text)?;
    let most = Limits::default().piece_length;
    match u32::try_from(size) {
        Ok(length) if length.is_power_of_two() && (16 << 10..=most).contains(&length) => Ok(length),
        _ => Err(format!("must be a power of two from 16K to {}M", most >> 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_powers_of_1024() {
        for (text, size) in [
            ("0", 0),
            ("123", 123),
            ("16K", 16 << 10),
            ("16k", 16 << 10),
            ("16KiB", 16 << 10),
            ("64M", 64 << 20),
            ("1G", 1 << 30),
            ("2T", 2 << 40),
        ] {
            assert_eq!(parse(text), Ok(size), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_and_nothing_overflows() {
        for text in ["", "K", "-1", "+1", "1.5M", "1 M", "1X", "1KK", "0x10", "١K", "18446744073709551616", "99999999T"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_is_a_size_and_never_nothing() {
        for (text, rate) in [("1", 1), ("500K", 500 << 10), ("2M/s", 2 << 20)] {
            assert_eq!(parse_rate(text).map(u64::from), Ok(rate), "{text}");
        }
        for text in ["", "0", "0K", "/s", "fast", "-1", "1.5M", "1K/h", "1Kbit"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_demo_is_of_some_bytes_and_of_not_too_many() {
        assert_eq!((parse_demo("1"), parse_demo("64G")), (Ok(1), Ok(64 << 30)));
        assert!(parse_demo("0").is_err() && parse_demo("68719476737").is_err() && parse_demo("100000T").is_err());
    }

    #[test]
    fn a_piece_length_is_a_power_of_two_from_16_kib_up() {
        assert_eq!(parse_piece_length("16K"), Ok(16 << 10));
        assert_eq!(parse_piece_length("1048576"), Ok(1 << 20));
        for text in ["0", "1", "8K", "16383", "24K", "100K", "1G", "4G", "8G"] {
            assert!(parse_piece_length(text).is_err(), "{text}");
        }
    }
}
