//! An initiator that does not mean well, or whose bytes are damaged: no panic, no endless loop, no growth without
//! bound.

mod support;

use bytes::Bytes;
use iscsicore::PeerError;
use iscsicore::target::Event;
use iscsicore::wire::{
    Bhs, DataOut, DataSn, Itt, Opcode, RejectReason, StatSn, TargetPdu, TaskManagementFunction, Ttt,
};
use proptest::prelude::*;
use support::app::{self, App};
use support::flow::{Cut, sequence};
use support::{Session, Setup, drain};

#[test]
fn opcodes_that_do_not_exist_or_belong_to_targets_are_refused() {
    let mut s = Setup::default().connect();
    for code in 0..0x40u8 {
        let known = matches!(code, 0x00..=0x06 | 0x10);
        let mut bhs = Bhs::new(Opcode::from_code(code));
        bhs.set_immediate();
        if known {
            continue;
        }
        s.try_send(bhs, &[], &[]).unwrap();
        s.answer().assert_reject(RejectReason::CommandNotSupported, &bhs);
    }
    let login = Bhs::new(Opcode::LoginRequest);
    s.try_send(login, &[], &[]).unwrap();
    s.answer().assert_reject(RejectReason::ProtocolError, &login);
    let mut app = App::default();
    let plain = s.plain();
    s.send(plain);
    app.serve(&mut s);
    s.answer();
}

/// Sends `what` until the target stops reading, with nobody reading its answers; returns how often.
fn flood(s: &mut Session, mut what: impl FnMut(&mut Session)) -> usize {
    s.deaf = true;
    for n in 0.. {
        if matches!(s.rx.want(), iscsicore::link::Want::Answer) {
            return n;
        }
        assert!(n < 200_000, "there is no end to it");
        what(s);
        s.answers();
    }
    unreachable!()
}

fn small() -> Setup {
    Setup::default().limits(|l| (l.transmit_bytes, l.solicited_bytes) = (64 * 1024, 64 * 1024))
}

#[test]
fn a_flood_of_pings_that_nobody_hears_the_answers_of_is_bounded() {
    let ping = Bytes::from(vec![0; 8192]);
    let mut s = small().connect();
    flood(&mut s, |s| {
        let nop = s.nop(true);
        s.send_owned(nop, ping.clone());
    });
    assert!(s.tx.queued() < 150_000, "{} bytes", s.tx.queued());
    // Without payload, too.
    let mut s = small().connect();
    flood(&mut s, |s| {
        let nop = s.nop(true);
        s.send(nop);
    });
    assert!(s.tx.queued() < 150_000, "{} bytes", s.tx.queued());
}

#[test]
fn a_flood_of_nonsense_is_bounded() {
    let mut s = small().connect();
    flood(&mut s, |s| {
        s.try_send(Bhs::new(Opcode::Unknown(0x3f)), &[], &[]).unwrap();
    });
    assert!(s.tx.queued() < 200_000, "{} bytes", s.tx.queued());
}

#[test]
fn a_flood_of_immediate_commands_is_bounded() {
    let mut s = small().connect();
    flood(&mut s, |s| {
        let plain = s.immediate();
        s.send(plain);
    });
    assert_eq!(s.target.outstanding(), 16);
}

#[test]
fn a_flood_of_data_for_an_aborted_task_leaves_no_trace() {
    let mut s = small().connect();
    let mut app = App::default();
    let write = s.write(1 << 20);
    s.send(write);
    app.serve(&mut s);
    let TargetPdu::R2t(r2t) = s.answer().pdu else { panic!("an R2T") };
    let reset = s.management(TaskManagementFunction::AbortTaskSet);
    s.send(reset);
    app.serve(&mut s);
    let data = app::pattern(4096);
    for n in 0..20_000u32 {
        let pdu = DataOut {
            final_: false,
            lun: write.lun,
            itt: write.itt,
            ttt: r2t.ttt,
            exp_stat_sn: StatSn(0),
            data_sn: DataSn(n),
            offset: 0,
        };
        s.send_owned(pdu, data.clone());
        // Not that one either.
        s.send_owned(DataOut { ttt: Ttt(99), ..pdu }, data.clone());
    }
    s.quiet();
    s.no_events();
    assert_eq!(s.target.outstanding(), 2);
}

