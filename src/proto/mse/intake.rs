//! Taking from a stream what a handshake is waiting for, and no byte more.

use super::MAX_PAD;
use super::error::Error;

/// Bytes that are waited for: a run of a known length, or a mark somewhere after a pad.
#[derive(Debug, Clone, Default)]
pub(super) struct Intake {
    bytes: Vec<u8>,
}

impl Intake {
    /// Takes bytes until there are so many, and gives them; else says how many are missing.
    pub(super) fn run(&mut self, length: usize, input: &mut &[u8]) -> Result<Vec<u8>, usize> {
        self.take(length.saturating_sub(self.bytes.len()), input);
        match length - self.bytes.len().min(length) {
            0 => Ok(std::mem::take(&mut self.bytes)),
            missing => Err(missing),
        }
    }

    /// As [`run`](Self::run), of a length that is known when this is written.
    pub(super) fn array<const N: usize>(&mut self, input: &mut &[u8]) -> Result<[u8; N], usize> {
        let run = self.run(N, input)?;
        let mut out = [0; N];
        // `run` gives as many as it was asked for.
        out.iter_mut().zip(run).for_each(|(to, byte)| *to = byte);
        Ok(out)
    }

    /// Takes bytes up to and with the mark; else says how many are missing at least.
    ///
    /// # Errors
    ///
    /// The mark cannot come any more with at most [`MAX_PAD`] bytes before it.
    pub(super) fn mark(&mut self, mark: &[u8], input: &mut &[u8]) -> Result<Option<usize>, Error> {
        loop {
            if self.bytes.ends_with(mark) {
                self.bytes.clear();
                return Ok(None);
            }
            // What is there of the mark already, at most.
            let most = mark.len().min(self.bytes.len() + 1) - 1;
            let there = (0..=most).rev().find(|length| self.bytes.ends_with(&mark[..*length])).unwrap_or(0);
            let missing = mark.len() - there;
            if self.bytes.len() + missing > MAX_PAD + mark.len() {
                return Err(Error::NoMark);
            }
            if input.is_empty() {
                return Ok(Some(missing));
            }
            // Not past the end of a mark: it cannot end before so many more bytes.
            self.take(missing, input);
        }
    }

    fn take(&mut self, length: usize, input: &mut &[u8]) {
        let (taken, rest) = input.split_at(length.min(input.len()));
        self.bytes.extend_from_slice(taken);
        *input = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_mark_is_found_after_the_longest_pad_and_no_further() {
        for pad in [0, 1, 7, 8, 511, 512, 513, 600] {
            let stream = [&vec![0xee; pad][..], b"the mark", b"more"].concat();
            let (mut intake, mut input) = (Intake::default(), &stream[..]);
            let found = intake.mark(b"the mark", &mut input);
            if pad <= MAX_PAD {
                assert_eq!((found, input), (Ok(None), &b"more"[..]), "{pad}");
            } else {
                assert_eq!(found, Err(Error::NoMark), "{pad}");
                assert!(intake.bytes.len() <= MAX_PAD + 8);
            }
        }
    }

    #[test]
    fn a_mark_whose_start_comes_twice_is_found() {
        let (mut intake, mut input) = (Intake::default(), &b"aaaaabaab"[..]);
        assert_eq!(intake.mark(b"aab", &mut input), Ok(None));
        assert_eq!(input, b"aab");
    }

    proptest! {
        #[test]
        fn a_mark_is_found_where_it_first_stands_however_the_stream_is_divided(
            stream in prop::collection::vec(0..2_u8, 0..40),
            mark in prop::collection::vec(0..2_u8, 1..6),
            size in 1..9_usize,
        ) {
            let expected = stream.windows(mark.len()).position(|window| window == mark);
            let mut intake = Intake::default();
            let mut taken = 0;
            let mut found = None;
            for part in stream.chunks(size) {
                let mut input = part;
                match intake.mark(&mark, &mut input).unwrap() {
                    None => {
                        found = Some(taken + part.len() - input.len() - mark.len());
                        break;
                    }
                    Some(missing) => prop_assert!(input.is_empty() && missing > 0),
                }
                taken += part.len();
            }
            prop_assert_eq!(found, expected);
        }
    }
}
