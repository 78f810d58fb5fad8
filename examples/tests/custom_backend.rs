//! The server over a back end that the program brings itself.

mod support;

use support::{Program, copy_out, have, qemu_io};

// Goal: what was never written is computed, what was is kept. Method: the whole disk, before and after writes.
#[test]
fn blocks_are_numbered_until_they_are_written() {
    if !have(&["qemu-img", "qemu-io"]) {
        return;
    }
    let mut program = Program::start(env!("CARGO_BIN_EXE_custom_backend"), &["127.0.0.1:0"]);
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    qemu_io(&program.url, &["write -P 0x77 512 1024", "write -P 0x78 1M 1M", "flush"]);
    copy_out(&program.url, &copy);
    let found = std::fs::read(&copy).unwrap();
    assert_eq!(found.len(), 64 << 20);
    for (number, block) in found.chunks(512).enumerate() {
        let want = match number {
            1 | 2 => vec![0x77; 512],
            2048..4096 => vec![0x78; 512],
            _ => (number as u64).to_be_bytes().repeat(64),
        };
        assert_eq!(block, want, "block {number}");
    }
    program.assert_alive();
}
