//! What a target costs, counted in bytes and not in time: the memory that it asks for, however soon it gives it back.

/// Runs `body` and panics if it asked for more than `base` bytes of memory, and `each` more for each byte of `data`.
///
/// A parser whose cost is not in proportion to its input, or that believes a length which it has not been sent, goes over it.
pub(crate) fn bounded(base: u64, each: u64, data: &[u8], body: impl FnOnce()) {
    let asked = allocation_counter::measure(body).bytes_total;
    let most = base + each * data.len() as u64;
    assert!(asked <= most, "{asked} bytes of memory asked for {} of input; {most} are the bound", data.len());
}
