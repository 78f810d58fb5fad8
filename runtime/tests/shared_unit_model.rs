//! One logical unit under several threads, in every order in which they can meet: the server's cell, the core's
//! `LogicalUnit`, `View` and `ItlNexus`, with loom's atomics and lock below the cell.
//!
//! `loom::model` calls its closure once for each order, `explore` once for each with few preemptions. What one thread
//! *is told* by another stands in a flag that is stored with Release and loaded with Acquire, as a status is that went
//! over a network and back. `wrong` puts cells with a fault in the place of the right one, to show that it would be found.

use iscsicore::disk::{LogicalUnit, NexusId, ResetCause, Resume, Step};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

#[path = "shared_unit_model/rig.rs"]
mod rig;
#[path = "../src/server/units/shared.rs"]
mod shared;
#[path = "shared_unit_model/wrong.rs"]
mod wrong;

use rig::*;
use shared::Shared;

/// What the cell is built on here.
mod sync {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
    pub(super) use loom::sync::{Mutex, MutexGuard};
    pub(super) use std::sync::PoisonError;
}

/// MODE SELECT protects the unit while two others write. Each of them hears of it exactly once, before the first write
/// that is refused, and lets nothing through once it was told.
fn protection<C: Cell>() {
    explore(|| {
        let [mut changer, one, two] = sessions::<C, 3>();
        let told = Told::new();
        let writers = [(one, 2), (two, 1)].map(|(mut writer, writes)| {
            let told = told.clone();
            thread::spawn(move || {
                let mut heard = Vec::new();
                for _ in 0..writes {
                    let known = told.is_known();
                    let answer = writer.run(&WRITE);
                    assert!(!(known && answer == Said::LetThrough), "written after the protection was told");
                    heard.push(answer);
                }
                (writer, heard)
            })
        });
        assert_eq!(changer.protect(), Said::Good);
        told.tell();
        for writer in writers {
            let (mut writer, mut heard) = writer.join().expect("no panic");
            (0..2).for_each(|_| heard.push(writer.run(&WRITE)));
            heard.retain(|answer| *answer != Said::LetThrough);
            assert_eq!(heard.first(), Some(&MODES_CHANGED), "heard at first");
            assert!(heard[1..].iter().all(|answer| *answer == PROTECTED) && heard.len() > 1, "{heard:?}");
        }
    });
}

#[test]
fn nothing_is_written_once_protection_was_told() {
    protection::<Shared<LogicalUnit>>();
}

/// A stop tells no attention: the version alone makes the others see it. Of two changers the later one counts.
fn stop<C: Cell>() {
    explore(|| {
        let [mut stopper, other, mut reader] = sessions::<C, 3>();
        let stopped = Told::new();
        let first = thread::spawn({
            let stopped = stopped.clone();
            move || {
                assert_eq!(stopper.run(&STOP), Said::Good);
                stopped.tell();
            }
        });
        let second = thread::spawn(move || {
            // Changes the unit as well, of which the reader need know nothing.
            other.units.0.change(|unit| unit.luns_changed(NexusId(1)));
        });
        for _ in 0..2 {
            let known = stopped.is_known();
            let answer = reader.run(&TEST_UNIT_READY);
            assert!(answer == STOPPED || answer == Said::Good && !known, "ready after the stop was told");
        }
        first.join().expect("no panic");
        assert_eq!(reader.run(&TEST_UNIT_READY), STOPPED, "ready after the stop was told");
        second.join().expect("no panic");
        assert_eq!(reader.run(&TEST_UNIT_READY), STOPPED, "ready after the stop was told");
    });
}

#[test]
fn nothing_is_ready_once_a_stop_was_told() {
    stop::<Shared<LogicalUnit>>();
}

/// The capacity shrinks while a write waits for its data: it does not go on to storage beyond what was told.
#[test]
fn a_write_that_goes_on_is_held_to_the_capacity_that_was_told() {
    loom::model(|| {
        let [mut writer, other] = sessions::<Shared<LogicalUnit>, 2>();
        let told = Told::new();
        let owner = thread::spawn({
            let told = told.clone();
            move || {
                other.units.0.change(|unit| unit.resize(BLOCKS - 1));
                told.tell();
            }
        });
        let before = told.is_known();
        let mut heard = 0;
        match writer.start(&WRITE) {
            Step::NeedData { task, .. } => {
                assert!(!before, "begun after the capacity was told");
                let known = told.is_known();
                let data = Resume::Data(vec![0; 512].into());
                let step = writer.itl.resume(&*writer.units, task, data).expect("a unit");
                match said(&step) {
                    Said::LetThrough => assert!(!known, "written beyond the capacity that was told"),
                    answer => assert_eq!(answer, OUT_OF_RANGE),
                }
            }
            step => {
                assert_eq!(said(&step), CAPACITY_CHANGED);
                assert_eq!(writer.run(&WRITE), OUT_OF_RANGE);
                heard += 1;
            }
        }
        owner.join().expect("no panic");
        if heard == 0 {
            assert_eq!(writer.run(&WRITE), CAPACITY_CHANGED, "it waits for the next command");
        }
        assert_eq!(writer.run(&WRITE), OUT_OF_RANGE);
    });
}

