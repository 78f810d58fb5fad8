//! SCSI commands: their way in, their status, their tags.

mod support;

use bytes::Bytes;
use iscsicore::scsi::{AdditionalSense, Response, Sense, SenseFormat, SenseKey, Status};
use iscsicore::target::{EndReason, Event};
use iscsicore::wire::{AdditionalHeader, Itt, Lun, RejectReason, Residual, TargetPdu, TaskAttribute};
use iscsicore::{DataList, Misuse, PeerError};
use support::app::{self, App};
use support::flow::Cut;
use support::{Session, Setup};

fn command(session: &mut Session) -> iscsicore::target::Command {
    match session.events().pop() {
        Some(Event::Command(command)) => command,
        other => panic!("a command: {other:?}"),
    }
}

fn sense() -> Response {
    let additional = AdditionalSense { code: 0x24, qualifier: 0 };
    Response::check_condition(&Sense::new(SenseKey::IllegalRequest, additional), SenseFormat::Fixed)
}

// covers: 7143-4.2.1-1 7143-7.1.5-4
#[test]
fn a_conversation() {
    for setup in [Setup::default(), Setup::default().digests()] {
        let mut s = setup.connect();
        let mut app = App::default();
        let payload = app::pattern(1_500_001);
        let cut = Cut::greedy(&s, payload.len());
        let write = s.start_write(&payload, &cut);
        let seen = s.run_write(&mut app, &write, &payload, &cut);
        assert_eq!(app.written[0].1.to_bytes(), payload);
        assert_eq!(seen.response.unwrap().scsi().residual, Residual::None);
        let read = s.read(50_000);
        s.send(read);
        app.serve(&mut s);
        let answers = s.answers();
        let data: Vec<u8> = answers.iter().flat_map(|a| a.data.to_vec()).collect();
        assert_eq!(data, app::pattern(50_000));
        assert!(matches!(answers.last().unwrap().pdu, TargetPdu::DataIn(d) if d.status == Some(0)));
        assert_eq!((s.target.outstanding(), s.target.parameters().error_recovery_level), (0, 0));
    }
}

#[test]
fn a_command_reaches_the_caller_as_it_was_sent() {
    let mut s = Setup::default().connect();
    let mut pdu = s.read(512);
    pdu.lun = Lun::from_number(3).unwrap();
    pdu.attribute = TaskAttribute::HeadOfQueue;
    s.send(pdu);
    let command = command(&mut s);
    assert_eq!((command.lun, command.attribute), (pdu.lun, TaskAttribute::HeadOfQueue));
    assert_eq!((command.data_in, command.data_out), (512, 0));
    assert_eq!(command.cdb.first(), &pdu.cdb);
}

// covers: 7143-11.3.5-1
#[test]
fn the_rest_of_a_long_cdb_comes_from_its_header() {
    let mut s = Setup::default().connect();
    let rest: Vec<u8> = (0..16).collect();
    let mut ahs = Vec::new();
    AdditionalHeader::ExtendedCdb(&rest).emit(&mut ahs);
    let pdu = s.plain();
    s.try_send(pdu.emit(), &ahs, &[]).unwrap();
    let command = command(&mut s);
    assert_eq!((command.cdb.first(), &command.cdb.rest()[..]), (&pdu.cdb, &rest[..]));
}

#[test]
fn a_bidirectional_command_has_both_lengths_and_one_series_of_numbers() {
    let mut s = Setup::default().key("InitialR2T", "Yes").key("ImmediateData", "No").connect();
    let mut ahs = Vec::new();
    AdditionalHeader::BidiReadLen(20_000).emit(&mut ahs);
    let mut pdu = s.write(1000);
    pdu.read = true;
    s.try_send(pdu.emit(), &ahs, &[]).unwrap();
    let command = command(&mut s);
    assert_eq!((command.data_in, command.data_out), (20_000, 1000));
    s.target.accept(command.task, 900).unwrap();
    let TargetPdu::R2t(r2t) = s.answer().pdu else { panic!("an R2T") };
    assert_eq!(r2t.r2t_sn.0, 0);
    let pdus = support::flow::sequence(&pdu, r2t.ttt, 0, 900, &Cut::solicited(8192));
    s.data_out(&pdus, &app::pattern(900));
    assert!(matches!(&s.events()[..], [Event::Data { data, .. }] if data.len() == 900));
    s.target.send_data(command.task, app::pattern(19_000).into()).unwrap();
    s.target.complete(command.task, Response::good(), 900).unwrap();
    let answers = s.answers();
    let numbers: Vec<_> = answers
        .iter()
        .filter_map(|a| match a.pdu {
            TargetPdu::DataIn(d) => {
                // The status of a bidirectional command never travels with data.
                assert_eq!(d.status, None);
                Some(d.data_sn.0)
            }
            _ => None,
        })
        .collect();
    assert_eq!(numbers, [1, 2, 3]);
    let response = answers.last().unwrap().scsi();
    assert_eq!(response.residual, Residual::Underflow(100));
    assert_eq!(response.bidi_read_residual, Residual::Underflow(1000));
    assert_eq!(response.exp_data_sn.0, 4, "three Data-In and one R2T");
}

