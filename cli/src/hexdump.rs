//! Bytes in hexadecimal for people.

/// Lines of an offset, 16 bytes, and the same as text; lines that repeat the one above are one `*`.
pub(crate) fn hexdump(bytes: &[u8]) -> String {
    let mut lines = Vec::new();
    let mut above: Option<&[u8]> = None;
    let mut starred = false;
    for (number, chunk) in bytes.chunks(16).enumerate() {
        let last = (number + 1) * 16 >= bytes.len();
        if above == Some(chunk) && !last {
            if !starred {
                lines.push("*".to_owned());
            }
            starred = true;
            continue;
        }
        (above, starred) = (Some(chunk), false);
        lines.push(line(number * 16, chunk));
    }
    lines.join("\n")
}

fn line(offset: usize, chunk: &[u8]) -> String {
    let mut hex = String::new();
    for (at, byte) in chunk.iter().enumerate() {
        hex += if at == 8 { "  " } else { " " };
        hex += &format!("{byte:02x}");
    }
    let text: String =
        chunk.iter().map(|b| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' }).collect();
    format!("{offset:08x} {hex:<50} |{text}|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_what_people_know() {
        assert_eq!(hexdump(&[]), "");
        assert_eq!(
            hexdump(b"iSCSI disk\0\xff"),
            "00000000  69 53 43 53 49 20 64 69  73 6b 00 ff              |iSCSI disk..|"
        );
        let long = hexdump(&[0; 64]);
        assert_eq!(long.lines().count(), 3, "{long}");
        assert!(long.lines().nth(2).unwrap().starts_with("00000030 "), "{long}");
    }
}
