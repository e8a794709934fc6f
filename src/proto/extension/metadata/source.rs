use super::{Message, PIECE_LENGTH, Piece, Size};

/// Answers requests for the pieces of an `info` dictionary that is there.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    info: &'a [u8],
    size: Size,
}

impl<'a> Source<'a> {
    /// Takes the dictionary's bytes, which must have the torrent's hash; `None` where there are none, or 4 GiB.
    pub fn new(info: &'a [u8]) -> Option<Self> {
        let size = Size::new(i64::try_from(info.len()).ok()?, u32::MAX)?;
        Some(Self { info, size })
    }

    /// Gives how long the dictionary is: what our handshake says.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Answers a request: with the piece, or with a reject where there is none of that number.
    pub fn answer(&self, piece: Piece) -> Message<'a> {
        let found = self.size.length_of(piece).and_then(|length| {
            // In range: the piece is there.
            let begin = (piece.0 * PIECE_LENGTH) as usize;
            self.info.get(begin..begin + length as usize)
        });
        match found {
            Some(data) => Message::Data { piece, total_size: Some(self.size), data },
            None => Message::Reject(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_piece_is_served_the_last_one_too_and_no_other() {
        for length in [1, 2, 16_383, 16_384, 16_385, 32_768, 32_769, 5 * 16_384 + 1] {
            let info: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let source = Source::new(&info).unwrap();
            let mut served = Vec::new();
            for piece in 0..source.size().piece_count() {
                let Message::Data { piece: answered, total_size, data } = source.answer(Piece(piece)) else {
                    panic!("piece {piece} of {length} bytes is not served");
                };
                assert_eq!((answered, total_size.map(Size::get)), (Piece(piece), Some(length)));
                served.extend_from_slice(data);
            }
            assert_eq!(served, info);
            for piece in [source.size().piece_count(), u32::MAX / 16_384, u32::MAX] {
                assert_eq!(source.answer(Piece(piece)), Message::Reject(Piece(piece)));
            }
        }
    }

    #[test]
    fn nothing_is_not_served() {
        assert!(Source::new(&[]).is_none());
    }
}