// covers: 7143-11.7.3-2 7143-11.4.6-1
#[test]
fn a_bidirectional_command_is_answered_with_a_response_even_where_all_went_well() {
    let mut s = Setup::default().connect();
    let mut ahs = Vec::new();
    AdditionalHeader::BidiReadLen(512).emit(&mut ahs);
    let mut pdu = s.write(0);
    pdu.read = true;
    s.try_send(pdu.emit(), &ahs, &[]).unwrap();
    let task = command(&mut s).task;
    s.target.send_data(task, app::pattern(1000).into()).unwrap();
    s.target.complete(task, Response::good(), 0).unwrap();
    let answers = s.answers();
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[0].data.len(), 512);
    assert_eq!(answers[1].scsi().bidi_read_residual, Residual::Overflow(488));
}

// covers: 7143-4.2.2.1-16 7143-4.2.2.2-3
#[test]
fn a_status_acknowledges_its_command() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    for _ in 0..20 {
        let plain = s.plain();
        s.send(plain);
        app.serve(&mut s);
        let answer = s.answer();
        assert_eq!(answer.scsi().itt, plain.itt);
        assert_eq!(answer.scsi().exp_cmd_sn, plain.cmd_sn.next());
        assert_eq!(answer.scsi().stat_sn.next(), s.stat_sn, "StatSN advances by one");
    }
}

// covers: 7143-4.6.1.2-1 7143-10.2-1 7143-11.4.7-1 7143-11.4.7-2 7143-11.7.3-1 7144-5.2.2-1 7144-5.2.2-2
#[test]
fn sense_data_travels_with_the_status_in_a_response_of_its_own() {
    let mut s = Setup::default().connect();
    let read = s.read(4096);
    s.send(read);
    let task = command(&mut s).task;
    s.target.send_data(task, app::pattern(100).into()).unwrap();
    s.target.complete(task, sense(), 100).unwrap();
    let answers = s.answers();
    assert_eq!(answers.len(), 2, "data, then the response: {answers:?}");
    assert!(matches!(answers[0].pdu, TargetPdu::DataIn(d) if d.final_ && d.status.is_none()));
    assert_eq!(answers[1].sense(), (5, 0x24, 0));
    assert_eq!(answers[1].scsi().residual, Residual::Underflow(3996));
}

// covers: 7143-11.4.7-2 7144-5.2.2-2
#[test]
fn check_condition_without_sense_data_is_refused_and_the_task_lives_on() {
    let mut s = Setup::default().connect();
    let plain = s.plain();
    s.send(plain);
    let task = command(&mut s).task;
    let bare = Response::with_status(Status::CHECK_CONDITION);
    assert!(matches!(s.target.complete(task, bare, 0), Err(Misuse::InvalidArgument(_))));
    s.quiet();
    s.target.complete(task, sense(), 0).unwrap();
    assert_eq!(s.answer().sense(), (5, 0x24, 0));
}

// covers: 7144-5.2.1-1
#[test]
fn a_status_other_than_good_has_its_own_response() {
    let mut s = Setup::default().connect();
    let read = s.read(512);
    s.send(read);
    let task = command(&mut s).task;
    s.target.complete(task, Response::with_status(Status::BUSY), 0).unwrap();
    let answer = s.answer();
    assert_eq!((answer.scsi().status, answer.scsi().residual), (0x08, Residual::Underflow(512)));
    assert_eq!(answer.scsi().status_qualifier, 0, "it belongs to iSCSIProtocolLevel 2");
}

