//! Views decide as the unit does, know when they are stale, and leave to the unit what changes it.

use iscsicore::disk::*;
use iscsicore::scsi::Cdb;
use iscsicore::wire::TaskAttribute;
use proptest::prelude::*;

use crate::fuzz::{any_cdb, block_command, command};
use crate::rig::*;

/// REQUEST SENSE, MODE SELECT, START STOP UNIT and REPORT LUNS: all that a view does not begin.
const OF_THE_UNIT: [u8; 5] = [0x03, 0x15, 0x1b, 0x55, 0xa0];

/// What may happen to a unit beside commands.
#[derive(Clone, Debug)]
enum Happening {
    Attach(NexusId, AttachReason),
    Detach(NexusId),
    Access(NexusId, NexusAccess),
    Port(NexusId, u16),
    Reset(ResetCause),
    Cleared(NexusId, NexusId),
    Terminated(NexusId),
    Resize(u64),
    LunsChanged(NexusId),
    LunsReported(NexusId),
    /// A command that is likely to change something, run to its end.
    Run(NexusId, Vec<u8>, Vec<u8>),
    /// Takes what waits for a nexus.
    Hear(NexusId),
}

fn happen(rig: &mut Rig, happening: &Happening) {
    let unit = &mut rig.unit;
    match happening {
        Happening::Attach(nexus, reason) => unit.attach(*nexus, *reason),
        Happening::Detach(nexus) => unit.detach(*nexus),
        Happening::Access(nexus, access) => unit.set_access(*nexus, *access),
        Happening::Port(nexus, id) => {
            unit.set_port(
                *nexus,
                TargetPort { name: format!("iqn.example:x,t,0x{id:04x}"), relative_id: *id },
            );
        }
        Happening::Reset(cause) => unit.reset(*cause),
        Happening::Cleared(by, of) => unit.tasks_cleared(*by, *of),
        Happening::Terminated(nexus) => unit.tasks_terminated(*nexus),
        Happening::Resize(blocks) => unit.resize(*blocks),
        Happening::LunsChanged(nexus) => unit.luns_changed(*nexus),
        Happening::LunsReported(nexus) => unit.luns_reported(*nexus),
        Happening::Run(nexus, cdb, data) => {
            let _: Reply = rig.run_as(*nexus, cdb, 255, data);
        }
        Happening::Hear(nexus) => {
            for _ in 0..10 {
                let _: Reply = rig.run_as(*nexus, &[0; 6], 0, &[]);
            }
        }
    }
}

/// MODE SELECT of the control page: D_SENSE and SWP.
fn select_control(d_sense: bool, protect: bool) -> (Vec<u8>, Vec<u8>) {
    let page = [0x0a, 0x0a, u8::from(d_sense) << 2 | 2, 0x10, u8::from(protect) << 3, 0, 0, 0, 0, 0, 0, 0];
    (vec![0x15, 0x10, 0, 0, 16, 0], [&[0; 4][..], &page].concat())
}

/// MODE SELECT of the caching page: WCE.
fn select_cache(on: bool) -> (Vec<u8>, Vec<u8>) {
    let mut page = vec![0; 20];
    (page[0], page[1], page[2]) = (0x08, 0x12, u8::from(on) << 2);
    (vec![0x15, 0x10, 0, 0, 24, 0], [vec![0; 4], page].concat())
}

/// Any command; more often than by chance one whose answer tells what a view is made of.
fn any_command() -> impl Strategy<Value = Vec<u8>> {
    let telling = prop::sample::select(vec![
        vec![0x12, 1, 0x83, 2, 0, 0],
        vec![0x1a, 0, 0x3f, 0, 255, 0],
        vec![0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        vec![0; 6],
    ]);
    prop_oneof![2 => any_cdb(), 2 => block_command(), 1 => telling]
}

fn nexus() -> impl Strategy<Value = NexusId> {
    prop::sample::select(vec![ME, OTHER])
}

fn happening() -> impl Strategy<Value = Happening> {
    let cause = prop::sample::select(vec![ResetCause::PowerOn, ResetCause::Target, ResetCause::LogicalUnit]);
    let reason = prop::sample::select(vec![AttachReason::New, AttachReason::Relogin]);
    let access = prop::sample::select(vec![NexusAccess::ReadWrite, NexusAccess::ReadOnly]);
    let run = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(a, b)| select_control(a, b)),
        any::<bool>().prop_map(select_cache),
        (0..6u8).prop_map(|bits| (vec![0x1b, 0, 0, 0, bits, 0], Vec::new())),
        (any_cdb(), Just(vec![0; 24])),
    ];
    prop_oneof![
        1 => (nexus(), reason).prop_map(|(n, r)| Happening::Attach(n, r)),
        1 => nexus().prop_map(Happening::Detach),
        2 => (nexus(), access).prop_map(|(n, a)| Happening::Access(n, a)),
        1 => (nexus(), 1..4u16).prop_map(|(n, id)| Happening::Port(n, id)),
        1 => cause.prop_map(Happening::Reset),
        1 => (nexus(), nexus()).prop_map(|(a, b)| Happening::Cleared(a, b)),
        1 => nexus().prop_map(Happening::Terminated),
        2 => (BLOCKS - 2..BLOCKS + 2).prop_map(Happening::Resize),
        1 => nexus().prop_map(Happening::LunsChanged),
        1 => nexus().prop_map(Happening::LunsReported),
        6 => (nexus(), run).prop_map(|(n, (cdb, data))| Happening::Run(n, cdb, data)),
        6 => nexus().prop_map(Happening::Hear),
    ]
}

