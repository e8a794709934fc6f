//! The clients that we know, and how they write their versions.

use super::CODE;

/// How a client writes its version in four characters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// Each is a part, 10 to 35 as capital letters; a last 0 is left out: `1.2.3`, `1.2.3.4`.
    Parts,
    /// Each is a part, all four are shown.
    AllParts,
    /// Three parts, then a letter for betas and the like.
    Mnemonic,
    /// Two digits each, the second always shown with both: `1.70`.
    Hundredths,
    /// Two digits each: `1.9`.
    Pairs,
    /// 3.00 and older as `2.94`, later ones as `4.0.5`.
    Transmission,
}

pub(super) fn in_style(style: Style, characters: [u8; 4]) -> String {
    let [a, b, c, d] = characters;
    let part = |byte: u8| match byte {
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        byte => u32::from(byte.wrapping_sub(b'0')),
    };
    let number = |tens: u8, ones: u8| part(tens) * 10 + part(ones);
    let letter = |byte: u8| match byte {
        b'B' | b'b' => "-beta",
        b'A' | b'a' => "-alpha",
        b'Z' | b'X' | b'D' => "-dev",
        _ => "",
    };
    match style {
        // Written with small letters it is no number of ours.
        Style::Parts if d == b'0' || !d.is_ascii_digit() => format!("{}.{}.{}", part(a), part(b), part(c)),
        Style::Parts | Style::AllParts => format!("{}.{}.{}.{}", part(a), part(b), part(c), part(d)),
        Style::Mnemonic => format!("{}.{}.{}{}", part(a), part(b), part(c), letter(d)),
        Style::Hundredths => format!("{}.{:02}", number(a, b), number(c, d)),
        Style::Pairs => format!("{}.{}", number(a, b), number(c, d)),
        Style::Transmission if [a, b, c] == *b"000" => format!("0.{}", part(d)),
        Style::Transmission if [a, b] == *b"00" => format!("0.{}{}", part(c), part(d)),
        Style::Transmission if a < b'4' => format!("{}.{}{}{}", part(a), part(b), part(c), letter(d)),
        Style::Transmission => format!("{}.{}.{}{}", part(a), part(b), part(c), letter(d)),
    }
}

/// Where something stands in an id, what, and whose it is.
pub(super) const OWN_STYLE: &[(usize, &[u8], &str)] = &[
    (0, b"AZ2500BT", "BitTyrant"),
    (0, b"346-----", "TorrenTopia"),
    (0, b"-G3", "G3 Torrent"),
    (0, b"-aria2-", "aria2"),
    (0, b"Azureus", "Azureus"),
    (5, b"Azureus", "Azureus"),
    (0, b"S3-", "Amazon S3"),
    (0, b"DNA", "BitTorrent DNA"),
    (0, b"QVOD", "QVOD"),
    (0, b"Pando-", "Pando"),
    (0, b"LIME", "LimeWire"),
    (0, b"Mbrst", "Burst!"),
    (0, b"btpd/", "btpd"),
    (0, b"turbobt", "TurboBT"),
    (0, b"-WS", "HTTP seed"),
];