// covers: 7143-11.4.5.1-1 7143-11.4.5.2-1 7143-11.4.5.2-2 7143-11.4.5.2-3 7143-11.4.5.2-4
#[test]
fn residuals_of_reads_and_writes() {
    let expectation = [
        (512, 512, Residual::None),
        (512, 100, Residual::Underflow(412)),
        (100, 512, Residual::Overflow(412)),
    ];
    for (expected, moved, residual) in expectation {
        let mut s = Setup::default().connect();
        let mut read = s.read(expected);
        read.cdb = app::cdb(app::READ, moved);
        s.send(read);
        let mut app = App::default();
        app.serve(&mut s);
        let answer = s.answer();
        let TargetPdu::DataIn(data) = answer.pdu else { panic!("data") };
        assert_eq!((data.status, data.residual), (Some(0), residual));
        assert_eq!(answer.data, app::pattern(moved.min(expected) as usize));

        let mut write = s.write(expected);
        write.cdb = app::cdb(app::WRITE, moved);
        s.send_with(write, &app::pattern(expected as usize));
        app.serve(&mut s);
        assert_eq!(app.written[0].1.len(), moved.min(expected) as usize);
        assert_eq!(s.answer().scsi().residual, residual);
    }
}

#[test]
fn the_wrong_direction_moves_nothing_and_is_told_as_a_residual() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    // A read for which the initiator has no buffer.
    let mut read = s.plain();
    read.cdb = app::cdb(app::READ, 512);
    s.send(read);
    app.serve(&mut s);
    let answer = s.answer();
    assert_eq!((answer.scsi().residual, answer.data.len()), (Residual::Overflow(512), 0));
    // A read that the initiator takes for a write.
    let mut read = s.write(512);
    read.cdb = app::cdb(app::READ, 512);
    s.send(read);
    app.serve(&mut s);
    assert!(s.answer().data.is_empty());
    // A write that the initiator takes for a read.
    let mut write = s.read(512);
    write.cdb = app::cdb(app::WRITE, 512);
    s.send(write);
    app.serve(&mut s);
    assert_eq!(app.written[0].1, DataList::new(), "there is no payload to come");
    assert_eq!(s.answer().scsi().status, 0);
}

// covers: 7143-7.3-2
#[test]
fn a_tag_that_is_in_use_is_refused_and_its_number_stays_open() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let first = s.plain();
    s.send(first);
    let Some(Event::Command(running)) = s.target.poll_event() else { panic!("a command") };
    let mut second = s.plain();
    let number = second.cmd_sn;
    second.itt = first.itt;
    s.send(second);
    s.answer().assert_reject(RejectReason::TaskInProgress, &second.emit());
    assert_eq!(s.exp_cmd_sn, number);
    s.no_events();
    // The gap can be filled with the same number.
    second.itt = Itt(999);
    s.send(second);
    app.serve(&mut s);
    assert_eq!(s.answer().scsi().itt, Itt(999));
    // The task that the rejected one would have hurt is alive (RFC 7143 section 7.3).
    s.target.complete(running.task, Response::good(), 0).unwrap();
    assert_eq!(s.answer().scsi().itt, first.itt);
}

// covers: 7143-7.3-1
#[test]
fn a_reject_ends_no_task() {
    let mut s = Setup::default().connect();
    let first = s.plain();
    s.send(first);
    let task = command(&mut s).task;
    let mut text = s.text();
    text.itt = first.itt;
    let mut nop = s.nop(true);
    nop.itt = first.itt;
    let mut management = s.management(iscsicore::wire::TaskManagementFunction::LogicalUnitReset);
    management.itt = first.itt;
    s.send(nop);
    s.answer().assert_reject(RejectReason::TaskInProgress, &nop.emit());
    s.send(management);
    s.answer().assert_reject(RejectReason::TaskInProgress, &management.emit());
    s.send(text);
    s.answer().assert_reject(RejectReason::TaskInProgress, &text.emit());
    s.no_events();
    s.target.complete(task, Response::good(), 0).unwrap();
    assert_eq!(s.answer().scsi().itt, first.itt);
}

