//! Files in pcapng format, as far as Ethernet frames with their times need it.

use std::io::{self, Write};
use std::time::Duration;

/// Writes the blocks of one section with one interface.
pub(crate) struct Pcapng<W: Write> {
    out: W,
}

/// LINKTYPE_ETHERNET.
const ETHERNET: u16 = 1;
/// Options of all blocks.
const END_OF_OPTIONS: u16 = 0;
/// Options of a section.
const SHB_USERAPPL: u16 = 4;
/// Options of an interface.
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;

impl<W: Write> Pcapng<W> {
    /// Begins a file: its section and its interface.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn begin(out: W, interface: &str) -> io::Result<Self> {
        let mut file = Pcapng { out };
        let mut section = Vec::new();
        section.extend(0x1a2b_3c4d_u32.to_le_bytes()); // by which readers know the byte order
        section.extend(1_u16.to_le_bytes());
        section.extend(0_u16.to_le_bytes());
        section.extend(u64::MAX.to_le_bytes()); // a section of unknown length
        option(&mut section, SHB_USERAPPL, concat!("iscsictl ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(&mut section, END_OF_OPTIONS, &[]);
        file.block(0x0a0d_0d0a, &section)?;
        let mut description = Vec::new();
        description.extend(ETHERNET.to_le_bytes());
        description.extend(0_u16.to_le_bytes());
        description.extend(0_u32.to_le_bytes()); // frames are kept whole
        option(&mut description, IF_NAME, b"relay");
        option(&mut description, IF_DESCRIPTION, interface.as_bytes());
        option(&mut description, IF_TSRESOL, &[9]);
        option(&mut description, END_OF_OPTIONS, &[]);
        file.block(1, &description)?;
        Ok(file)
    }

    /// Writes one frame; `time` is since the beginning of 1970.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn frame(&mut self, time: Duration, frame: &[u8]) -> io::Result<()> {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let len = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut packet = Vec::with_capacity(frame.len() + 24);
        packet.extend(0_u32.to_le_bytes());
        packet.extend(((nanos >> 32) as u32).to_le_bytes());
        packet.extend((nanos as u32).to_le_bytes());
        packet.extend(len.to_le_bytes());
        packet.extend(len.to_le_bytes());
        packet.extend(frame);
        pad(&mut packet);
        self.block(6, &packet)
    }

    /// Hands everything on to the system.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn block(&mut self, kind: u32, body: &[u8]) -> io::Result<()> {
        let len = u32::try_from(body.len() + 12).map_err(io::Error::other)?;
        self.out.write_all(&kind.to_le_bytes())?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(body)?;
        self.out.write_all(&len.to_le_bytes())
    }
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    block.extend(code.to_le_bytes());
    // Values are texts of ours, far below 64 KiB.
    block.extend((value.len() as u16).to_le_bytes());
    block.extend(value);
    pad(block);
}

fn pad(block: &mut Vec<u8>) {
    block.resize(block.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: blocks are laid out as the format says. Method: walk over them by the lengths that they state, at their
    // beginning and their end, and look at the fields of the packet.
    #[test]
    fn blocks_state_their_lengths_twice() {
        let mut bytes = Vec::new();
        let mut file = Pcapng::begin(&mut bytes, "lo").unwrap();
        file.frame(Duration::from_nanos((5 << 32) + 7), &[1, 2, 3, 4, 5]).unwrap();
        file.flush().unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let (mut at, mut kinds) = (0, Vec::new());
        while at < bytes.len() {
            let len = word(at + 4) as usize;
            assert_eq!(len % 4, 0);
            assert_eq!(word(at + len - 4) as usize, len);
            kinds.push((word(at), at));
            at += len;
        }
        assert_eq!(at, bytes.len());
        let [(0x0a0d_0d0a, 0), (1, _), (6, packet)] = kinds[..] else { panic!("{kinds:?}") };
        assert_eq!((word(packet + 12), word(packet + 16)), (5, 7));
        assert_eq!((word(packet + 20), word(packet + 24)), (5, 5));
        assert_eq!(bytes[packet + 28..packet + 36], [1, 2, 3, 4, 5, 0, 0, 0]);
    }
}