fn request(cdb: &Cdb, attribute: TaskAttribute) -> Request<'_> {
    Request { cdb, data_in: 600, data_out: 700, attribute }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever happens, a view whose number is still that of the unit decides as the unit does, the unit does not
    /// count a change for a command that the view has decided, and the view declines no others than it must.
    #[test]
    fn a_view_decides_as_the_unit_does(
        steps in prop::collection::vec(
            (prop::collection::vec(happening(), 0..3), any_command(), nexus(), 0..20u8),
            1..40,
        ),
        thin in any::<bool>(),
        read_only in prop::bool::weighted(0.1),
    ) {
        let mut rig = Rig::with(|c| {
            c.provisioning = if thin { Provisioning::Thin } else { Provisioning::Full };
            c.read_only = read_only;
        });
        let mut kept = [None, None];
        for (happenings, cdb, nexus, attribute) in &steps {
            happenings.iter().for_each(|happening| happen(&mut rig, happening));
            let kept = &mut kept[usize::from(*nexus == OTHER)];
            let changes = rig.unit.changes();
            if !matches!(kept, Some((version, _)) if *version == changes) {
                *kept = rig.unit.view(*nexus).map(|view| (changes, view));
            }
            let cdb = Cdb::from_slice(cdb).unwrap();
            let attribute = if *attribute == 0 { TaskAttribute::Aca } else { TaskAttribute::Simple };
            let request = request(&cdb, attribute);
            let seen = kept.as_ref().map(|(_, view)| view.start(&request));
            let wanted = rig.unit.start(*nexus, &request);
            match seen {
                Some(Some(step)) => {
                    prop_assert_eq!(format!("{step:?}"), format!("{wanted:?}"));
                    prop_assert_eq!(rig.unit.changes(), changes);
                }
                Some(None) => prop_assert!(OF_THE_UNIT.contains(&cdb.opcode()), "{:?}", cdb),
                None => {}
            }
        }
    }

    /// Whole commands: one unit is asked by way of views wherever they answer, its twin always by itself.
    #[test]
    fn a_command_by_views_ends_as_one_by_the_unit(
        commands in prop::collection::vec((command(), prop::option::of(happening())), 1..30),
        fail in prop::option::of((0..4usize, prop::sample::select(vec![IoError::Unsupported, IoError::Other]))),
    ) {
        let (mut one, mut two) = (Rig::new(), Rig::new());
        one.by_views = true;
        for rig in [&mut one, &mut two] {
            rig.fail = fail;
            rig.extents = vec![(700, Allocation::Deallocated), (5000, Allocation::Mapped)];
        }
        for (i, ((cdb, data_in, data_out), happening)) in commands.iter().enumerate() {
            for rig in [&mut one, &mut two] {
                happening.iter().for_each(|happening| happen(rig, happening));
            }
            let nexus = if i % 3 == 0 { OTHER } else { ME };
            let replies = [&mut one, &mut two].map(|rig| rig.run_as(nexus, cdb, *data_in, data_out));
            prop_assert_eq!(&replies[0], &replies[1]);
            prop_assert_eq!(&one.ops, &two.ops);
            prop_assert_eq!(one.unit.changes(), two.unit.changes());
        }
        prop_assert!(one.store == two.store);
    }
}