#[test]
fn answers_come_in_the_order_of_completion_on_the_connection_of_the_command() {
    let mut s = Setup::default().connect();
    let commands: Vec<_> = (0..4).map(|_| s.plain()).collect();
    commands.iter().for_each(|c| s.send(*c));
    let tasks: Vec<_> = s
        .events()
        .into_iter()
        .map(|e| match e {
            Event::Command(c) => c.task,
            other => panic!("{other:?}"),
        })
        .collect();
    for n in [2, 0, 3, 1] {
        s.target.complete(tasks[n], Response::good(), 0).unwrap();
    }
    let order: Vec<_> = s.answers().iter().map(|a| a.scsi().itt).collect();
    assert_eq!(order, [2, 0, 3, 1].map(|n: usize| commands[n].itt));
}

// covers: 7143-7.7-1 7143-11.3.1-1 7143-11.3.1-2 7143-11.3.4-1 7143-11.3.4-2
#[test]
fn a_format_error_is_told_and_ends_the_session() {
    type Spoil = fn(&mut iscsicore::wire::Bhs);
    let spoils: [(&str, Spoil); 5] = [
        ("neither W nor F", |b| b.0[1] &= 0x1f),
        ("a length without a direction", |b| b.0[1] = 0x80),
        ("F clear though all data is here", |b| (b.0[1], b.0[23]) = (0x20, 0)),
        ("both directions without the read length", |b| b.0[1] = 0xe0),
        ("a reserved tag", |b| b.0[16..20].fill(0xff)),
    ];
    for (what, spoil) in spoils {
        let mut s = Setup::default().connect();
        let running = s.plain();
        s.send(running);
        let task = command(&mut s).task;
        let mut bhs = s.read(512).emit();
        bhs.0[22..24].copy_from_slice(&[0, 200]);
        spoil(&mut bhs);
        let result = s.try_send(bhs, &[], &[]);
        assert!(matches!(result, Err(PeerError::Frame(_))), "{what}: {result:?}");
        s.answer().assert_reject(RejectReason::InvalidPduField, &bhs);
        let events = s.events();
        assert!(matches!(events[..], [Event::Abort { task: t }, Event::Close(_)] if t == task), "{events:?}");
        s.lose();
        s.no_events();
        s.target.complete(task, Response::good(), 0).unwrap();
        assert!(matches!(s.events()[..], [Event::Ended(EndReason::ProtocolError)]), "{what}");
    }
}

#[test]
fn malformed_additional_headers_are_format_errors() {
    let samples: [&[u8]; 4] =
        [&[0, 200, 1, 0, 1, 2, 3, 4], &[0, 1, 1, 0], &[0, 4, 2, 0, 0, 0, 0, 1], &[0xff, 0xff, 1, 0]];
    for ahs in samples {
        let mut s = Setup::default().connect();
        let plain = s.plain();
        let result = s.try_send(plain.emit(), ahs, &[]);
        assert!(matches!(result, Err(PeerError::Frame(_))), "{ahs:?}: {result:?}");
    }
}

// covers: 7143-11-3
#[test]
fn reserved_codes_are_protocol_errors() {
    let mut s = Setup::default().connect();
    for attribute in 5..8 {
        let mut bhs = s.immediate().emit();
        bhs.0[1] = 0x80 | attribute;
        s.try_send(bhs, &[], &[]).unwrap();
        s.answer().assert_reject(RejectReason::ProtocolError, &bhs);
    }
    let plain = s.immediate();
    s.try_send(plain.emit(), &[0, 5, 9, 0, 1, 2, 3, 4], &[]).unwrap();
    assert!(matches!(s.answer().pdu, TargetPdu::Reject(r) if r.reason == RejectReason::ProtocolError));
    let mut bhs = s.logout(iscsicore::wire::LogoutReason::CloseSession).emit();
    bhs.0[1] = 0x83;
    s.try_send(bhs, &[], &[]).unwrap();
    s.answer().assert_reject(RejectReason::ProtocolError, &bhs);
    let mut bhs = iscsicore::wire::Bhs::new(iscsicore::wire::Opcode::SnackRequest);
    bhs.0[1] = 0x84;
    s.try_send(bhs, &[], &[]).unwrap();
    s.answer().assert_reject(RejectReason::ProtocolError, &bhs);
    s.no_events();
    assert_eq!(s.target.outstanding(), 0);
}

