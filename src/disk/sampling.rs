//! Whether resume data is to be believed, and what is verified before.

use super::config::Config;
use crate::machine::Rng;
use crate::proto::bitfield::Bitfield;
use crate::proto::id::PieceIndex;
use crate::proto::metainfo::Layout;
use std::collections::{BTreeSet, VecDeque};

/// Draws the pieces that are verified: of each file one that is said to be there, and a few more.
pub(super) fn draw(layout: &Layout, have: &Bitfield, config: &Config, rng: &mut Rng) -> VecDeque<PieceIndex> {
    let claimed: Vec<u32> = have.iter().map(|piece| piece.0).collect();
    let below = |bound: usize, rng: &mut Rng| rng.below(u32::try_from(bound).unwrap_or(u32::MAX)) as usize;
    let mut sample = BTreeSet::new();
    let files = layout.files();
    let mut of_file = |index: usize, rng: &mut Rng| {
        let Some(file) = files.get(index).filter(|file| file.length > 0 && !file.is_padding) else { return };
        let piece_length = u64::from(layout.geometry().piece_length());
        // Pieces are counted in 32 bits.
        let first = (file.offset / piece_length) as u32;
        let last = ((file.offset + file.length - 1) / piece_length) as u32;
        let from = claimed.partition_point(|piece| *piece < first);
        let to = claimed.partition_point(|piece| *piece <= last);
        sample.extend(claimed.get(from + below(to - from, rng)).filter(|_| from < to));
    };
    if files.len() <= config.sample_files {
        (0..files.len()).for_each(|index| of_file(index, rng));
    } else {
        (0..config.sample_files).for_each(|_| of_file(below(files.len(), rng), rng));
    }
    for _ in 0..config.sample_pieces {
        sample.extend(rng.choose(&claimed));
    }
    sample.into_iter().map(PieceIndex).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::metainfo::SafePath;

    fn layout(lengths: &[u64]) -> Layout {
        let path = |i: usize| SafePath::from_parts(["t".to_owned(), i.to_string()]).unwrap();
        let files = lengths.iter().enumerate().map(|(i, length)| (path(i), *length)).collect();
        let pieces = lengths.iter().sum::<u64>().div_ceil(10);
        Layout::new(files, 10, &vec![[0; 20]; pieces as usize]).unwrap()
    }

    fn config(files: usize, pieces: usize) -> Config {
        Config { sample_files: files, sample_pieces: pieces, ..Config::default() }
    }

    #[test]
    fn every_file_has_a_piece_in_the_sample_if_one_is_claimed() {
        let layout = layout(&[100, 0, 3, 200, 50, 7]);
        let mut have = Bitfield::new(36);
        (0..36).filter(|p| p % 3 != 1 && !(30..35).contains(p)).for_each(|p| {
            have.insert(PieceIndex(p));
        });
        for seed in 0..50 {
            let sample = draw(&layout, &have, &config(1_000, 0), &mut Rng::new(seed));
            assert!(sample.iter().all(|piece| have.contains(*piece)), "seed {seed}");
            for (begin, end) in [(0, 9), (10, 30), (35, 35)] {
                assert!(sample.iter().any(|piece| (begin..=end).contains(&piece.0)), "seed {seed}: {sample:?}");
            }
            assert!(sample.len() <= 5);
        }
        assert!(draw(&layout, &Bitfield::new(36), &config(9, 9), &mut Rng::new(1)).is_empty());
    }

    #[test]
    fn a_sample_is_no_larger_than_the_limits_and_reaches_every_piece_in_time() {
        let layout = layout(&[25; 40]);
        let have = Bitfield::full(100);
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            let sample = draw(&layout, &have, &config(4, 3), &mut Rng::new(seed));
            assert!(!sample.is_empty() && sample.len() <= 7);
            seen.extend(sample);
        }
        assert_eq!(seen.len(), 100);
    }
}
