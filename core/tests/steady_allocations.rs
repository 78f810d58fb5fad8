//! A session that has warmed up allocates nothing for a command: not for its PDU, its task, its events, its payload, or
//! its answer. Every allocation of the process is counted, by an allocator that does nothing else.

mod path_support;
mod support;

use path_support::{Load, Path, Storage};

/// Commands before counting begins: queues and slabs have grown to what they need, and every read buffer that is ever in
/// use at one time has been in use.
const WARM: usize = 2048;

const COUNTED: usize = 4096;

/// Every kind of command, one at a time and 32 at a time, with storage that answers at once and storage that keeps the
/// payload for a while, with and without digests.
#[test]
fn no_command_allocates() {
    for load in [Load::Read, Load::WriteImmediate, Load::WriteSolicited] {
        for storage in [Storage::Now, Storage::Later] {
            for depth in [1, 32] {
                for digests in [false, true] {
                    let mut path = Path::new(load, storage, depth, digests);
                    run(&mut path, WARM);
                    let counted = allocation_counter::measure(|| run(&mut path, COUNTED));
                    assert_eq!(
                        (counted.count_total, counted.bytes_total),
                        (0, 0),
                        "{load:?}, storage {storage:?}, depth {depth}, digests {digests}: allocations and bytes of them \
                         for {COUNTED} commands"
                    );
                }
            }
        }
    }
}

/// The counter counts: without warm-up there is something.
#[test]
fn the_first_commands_do_allocate() {
    let mut path = Path::new(Load::WriteImmediate, Storage::Now, 32, false);
    let counted = allocation_counter::measure(|| run(&mut path, 32));
    assert!(counted.count_total > 0);
}

fn run(path: &mut Path, commands: usize) {
    let end = path.completed + commands;
    while path.completed < end {
        path.round();
    }
}