/// Every command that there is, on a unit in its usual state: a view begins it and the unit with the same step, or the
/// command is one of those that change the unit.
#[test]
fn every_row_of_the_table_has_its_place() {
    for provisioning in [Provisioning::Thin, Provisioning::Full] {
        let mut rig = Rig::with(|c| c.provisioning = provisioning);
        let list = data(&rig.get(&[0xa3, 0x0c, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]));
        let mut declined = Vec::new();
        for entry in list[4..].chunks(8) {
            let mut cdb = vec![entry[0], entry[3]];
            cdb.resize(usize::from(entry[7]), 0);
            let len = cdb.len();
            if matches!(len, 6 | 10 | 12 | 16) {
                // A count or a length, where the command has one at the usual place; bits that it has not are refused
                // by both.
                cdb[match len {
                    6 => 4,
                    10 => 8,
                    12 => 9,
                    _ => 13,
                }] = 1;
            }
            let cdb = Cdb::from_slice(&cdb).unwrap();
            let request = request(&cdb, TaskAttribute::Simple);
            let changes = rig.unit.changes();
            let seen = rig.unit.view(ME).expect("nothing waits").start(&request);
            let wanted = rig.unit.start(ME, &request);
            match seen {
                Some(step) => {
                    assert_eq!(format!("{step:?}"), format!("{wanted:?}"));
                    assert_eq!(rig.unit.changes(), changes);
                }
                None => declined.push(entry[0]),
            }
        }
        assert_eq!(declined, OF_THE_UNIT);
    }
}

#[test]
fn while_an_attention_waits_there_is_no_view() {
    let mut rig = Rig::new();
    let before = rig.unit.changes();
    rig.unit.luns_changed(ME);
    assert!(rig.unit.changes() > before, "views of before are stale");
    assert!(rig.unit.view(ME).is_none() && rig.unit.view(OTHER).is_some());
    let waiting = rig.unit.changes();
    assert_eq!(sense(&rig.get(&[0; 6])), (6, 0x3f0e));
    assert!(rig.unit.view(ME).is_some());
    assert_eq!(rig.unit.changes(), waiting, "hearing of it makes nobody's view stale");
}

#[test]
fn what_changes_nothing_counts_as_no_change() {
    let mut rig = Rig::new();
    rig.unit.set_access(ME, NexusAccess::ReadOnly);
    let before = rig.unit.changes();
    rig.unit.set_access(ME, NexusAccess::ReadOnly);
    rig.unit.set_access(NexusId(77), NexusAccess::ReadOnly);
    rig.unit.resize(BLOCKS);
    rig.unit.luns_changed(NexusId(77));
    rig.unit.luns_reported(ME);
    rig.unit.tasks_cleared(ME, ME);
    rig.unit.detach(NexusId(77));
    assert_good(&rig.get(&[0x1b, 0, 0, 0, 1, 0]));
    let (cdb, list) = select_control(false, false);
    assert_good(&rig.put(&cdb, &list));
    assert_eq!(rig.unit.changes(), before);
}

/// A task goes on with a view of its own nexus alone.
#[test]
fn a_view_gives_back_what_is_not_its_own() {
    let mut rig = Rig::new();
    let cdb = Cdb::from_slice(&block_cdb(0x2a, 0, 0, 1)).unwrap();
    let Step::NeedData { task, .. } = rig.unit.start(ME, &request(&cdb, TaskAttribute::Simple)) else {
        panic!()
    };
    let other = rig.unit.view(OTHER).unwrap();
    let Err((task, with)) = other.resume(task, Resume::Data(list(&[1; 512]))) else { panic!() };
    let mine = rig.unit.view(ME).unwrap();
    assert!(matches!(mine.resume(task, with), Ok(Step::Io { op: Op::Write { .. }, .. })));
}

/// A write that went to the cache, and ends when the cache has been turned off, is not acknowledged from the cache.
#[test]
fn turning_the_cache_off_overtakes_writes_that_run() {
    for opcode in [0x2a, 0x41] {
        let mut rig = Rig::new();
        let cdb = Cdb::from_slice(&block_cdb(opcode, 0, 0, 1)).unwrap();
        let start = Request { data_out: 512, ..request(&cdb, TaskAttribute::Simple) };
        let Step::NeedData { task, .. } = rig.unit.start(ME, &start) else { panic!() };
        let step = rig.unit.resume(task, Resume::Data(list(&[1; 512])));
        let Step::Io { op: Op::Write { fua: false, .. }, task } = step else { panic!("{step:?}") };
        let (select, page) = select_cache(false);
        assert_good(&rig.run_as(OTHER, &select, 0, &page));
        let Step::Io { op: Op::Flush, task } = rig.unit.resume(task, Resume::Io(Outcome::Done)) else {
            panic!()
        };
        let Step::Done(reply) = rig.unit.resume(task, Resume::Io(Outcome::Done)) else { panic!() };
        assert_good(&reply);
        assert_eq!(reply.transfer_len, 512);
    }
}
