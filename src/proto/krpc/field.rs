//! Values that may be of the wrong kind or length without spoiling what they stand in.

use crate::proto::bencode::{Error, Item, Kind};

#[inline(always)]
pub(super) fn bytes<'a>(value: Item<'_, 'a>) -> Result<Option<&'a [u8]>, Error> {
    if value.kind()? == Kind::Bytes { value.bytes().map(Some) } else { Ok(None) }
}

#[inline(always)]
pub(super) fn array<'a, const N: usize>(value: Item<'_, 'a>) -> Result<Option<&'a [u8; N]>, Error> {
    Ok(bytes(value)?.and_then(|bytes| bytes.try_into().ok()))
}

#[inline(always)]
pub(super) fn int(value: Item<'_, '_>) -> Result<Option<i64>, Error> {
    if value.kind()? == Kind::Integer { value.int().map(Some) } else { Ok(None) }
}