/// The codes of the Azureus style that we know (BEP 20, and what has been seen since), and how each writes its version.
pub(super) const AZUREUS: &[(&[u8; 2], &str, Style)] = &[
    (b"7T", "aTorrent", Style::Parts),
    (b"A~", "Ares", Style::Mnemonic),
    (b"AG", "Ares", Style::Mnemonic),
    (b"AN", "Ares", Style::Parts),
    (b"AR", "Arctic", Style::Parts),
    (b"AT", "Artemis", Style::Parts),
    (b"AV", "Avicora", Style::Parts),
    (b"AX", "BitPump", Style::Hundredths),
    (b"AZ", "Vuze", Style::AllParts),
    (b"BB", "BitBuddy", Style::Parts),
    (b"BC", "BitComet", Style::Hundredths),
    (b"BE", "BitTorrent SDK", Style::Parts),
    (b"BF", "Bitflu", Style::Parts),
    (b"BG", "BTG", Style::AllParts),
    (b"BI", "BiglyBT", Style::AllParts),
    (b"BR", "BitRocket", Style::Parts),
    (b"BS", "BTSlave", Style::Parts),
    (b"BT", "BitTorrent", Style::Mnemonic),
    (b"BW", "BitWombat", Style::Parts),
    (b"BX", "Bittorrent X", Style::Parts),
    (b"CD", "Enhanced CTorrent", Style::Hundredths),
    (b"CT", "CTorrent", Style::Parts),
    (b"DE", "Deluge", Style::Mnemonic),
    (b"DP", "Propagate Data Client", Style::Parts),
    (b"EB", "EBit", Style::Parts),
    (b"ES", "electric sheep", Style::Mnemonic),
    (b"FC", "FileCroc", Style::Parts),
    (b"FD", "Free Download Manager", Style::Parts),
    (b"FG", "FlashGet", Style::Hundredths),
    (b"FL", "Folx", Style::Parts),
    (b"FT", "FoxTorrent", Style::Parts),
    (b"FW", "FrostWire", Style::Parts),
    (b"FX", "Freebox BitTorrent", Style::Parts),
    (b"GR", "GetRight", Style::Parts),
    (b"GS", "GSTorrent", Style::Parts),
    (b"GT", "anacrolix/torrent", Style::Parts),
    (b"HL", "Halite", Style::Mnemonic),
    (b"HN", "Hydranode", Style::Parts),
    (b"KG", "KGet", Style::Parts),
    (b"KT", "KTorrent", Style::Parts),
    (b"LC", "LeechCraft", Style::Parts),
    (b"LH", "LH-ABC", Style::Parts),
    (b"LK", "linkage", Style::Mnemonic),
    (b"LP", "Lphant", Style::Hundredths),
    (b"LT", "libtorrent", Style::Parts),
    (b"LW", "LimeWire", Style::Parts),
    (b"MG", "MediaGet", Style::Parts),
    (b"MO", "MonoTorrent", Style::Parts),
    (b"MP", "MooPolice", Style::Mnemonic),
    (b"MR", "Miro", Style::Parts),
    (b"MT", "MoonlightTorrent", Style::Parts),
    (b"NE", "BT Next Evolution", Style::Mnemonic),
    (b"NX", "Net Transport", Style::Parts),
    (b"OS", "OneSwarm", Style::AllParts),
    (b"OT", "OmegaTorrent", Style::Parts),
    (b"PC", "CacheLogic", Style::Parts),
    (b"PD", "Pando", Style::Parts),
    (b"PE", "PeerProject", Style::Parts),
    (b"PI", "PicoTorrent", Style::Parts),
    (b"PT", "Popcorn Time", Style::Parts),
    (b"QD", "QQDownload", Style::Parts),
    (b"QT", "Qt 4 Torrent example", Style::Parts),
    (b"RT", "Retriever", Style::Parts),
    (b"RZ", "RezTorrent", Style::Parts),
    (b"S~", "Shareaza beta", Style::Parts),
    (b"SB", "Swiftbit", Style::Parts),
    (b"SD", "Xunlei", Style::Parts),
    (b"SN", "ShareNET", Style::Parts),
    (b"SP", "BitSpirit", Style::Mnemonic),
    (b"SS", "SwarmScope", Style::Parts),
    (b"ST", "SymTorrent", Style::Parts),
    (b"SZ", "Shareaza", Style::Parts),
    (b"TL", "Tribler", Style::Parts),
    (b"TN", "Torrent.NET", Style::Parts),
    (b"TR", "Transmission", Style::Transmission),
    (b"TS", "TorrentStorm", Style::Parts),
    (b"TT", "TuoTu", Style::Mnemonic),
    (b"UE", "µTorrent Embedded", Style::Mnemonic),
    (b"UL", "uLeecher!", Style::Parts),
    (b"UM", "µTorrent Mac", Style::Mnemonic),
    (b"UT", "µTorrent", Style::Mnemonic),
    (b"UW", "µTorrent Web", Style::Mnemonic),
    (b"VG", "Vagaa", Style::AllParts),
    (b"WD", "WebTorrent Desktop", Style::Pairs),
    (b"WT", "BitLet", Style::Parts),
    (b"WW", "WebTorrent", Style::Pairs),
    (b"WY", "FireTorrent", Style::Parts),
    (b"XF", "Xfplay", Style::Parts),
    (b"XL", "Xunlei", Style::Parts),
    (b"XT", "XanTorrent", Style::Parts),
    (b"XX", "Xtorrent", Style::Parts),
    (b"ZO", "Zona", Style::AllParts),
    (b"ZT", "ZipTorrent", Style::Parts),
    (&CODE, "bip", Style::Parts),
    (b"lt", "libTorrent (rTorrent)", Style::Parts),
    (b"pX", "pHoeniX", Style::Parts),
    (b"qB", "qBittorrent", Style::Parts),
    (b"rQ", "rqbit", Style::Parts),
    (b"st", "SharkTorrent", Style::Parts),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_once() {
        let mut codes: Vec<_> = AZUREUS.iter().map(|(code, ..)| *code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), AZUREUS.len());
    }
}