#[test]
fn an_r2t_that_is_never_answered_holds_no_more_than_its_task() {
    let mut s = small().limits(|l| l.queue_depth = 16).connect();
    let mut app = App::default();
    let writes: Vec<_> = (0..16).map(|_| s.write(60_000)).collect();
    writes.iter().for_each(|w| s.send(*w));
    app.serve(&mut s);
    assert_eq!(s.answers().len(), 1, "the others wait for room");
    // The others go on when it is aborted.
    let abort = s.abort_of(&writes[0]);
    s.send(abort);
    app.serve(&mut s);
    let answers = s.answers();
    assert!(
        answers.iter().any(|a| matches!(a.pdu, TargetPdu::R2t(r) if r.itt == writes[1].itt)),
        "{answers:?}"
    );
    s.lose();
    app.serve(&mut s);
    assert_eq!(s.target.outstanding(), 0);
}

#[test]
fn a_sequence_of_empty_pdus_without_an_end_holds_nothing() {
    let mut s = Setup::default().key("InitialR2T", "No").connect();
    let mut app = App::default();
    let mut write = s.write(4096);
    write.final_ = false;
    s.send(write);
    app.serve(&mut s);
    let mut pdu = sequence(&write, Ttt::RESERVED, 0, 4096, &Cut::solicited(4096))[0].0;
    pdu.final_ = false;
    for n in 0..10_000 {
        pdu.data_sn = DataSn(n);
        s.data_out(&[(pdu, 0)], &[]);
    }
    s.quiet();
    let abort = s.abort_of(&write);
    s.send(abort);
    s.answer();
}

#[test]
fn pieces_ahead_of_a_gap_are_bounded() {
    let setup = Setup::default().offer(|o| o.data_pdu_in_order = false).key("DataPDUInOrder", "No");
    let mut s = setup.key("InitialR2T", "No").key("FirstBurstLength", 65_536).connect();
    let mut app = App::default();
    let mut write = s.write(10_000);
    write.final_ = false;
    s.send(write);
    app.serve(&mut s);
    // All of it comes, byte by byte, but every other one first.
    for n in 0..10_000u32 {
        let pdu = DataOut {
            final_: n == 9999,
            lun: write.lun,
            itt: write.itt,
            ttt: Ttt::RESERVED,
            exp_stat_sn: StatSn(0),
            data_sn: DataSn(n),
            offset: if n < 5000 { 2 * n + 1 } else { 2 * (n - 5000) },
        };
        s.send_with(pdu, &[1]);
    }
    assert_eq!(s.answer().sense(), (0x0b, 0x0c, 0x0d));
}

/// One PDU of a conversation, with its payload, and damage to be done to it.
#[derive(Clone, Debug)]
struct Step {
    kind: u8,
    len: u16,
    tag: u8,
    sn: i8,
    flags: u8,
    damage: Option<(u8, u8)>,
    app: u8,
}

fn step() -> impl Strategy<Value = Step> {
    let damage = proptest::option::weighted(0.1, (0..48u8, any::<u8>()));
    (0..9u8, 0..3000u16, 0..6u8, -3..4i8, any::<u8>(), damage, any::<u8>())
        .prop_map(|(kind, len, tag, sn, flags, damage, app)| Step { kind, len, tag, sn, flags, damage, app })
}

