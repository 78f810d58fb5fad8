//! Lists that commands return: REPORT LUNS (SPC-4 clause 6.33), GET LBA STATUS (SBC-3 clause 5.4), REPORT SUPPORTED
//! OPERATION CODES (SPC-4 clause 6.35).

use super::fields::Fields;
use crate::wire::Lun;

/// A list, and whether it is all that there is to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<T> {
    /// The entries that arrived whole.
    pub entries: Vec<T>,
    /// Bytes that the whole answer has, header included: more than arrived when the allocation length was too small.
    pub whole_len: u64,
    /// Whether nothing was cut off.
    pub complete: bool,
}

impl<T> Listed<T> {
    /// Reads entries of `size` bytes, of which there are `stated` bytes after a header of `header` bytes.
    pub(super) fn read(
        data: &[u8],
        header: usize,
        stated: u64,
        size: usize,
        entry: impl Fn(Fields<'_>) -> T,
    ) -> Self {
        let len = usize::try_from(stated).unwrap_or(usize::MAX);
        let there = Fields(data).part(header, len);
        Listed {
            entries: there.chunks_exact(size).map(|bytes| entry(Fields(bytes))).collect(),
            whole_len: stated.saturating_add(header as u64),
            complete: there.len() == len,
        }
    }
}

/// The answer to REPORT LUNS; `None` when it has no whole header.
pub fn decode_luns(data: &[u8]) -> Option<Listed<Lun>> {
    let stated = Fields(data.get(..8)?).u32(0);
    Some(Listed::read(data, 8, u64::from(stated), 8, |entry| Lun(entry.u64(0))))
}

/// PROVISIONING STATUS of blocks (SBC-3 clause 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProvisioningStatus {
    /// They have storage, or nobody knows.
    Mapped,
    /// They have none.
    Deallocated,
    /// Storage is set aside for them; they hold nothing.
    Anchored,
    /// Any other, as its number: of SBC-4, 3h is mapped and 4h unknown.
    Other(u8),
}

/// A run of blocks of one provisioning status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LbaStatus {
    /// The first block.
    pub lba: u64,
    /// How many there are; never zero.
    pub blocks: u32,
    /// What they are.
    pub status: ProvisioningStatus,
}

/// The answer to GET LBA STATUS; `None` when it has no whole header. Runs of no blocks are left out.
pub fn decode_lba_status(data: &[u8]) -> Option<Listed<LbaStatus>> {
    // PARAMETER DATA LENGTH counts the four bytes after it.
    let stated = u64::from(Fields(data.get(..8)?).u32(0)).saturating_sub(4);
    let mut list = Listed::read(data, 8, stated, 16, |entry| LbaStatus {
        lba: entry.u64(0),
        blocks: entry.u32(8),
        status: match entry.byte(12) & 0x0f {
            0 => ProvisioningStatus::Mapped,
            1 => ProvisioningStatus::Deallocated,
            2 => ProvisioningStatus::Anchored,
            other => ProvisioningStatus::Other(other),
        },
    });
    list.entries.retain(|run| run.blocks > 0);
    Some(list)
}

/// A command that a unit carries out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SupportedCommand {
    /// OPERATION CODE.
    pub opcode: u8,
    /// SERVICE ACTION, where the command has one.
    pub service_action: Option<u16>,
    /// Bytes of its CDB.
    pub cdb_len: u16,
}

/// The answer to REPORT SUPPORTED OPERATION CODES for all commands; `None` when it has no whole header.
///
/// Entries may carry command timeouts, which are skipped.
pub fn decode_supported_commands(data: &[u8]) -> Option<Listed<SupportedCommand>> {
    let stated = u64::from(Fields(data.get(..4)?).u32(0));
    let len = usize::try_from(stated).unwrap_or(usize::MAX);
    let mut rest = Fields(data).part(4, len);
    let mut list = Listed { entries: Vec::new(), whole_len: stated + 4, complete: rest.len() == len };
    while rest.len() >= 8 {
        let entry = Fields(rest);
        let service_action = entry.bit(5, 0).then_some(entry.u16(2));
        list.entries.push(SupportedCommand { opcode: entry.byte(0), service_action, cdb_len: entry.u16(6) });
        // CTDP: a descriptor of 12 bytes follows.
        rest = entry.from(if entry.bit(5, 1) { 20 } else { 8 });
    }
    Some(list)
}