// covers: 7143-11-2
#[test]
fn reserved_bits_and_fields_mean_nothing() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let mut command = s.plain().emit();
    command.0[1] |= 0x18;
    command.0[2..4].fill(0xff);
    s.try_send(command, &[], &[]).unwrap();
    app.serve(&mut s);
    assert_eq!(s.answer().scsi().itt, command.itt());
    let mut nop = s.nop(true).emit();
    nop.0[1..4].fill(0xff);
    nop.0[8..16].fill(0xff);
    nop.0[32..48].fill(0xff);
    s.try_send(nop, &[], b"ping").unwrap();
    assert_eq!(s.answer().data, "ping");
    let mut reset = s.management(iscsicore::wire::TaskManagementFunction::TargetWarmReset).emit();
    reset.0[8..16].fill(0xff);
    reset.0[20..24].fill(0xab);
    reset.0[32..48].fill(0xff);
    s.try_send(reset, &[], &[]).unwrap();
    assert!(matches!(s.events()[..], [Event::TaskManagement(_)]));
    let mut logout = s.logout(iscsicore::wire::LogoutReason::CloseSession).emit();
    logout.0[2..4].fill(0xff);
    logout.0[8..16].fill(0xff);
    logout.0[20..24].fill(0xab);
    s.try_send(logout, &[], &[]).unwrap();
    assert!(matches!(s.answer().pdu, TargetPdu::LogoutResponse(r) if r.itt == logout.itt()));
}

#[test]
fn calls_for_tasks_that_are_not_the_callers_are_misuse() {
    let mut s = Setup::default().connect();
    let write = s.write(1000);
    s.send(write);
    let task = command(&mut s).task;
    s.target.accept(task, 1000).unwrap();
    assert!(matches!(s.target.accept(task, 1000), Err(Misuse::WrongState(_))));
    assert!(matches!(s.target.send_data(task, DataList::new()), Err(Misuse::WrongState(_))));
    assert_eq!(s.target.answer_send_targets(task, &[]), Err(Misuse::UnknownTask));
    let complete = iscsicore::wire::TaskManagementResult::Complete;
    assert_eq!(s.target.answer_task_management(task, complete), Err(Misuse::UnknownTask));
    // Ended while its payload is being collected: the R2T is to be answered before the status is sent.
    s.target.complete(task, Response::good(), 0).unwrap();
    assert!(matches!(s.target.complete(task, Response::good(), 0), Err(Misuse::WrongState(_))));
    let TargetPdu::R2t(r2t) = s.answer().pdu else { panic!("an R2T") };
    let pdus = support::flow::sequence(&write, r2t.ttt, 0, 1000, &Cut::solicited(500));
    s.data_out(&pdus, &app::pattern(1000));
    assert_eq!(s.answer().scsi().itt, write.itt);
    assert_eq!(s.target.accept(task, 1), Err(Misuse::UnknownTask));
    assert_eq!(s.target.send_data(task, DataList::new()), Err(Misuse::UnknownTask));
    assert_eq!(s.target.complete(task, Response::good(), 0), Err(Misuse::UnknownTask));
}

#[test]
fn payload_is_not_copied_on_its_way_through() {
    let mut s = Setup::default().connect();
    let payload = app::pattern(16_384);
    let write = s.write(16_384);
    // One owned buffer with header and payload: what arrives is a slice of it.
    let mut wire = bytes::BytesMut::from(
        &{
            let mut bhs = write.emit();
            bhs.set_data_segment_len(16_384);
            bhs.0
        }[..],
    );
    wire.extend_from_slice(&payload);
    let wire: Bytes = wire.freeze();
    s.rx.push(wire.clone()).unwrap();
    s.receive().unwrap();
    let task = command(&mut s).task;
    s.target.accept(task, 16_384).unwrap();
    let events = s.events();
    let [Event::Data { data, .. }] = &events[..] else { panic!("{events:?}") };
    let chunk = data.chunks().next().unwrap();
    assert_eq!((chunk.len(), chunk.as_ptr()), (16_384, wire[48..].as_ptr()));
}