/// The header of a step: nearly right.
fn header(s: &mut Session, step: &Step) -> (Bhs, Vec<u8>) {
    let (itt, len) = (Itt(u32::from(step.tag)), u32::from(step.len));
    let immediate = step.flags & 1 > 0;
    let mut data = vec![0; usize::from(step.len)];
    let mut bhs = match step.kind {
        0 => s.read(len).emit(),
        1 => {
            let mut write = s.write(len.saturating_mul(1 + u32::from(step.flags >> 6)));
            write.final_ = step.flags & 2 > 0;
            if step.flags & 4 > 0 {
                data.clear();
            }
            write.emit()
        }
        2 => s.plain().emit(),
        3 => {
            let functions = [1u8, 2, 4, 5, 6, 7, 8];
            let function = TaskManagementFunction::from_code(functions[usize::from(step.flags >> 3) % 7]);
            let mut request = s.management(function);
            request.referenced_itt = Itt(u32::from(step.flags & 7));
            request.ref_cmd_sn =
                iscsicore::wire::CmdSn(s.cmd_sn.0.wrapping_add(step.sn as u32).wrapping_sub(2));
            data.clear();
            request.emit()
        }
        4 => {
            data = b"SendTargets=\0MaxRecvDataSegmentLength=700\0"[..usize::from(step.len) % 43].to_vec();
            let mut text = s.text();
            (text.final_, text.continued) = (step.flags & 2 > 0, step.flags & 6 == 4);
            text.ttt = if step.flags & 8 > 0 { Ttt(u32::from(step.flags >> 4)) } else { Ttt::RESERVED };
            text.emit()
        }
        5 => s.nop(immediate).emit(),
        6 if step.flags > 250 => {
            data.clear();
            s.logout(iscsicore::wire::LogoutReason::CloseSession).emit()
        }
        _ => DataOut {
            final_: step.flags & 2 > 0,
            lun: Default::default(),
            itt,
            ttt: if step.flags & 4 > 0 { Ttt::RESERVED } else { Ttt(u32::from(step.flags >> 3) % 8) },
            exp_stat_sn: StatSn(0),
            data_sn: DataSn(u32::from(step.app) % 3),
            offset: u32::from(step.flags >> 4) * 512,
        }
        .emit(),
    };
    bhs.0[16..20].copy_from_slice(&itt.0.to_be_bytes());
    if immediate && step.kind < 3 {
        bhs.set_immediate();
    }
    if step.sn > 2 && step.kind < 6 {
        let sn = s.cmd_sn.plus(u32::from(step.tag));
        bhs.0[24..28].copy_from_slice(&sn.0.to_be_bytes());
    }
    if let Some((at, value)) = step.damage {
        bhs.0[usize::from(at)] ^= value;
    }
    (bhs, data)
}

/// The application: answers now, later, or wrongly.
#[derive(Default)]
struct Careless {
    tasks: Vec<iscsicore::link::TaskId>,
    events: usize,
}

impl Careless {
    fn act(&mut self, s: &mut Session, whim: u8) {
        while let Some(event) = s.target.poll_event() {
            self.events += 1;
            match event {
                Event::Command(command) => {
                    self.tasks.push(command.task);
                    if whim & 1 > 0 && command.data_out > 0 {
                        s.target.accept(command.task, command.data_out / (1 + u32::from(whim & 2))).unwrap();
                    }
                    if whim & 4 > 0 && command.data_in > 0 {
                        let _ = s.target.send_data(command.task, app::pattern(usize::from(whim) * 20).into());
                    }
                }
                Event::SendTargets { request, .. } if whim & 8 > 0 => {
                    s.target.answer_send_targets(request, &[]).unwrap();
                }
                Event::TaskManagement(request) if whim & 16 > 0 => {
                    let result = iscsicore::wire::TaskManagementResult::Complete;
                    s.target.answer_task_management(request.request, result).unwrap();
                }
                _ => {}
            }
        }
        if whim & 32 > 0 {
            for task in self.tasks.drain(..) {
                let _ = s.target.complete(task, iscsicore::scsi::Response::good(), u32::from(whim));
            }
        }
    }
}