/// What a unit says about one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandSupport {
    /// SUPPORT.
    pub support: Support,
    /// CDB USAGE DATA: the operation code, then a one for every bit of the CDB that the unit looks at. Empty when the
    /// command is not supported.
    pub usage: Vec<u8>,
}

/// Whether a unit carries a command out (SUPPORT, SPC-4 clause 6.35).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Support {
    /// The unit cannot tell now.
    Unknown,
    /// It does not.
    No,
    /// It does, as the standard says.
    Standard,
    /// It does, in a way of its own.
    VendorSpecific,
    /// A reserved code.
    Other(u8),
}

/// The answer to REPORT SUPPORTED OPERATION CODES for one command; `None` when it has no whole header.
pub fn decode_command_support(data: &[u8]) -> Option<CommandSupport> {
    let fields = Fields(data);
    let support = match Fields(data.get(..4)?).byte(1) & 7 {
        0 => Support::Unknown,
        1 => Support::No,
        3 => Support::Standard,
        5 => Support::VendorSpecific,
        other => Support::Other(other),
    };
    Some(CommandSupport { support, usage: fields.part(4, usize::from(fields.u16(2))).to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luns() {
        let data = [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0x23, 0, 0, 0, 0, 0, 0, 9];
        let list = decode_luns(&data).unwrap();
        assert_eq!(list.entries.iter().map(|lun| lun.number()).collect::<Vec<_>>(), [Some(0), Some(0x123)]);
        assert!(list.complete);
        for len in 0..24 {
            let list = decode_luns(&data[..len]);
            assert_eq!(list.as_ref().map(|l| l.entries.len()), len.checked_sub(8).map(|n| n / 8));
            assert!(list.is_none_or(|l| !l.complete && l.whole_len == 24));
        }
        let mut lie = data;
        lie[..4].fill(0xff);
        let list = decode_luns(&lie).unwrap();
        assert_eq!((list.entries.len(), list.complete, list.whole_len), (2, false, 0x1_0000_0007));
    }

    #[test]
    fn lba_status() {
        let mut data = vec![0, 0, 0, 52, 0, 0, 0, 0];
        for (lba, blocks, status) in [(1u64 << 33, 8u32, 1), (0x2_0000_0008, 0, 0), (0x2_0000_0008, 5, 0xf2)]
        {
            data.extend(lba.to_be_bytes());
            data.extend(blocks.to_be_bytes());
            data.extend([status, 0, 0, 0]);
        }
        let list = decode_lba_status(&data).unwrap();
        let (deallocated, anchored) = (ProvisioningStatus::Deallocated, ProvisioningStatus::Anchored);
        let want = [
            LbaStatus { lba: 1 << 33, blocks: 8, status: deallocated },
            LbaStatus { lba: 0x2_0000_0008, blocks: 5, status: anchored },
        ];
        assert_eq!((list.entries, list.complete), (want.to_vec(), true));
        assert!(decode_lba_status(&[0; 8]).unwrap().entries.is_empty());
        assert!(!decode_lba_status(&data[..data.len() - 1]).unwrap().complete);
    }

    #[test]
    fn supported_commands_with_and_without_timeouts() {
        let mut data = vec![0, 0, 0, 28, 0x12, 0, 0, 0, 0, 0x02, 0, 6];
        data.extend([0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30]);
        data.extend([0x9e, 0, 0, 0x10, 0, 0x01, 0, 16]);
        let list = decode_supported_commands(&data).unwrap();
        let want = [
            SupportedCommand { opcode: 0x12, service_action: None, cdb_len: 6 },
            SupportedCommand { opcode: 0x9e, service_action: Some(0x10), cdb_len: 16 },
        ];
        assert_eq!((list.entries, list.complete), (want.to_vec(), true));
    }

    #[test]
    fn support_of_one_command() {
        let data = [0, 0x03, 0, 6, 0x12, 0x01, 0xff, 0xff, 0xff, 0x07];
        let support = decode_command_support(&data).unwrap();
        assert_eq!((support.support, &support.usage[..]), (Support::Standard, &data[4..]));
        assert_eq!(decode_command_support(&[0, 1, 0, 0]).unwrap().support, Support::No);
        assert_eq!(decode_command_support(&[0, 3, 0xff, 0xff, 7]).unwrap().usage, [7]);
        assert_eq!(decode_command_support(&[0, 3, 0]), None);
    }
}
