use bip::proto::utp::{AckMask, HEADER_LEN, Packet, SeqNr};

/// The bytes are a datagram.
///
/// What is read encodes to bytes that read the same, no longer than it was; the payload is the datagram's end; a selective acknowledgement names each
/// packet once, and can be made again of what it names.
pub fn utp(data: &[u8]) {
    let packet = match Packet::decode(data) {
        Ok(packet) => packet,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(data.len() >= HEADER_LEN && data.ends_with(packet.payload));
    let mut bytes = Vec::new();
    packet.encode(&mut bytes);
    assert_eq!(bytes.len(), packet.encoded_len());
    assert!(bytes.len() <= data.len());
    assert_eq!(Packet::decode(&bytes), Ok(packet));
    if data.get(1) == Some(&0) {
        assert_eq!(bytes, data, "a packet without extensions is its bytes");
    }

    let ack_nr = packet.header.ack_nr;
    let Some(acks) = packet.selective_ack else { return };
    let received: Vec<SeqNr> = acks.received(ack_nr).collect();
    assert!(received.iter().all(|packet| packet.is_after(ack_nr.next()) && acks.contains(ack_nr, *packet)));
    assert!(received.windows(2).all(|pair| pair[1].is_after(pair[0])));
    let mut mask = AckMask::new(ack_nr);
    let kept: Vec<SeqNr> = received.into_iter().filter(|packet| mask.insert(*packet)).collect();
    let again = mask.as_selective_ack().into_iter().flat_map(|acks| acks.received(ack_nr));
    assert!(again.eq(kept));
}