/// Whatever happened, the session ends once everybody lets go.
fn finish(mut s: Session, mut careless: Careless) {
    s.target.terminate(s.now);
    careless.act(&mut s, 32);
    s.lose();
    careless.act(&mut s, 32);
    careless.act(&mut s, 32);
    assert_eq!(s.target.outstanding(), 0);
    assert!(careless.events < 10_000);
    assert_eq!(s.target.poll_timeout(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn nearly_valid_conversations_never_panic_and_always_end(
        steps in proptest::collection::vec(step(), 1..60),
        no in any::<bool>(),
    ) {
        let setup = Setup::default()
            .offer(|o| o.data_pdu_in_order = no)
            .key("InitialR2T", if no { "No" } else { "Yes" })
            .key("DataPDUInOrder", if no { "Yes" } else { "No" })
            .key("FirstBurstLength", 1024)
            .key("MaxBurstLength", 2048);
        let mut s = setup.connect();
        let mut careless = Careless::default();
        for step in &steps {
            let (bhs, data) = header(&mut s, step);
            let result = s.try_send(bhs, &[], &data);
            prop_assert!(matches!(result, Ok(()) | Err(PeerError::Frame(_))), "{:?}", result);
            s.answers();
            careless.act(&mut s, step.app);
            s.answers();
            if step.app == 255 {
                s.later(31);
            }
            if result.is_err() {
                break;
            }
        }
        finish(s, careless);
    }

    #[test]
    fn random_headers_never_panic(
        headers in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 48), 1..20),
        discovery in any::<bool>(),
    ) {
        let mut s = if discovery { Setup::discovery().connect() } else { Setup::default().connect() };
        let mut careless = Careless::default();
        for header in headers {
            let mut bhs = Bhs([0; 48]);
            bhs.0.copy_from_slice(&header);
            // A CmdSN in the window, most of the time.
            if header[47] > 20 {
                bhs.0[24..28].copy_from_slice(&s.cmd_sn.0.to_be_bytes());
            }
            let len = usize::from(header[7]);
            if s.try_send(bhs, &[], &vec![0; len]).is_err() {
                break;
            }
            s.answers();
            careless.act(&mut s, header[0]);
        }
        finish(s, careless);
    }

    #[test]
    fn a_stream_means_the_same_however_it_is_cut(cuts in proptest::collection::vec(1..400usize, 1..40)) {
        let conversation = |cuts: &[usize]| {
            let mut s = Setup::default().digests().key("InitialR2T", "No").key("FirstBurstLength", 4096).connect();
            let payload = app::pattern(3000);
            let mut bytes = Vec::new();
            let mut write = s.write(3000);
            write.final_ = false;
            let (read, nop, text) = (s.read(700), s.nop(false), s.text());
            let plain = s.plain();
            let abort = s.abort_of(&plain);
            s.encoder.push(write.emit(), payload.slice(..500).into());
            s.encoder.push(read.emit(), Default::default());
            for (pdu, len) in sequence(&write, Ttt::RESERVED, 500, 3000, &Cut::solicited(600)) {
                let at = pdu.offset as usize;
                s.encoder.push(pdu.emit(), payload.slice(at..at + len).into());
            }
            s.encoder.push(nop.emit(), payload.slice(..11).into());
            s.encoder.push(text.emit(), Bytes::from_static(b"SendTargets=\0").into());
            s.encoder.push(plain.emit(), Default::default());
            s.encoder.push(abort.emit(), Default::default());
            bytes.extend_from_slice(&drain(&mut s.encoder));
            let (mut at, mut n) = (0, 0);
            while at < bytes.len() {
                let end = (at + cuts[n % cuts.len()]).min(bytes.len());
                s.rx.push(Bytes::copy_from_slice(&bytes[at..end])).unwrap();
                s.receive().unwrap();
                (at, n) = (end, n + 1);
            }
            let mut app = App::default();
            app.serve(&mut s);
            assert_eq!(app.written[0].1.to_bytes(), payload);
            let answers: Vec<_> = s.answers().into_iter().map(|a| (a.bhs, a.data)).collect();
            (format!("{:?} {:?}", app.commands, app.other), answers)
        };
        prop_assert_eq!(conversation(&cuts), conversation(&[usize::MAX >> 1]));
    }
}