/// Two threads establish a unit attention each while a third runs commands: each is reported exactly once.
#[test]
fn attentions_are_reported_exactly_once() {
    explore(|| {
        let [mut hearer, one, two] = sessions::<Shared<LogicalUnit>, 3>();
        let told = [Told::new(), Told::new()];
        let first = thread::spawn({
            let told = told[0].clone();
            move || {
                one.units.0.change(|unit| unit.tasks_cleared(NexusId(1), NexusId(0)));
                told.tell();
            }
        });
        let second = thread::spawn({
            let told = told[1].clone();
            move || {
                two.units.0.change(|unit| unit.luns_changed(NexusId(0)));
                told.tell();
            }
        });
        let mut heard = Vec::new();
        for _ in 0..2 {
            let known = [(&told[0], CLEARED), (&told[1], LUNS_CHANGED)]
                .map(|(told, attention)| told.is_known().then_some(attention));
            let answer = hearer.run(&TEST_UNIT_READY);
            let due = known.into_iter().flatten().any(|attention| !heard.contains(&attention));
            assert!(!(due && answer == Said::Good), "an attention was told and not reported next");
            heard.push(answer);
        }
        first.join().expect("no panic");
        second.join().expect("no panic");
        (0..3).for_each(|_| heard.push(hearer.run(&TEST_UNIT_READY)));
        for attention in [CLEARED, LUNS_CHANGED] {
            assert_eq!(heard.iter().filter(|said| **said == attention).count(), 1, "{heard:?}");
        }
        assert_eq!(heard.iter().filter(|said| **said == Said::Good).count(), 3, "{heard:?}");
    });
}

/// A reset races with a command of its own kind of change. Both nexuses hear of the reset once, and nobody is left with
/// the modes of before.
#[test]
fn a_reset_is_heard_once_and_leaves_no_old_view() {
    loom::model(|| {
        let [mut changer, mut reader, owner] = sessions::<Shared<LogicalUnit>, 3>();
        assert_eq!(changer.protect(), Said::Good);
        assert_eq!(reader.run(&WRITE), MODES_CHANGED);
        assert_eq!(reader.run(&WRITE), PROTECTED);
        let told = Told::new();
        let reset = thread::spawn({
            let told = told.clone();
            move || {
                owner.units.0.change(|unit| unit.reset(ResetCause::LogicalUnit));
                told.tell();
            }
        });
        let other = thread::spawn(move || {
            let answers = [changer.run(&WRITE), changer.run(&WRITE)];
            (changer, answers)
        });
        let known = told.is_known();
        let mut heard = vec![reader.run(&WRITE)];
        assert!(!known || heard == [RESET], "the reset was told and not reported next");
        reset.join().expect("no panic");
        let (mut changer, answers) = other.join().expect("no panic");
        heard.push(reader.run(&WRITE));
        heard.push(reader.run(&WRITE));
        let mut of_changer = answers.to_vec();
        of_changer.push(changer.run(&WRITE));
        of_changer.push(changer.run(&WRITE));
        for heard in [heard, of_changer] {
            let at = heard.iter().position(|said| *said == RESET).expect("the reset is reported");
            assert!(heard[..at].iter().all(|said| *said == PROTECTED), "{heard:?}");
            assert!(heard[at + 1..].iter().all(|said| *said == Said::LetThrough), "{heard:?}");
        }
    });
}

/// What PREEMPT AND ABORT will do, with a stop in the place of the reservation: change, then have the session abort, and
/// when that is confirmed nothing of the session reaches storage any more.
#[test]
fn after_a_change_and_an_abort_nothing_reaches_storage() {
    loom::model(|| {
        let [mut fencer, mut victim] = sessions::<Shared<LogicalUnit>, 2>();
        let (order, aborted, fenced) = (Told::new(), Told::new(), Told::new());
        let session = thread::spawn({
            let (order, aborted, fenced) = (order.clone(), aborted.clone(), fenced.clone());
            move || {
                for _ in 0..2 {
                    // Orders are taken between commands; one that was let through runs to its end before.
                    if order.is_known() {
                        aborted.tell();
                    }
                    if victim.run(&WRITE) == Said::LetThrough {
                        assert!(!fenced.is_known(), "a write landed behind the fence");
                    }
                }
            }
        });
        assert_eq!(fencer.run(&STOP), Said::Good);
        order.tell();
        if aborted.is_known() {
            fenced.tell();
        }
        session.join().expect("no panic");
    });
}

/// Two threads change a unit. To a third the version never goes back, and what it finds under the lock is never older
/// than the version that it had seen.
#[test]
fn a_view_is_never_older_than_its_version() {
    explore(|| {
        let [one, two, reader] = sessions::<Shared<LogicalUnit>, 3>();
        let start = reader.units.0.version();
        let changers = [(one, NexusId(0)), (two, NexusId(1))].map(|(session, of)| {
            thread::spawn(move || {
                let own = session.units.0.change(|unit| {
                    unit.luns_changed(of);
                    unit.changes()
                });
                assert!(session.units.0.version() >= own, "the version of one's own change");
            })
        });
        let seen = reader.units.0.version();
        let (found, view) = reader.units.0.change(|unit| (unit.changes(), unit.view(NexusId(2)).is_some()));
        assert!(found >= seen && view);
        let later = reader.units.0.version();
        assert!(later >= found, "the version went back");
        for changer in changers {
            changer.join().expect("no panic");
        }
        assert_eq!(reader.units.0.version(), start + 2);
    });
}

/// Something that is done before a change is seen by whoever has seen the change's version, without the lock.
fn publication<C: Cell>() {
    loom::model(|| {
        let [owner, reader] = sessions::<C, 2>();
        let start = reader.units.0.version();
        let storage = Arc::new(AtomicU64::new(0));
        let grown = storage.clone();
        let owner = thread::spawn(move || {
            grown.store(1, Ordering::Relaxed);
            owner.units.0.change(|unit| unit.resize(BLOCKS + 1));
        });
        if reader.units.0.version() != start {
            assert_eq!(storage.load(Ordering::Relaxed), 1, "the change is seen before what led to it");
        }
        owner.join().expect("no panic");
    });
}

#[test]
fn a_version_publishes_what_was_done_before_its_change() {
    publication::<Shared<LogicalUnit>>();
}
