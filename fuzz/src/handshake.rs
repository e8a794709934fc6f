use bip::proto::handshake::{Decoder, LEN, OPENING_LEN, PROTOCOL, Progress, decode};

/// The first byte says in what parts the rest comes.
///
/// Refused exactly at the first wrong byte; what is read says again the bytes it came from; in parts as in one; and nothing after
/// the handshake is taken.
pub fn handshake(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    let right = stream.iter().zip(PROTOCOL).take_while(|(found, expected)| found == expected).count();
    let starts_well = right == stream.len().min(PROTOCOL.len());

    let whole = decode(stream);
    assert_eq!(whole.is_ok(), starts_well);
    if !starts_well {
        assert!(decode(&stream[..right]).is_ok(), "refused before the wrong byte");
        assert_eq!(decode(&stream[..=right]), whole, "not refused at the wrong byte");
    }
    match whole {
        Ok(Progress::Start) => assert!(stream.len() < OPENING_LEN),
        Ok(Progress::Opening(opening)) => {
            assert!((OPENING_LEN..LEN).contains(&stream.len()));
            assert_eq!(stream[20..28], opening.extensions.0);
            assert_eq!(stream[28..48], opening.info_hash.0);
        }
        Ok(Progress::Complete(handshake)) => assert_eq!(stream[..LEN], handshake.encode()),
        Err(_) => {}
    }

    let mut decoder = Decoder::default();
    let mut taken = 0;
    for mut part in crate::parts(stream, &[*size]) {
        let length = part.len();
        let progress = decoder.decode(&mut part);
        taken += length - part.len();
        assert_eq!(progress, decode(&stream[..taken]));
        if !part.is_empty() {
            assert_eq!(taken, LEN, "bytes of the handshake were left");
            break;
        }
    }
    assert_eq!(taken, stream.len().min(LEN));
}
