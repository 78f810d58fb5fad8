//! Random commands never panic, never reach beyond the unit (the rig checks every operation), and come to an end.

use iscsicore::disk::*;
use proptest::prelude::*;

use crate::rig::*;

/// A CDB of a known or any operation code, whose other bytes are mostly extreme values.
pub(crate) fn any_cdb() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        0x00u8, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41,
        0x42, 0x55, 0x5a, 0x7f, 0x88, 0x8a, 0x8e, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xae, 0xaf,
    ]);
    let opcode = prop_oneof![8 => known, 1 => any::<u8>()];
    let byte = prop_oneof![6 => Just(0u8), 1 => Just(0xff), 1 => Just(1), 2 => any::<u8>()];
    (opcode, prop::collection::vec(byte, 0..40)).prop_map(|(opcode, rest)| [vec![opcode], rest].concat())
}

/// Block commands near the end of the unit with valid flags: most of them do something.
pub(crate) fn block_command() -> impl Strategy<Value = Vec<u8>> {
    let opcode = prop::sample::select(vec![
        (0x28u8, 0x18u8),
        (0x2a, 0x18),
        (0x2e, 0x12),
        (0x2f, 0x16),
        (0x35, 2),
        (0x41, 8),
        (0x88, 0x18),
        (0x8a, 0x18),
        (0x8e, 0x12),
        (0x8f, 0x16),
        (0x91, 2),
        (0x93, 9),
        (0x9e, 0),
        (0xa8, 0x18),
        (0xaa, 0x18),
        (0xae, 0x12),
        (0xaf, 0x16),
    ]);
    let lba = prop_oneof![0..BLOCKS, BLOCKS - 4..BLOCKS + 4, any::<u64>(), u64::MAX - 300..=u64::MAX];
    let count = prop_oneof![0..300u32, any::<u32>(), u32::MAX - 3..=u32::MAX];
    (opcode, any::<u8>(), lba, count).prop_map(|((opcode, usage), flags, lba, count)| match opcode {
        0x9e => block_cdb(opcode, 0x12, lba, count), // GET LBA STATUS, with an allocation length
        _ => block_cdb(opcode, flags & usage, lba, count),
    })
}

pub(crate) fn command() -> impl Strategy<Value = (Vec<u8>, u32, Vec<u8>)> {
    let data_in = prop_oneof![Just(u32::MAX), 0..5000u32];
    let data_out = prop_oneof![
        prop::collection::vec(prop_oneof![3 => Just(0u8), 1 => any::<u8>()], 0..64),
        (0..5000usize).prop_map(pattern),
        (0..5000usize).prop_map(|len| vec![0; len]),
    ];
    (prop_oneof![any_cdb(), block_command()], data_in, data_out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_sequence_of_commands(
        commands in prop::collection::vec(command(), 1..40),
        thin in any::<bool>(),
        large in any::<bool>(),
        fail in prop::option::of(0..6usize),
    ) {
        let mut rig = Rig::with(|c| {
            c.provisioning = if thin { Provisioning::Thin } else { Provisioning::Full };
            c.block_size = if large { BlockSize::B4096 } else { BlockSize::B512 };
        });
        rig.fail = fail.map(|at| (at, IoError::Unsupported));
        rig.extents = vec![(700, Allocation::Deallocated), (5000, Allocation::Mapped), (u64::MAX, Allocation::Deallocated)];
        for (i, (cdb, data_in, data_out)) in commands.iter().enumerate() {
            match i % 7 {
                3 => rig.unit.resize(BLOCKS - i as u64),
                5 => rig.unit.resize(BLOCKS),
                _ => {}
            }
            let reply = rig.run_as(if i % 5 == 0 { OTHER } else { ME }, cdb, *data_in, data_out);
            prop_assert!(reply.data.len() <= reply.transfer_len as usize);
        }
    }
}
