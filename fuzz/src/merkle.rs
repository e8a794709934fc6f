use bip::proto::merkle::{self, Hash, Hasher, Tree};

/// The first bytes choose a layer and a place in it, the rest are hashes or the bytes of a file.
///
/// What is proved is verified, and with any bit changed it is not; a tree is the same however its bytes are divided; nothing panics
/// on numbers that make no sense.
pub fn merkle(data: &[u8]) {
    let Some((&[base, height, index, length, flip], rest)) = data.split_first_chunk() else { return };
    let layer: Vec<Hash> = rest.chunks_exact(32).take(300).map(|hash| hash.try_into().expect("32 bytes")).collect();

    // As a peer may ask and answer.
    let (wild_base, wild_height) = (u32::from(base), u32::from(height));
    let asked = merkle::prove(&layer, wild_height, wild_base, index.into(), length.into(), flip.into());
    if let Some((hashes, uncles)) = asked {
        assert_eq!(hashes.len(), usize::from(length));
        assert!(uncles.len() < 64);
    }
    let (hashes, uncles) = layer.split_at(usize::from(length).min(layer.len()));
    merkle::verify(&[0; 32], wild_height, wild_base, index.into(), hashes, uncles);
    merkle::root_of_layer(rest, u64::from(index) << (length % 64), u32::from(base) << (height % 24));

    let base = u32::from(base % 8);
    if !layer.is_empty() {
        let width = layer.len().next_power_of_two().max(2) as u64;
        let height = base + merkle::height(width);
        let length = (2_u64 << (length % 9)).min(width);
        let index = u64::from(index) % layer.len() as u64 / length * length;
        let mut tree = Tree::new(base);
        layer.iter().for_each(|hash| tree.push(*hash));
        let root = tree.finish(width);
        let (mut hashes, mut uncles) =
            merkle::prove(&layer, height, base, index, length, 64).expect("the place is in the layer");
        assert!(merkle::verify(&root, height, base, index, &hashes, &uncles));
        let at = usize::from(flip) % (hashes.len() + uncles.len());
        match at.checked_sub(hashes.len()) {
            None => hashes[at][0] ^= 1,
            Some(at) => uncles[at][0] ^= 1,
        }
        assert!(!merkle::verify(&root, height, base, index, &hashes, &uncles));
    }

    let leaves = merkle::leaves(rest.len() as u64);
    let (mut whole, mut parts) = (Hasher::new(), Hasher::new());
    whole.update(rest);
    super::parts(rest, &data[..5]).for_each(|part| parts.update(part));
    assert_eq!(whole.finish(leaves), parts.finish(leaves));
}
