use bip::proto::id::PeerId;

/// The bytes are the start of an id, the rest of which is zeros.
///
/// Whatever it claims can be shown, and is short.
pub fn peer_id(data: &[u8]) {
    let mut id = [0; 20];
    id.iter_mut().zip(data).for_each(|(to, byte)| *to = *byte);
    let client = PeerId(id).client();
    assert!(!client.name.is_empty() && client.name.chars().count() <= 32 && client.version.len() <= 16, "{client:?}");
    assert!(!client.to_string().contains(char::is_control), "{client:?}");
    assert!(client.version.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{client:?}");
}
