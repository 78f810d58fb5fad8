//! Payload to the initiator: how it is cut, and the status that travels with it.

mod support;

use iscsicore::scsi::{Response, Status};
use iscsicore::target::Event;
use iscsicore::wire::{DataIn, Residual, TargetPdu};
use iscsicore::{DataList, Misuse};
use support::app::{self, App};
use support::{Answer, Session, Setup};

fn data_in(answer: &Answer) -> DataIn {
    match answer.pdu {
        TargetPdu::DataIn(data) => data,
        other => panic!("data: {other:?}"),
    }
}

/// Checks that Data-In PDUs follow each other as they must; returns their payload.
fn check_sequence(answers: &[Answer], segment: u32, burst: u32) -> Vec<u8> {
    let (mut payload, mut in_burst) = (Vec::new(), 0);
    for (n, answer) in answers.iter().enumerate() {
        let pdu = data_in(answer);
        assert_eq!((pdu.data_sn.0, pdu.offset as usize), (n as u32, payload.len()));
        assert!(!answer.data.is_empty() && answer.data.len() <= segment as usize);
        assert!(!pdu.acknowledge && pdu.ttt.is_reserved() && pdu.lun.0 == 0);
        in_burst += answer.data.len() as u32;
        assert!(in_burst <= burst);
        let last = n + 1 == answers.len();
        assert_eq!(pdu.final_, last || in_burst == burst, "F ends a sequence and nothing else");
        assert!(pdu.final_ || answer.data.len() % 4 == 0, "whole words");
        assert_eq!(answer.bhs.0[24..28] == [0; 4], pdu.status.is_none(), "StatSN is reserved without status");
        if pdu.final_ {
            in_burst = 0;
        }
        payload.extend_from_slice(&answer.data);
    }
    payload
}

// covers: 7143-4.2.2.4-1 7143-4.2.2.4-2 7143-11.7.1-2 7143-11.7.2-2 7143-11.7.3-3 7143-11.7.4-1 7143-11.7.7-2 7143-13.19-1
#[test]
fn every_length_is_cut_into_sequences_of_whole_segments() {
    for segment in [512, 513, 8192, 10_000] {
        for burst in [512, 1000, 8192, 30_001] {
            let mut s = Setup::default()
                .key("MaxRecvDataSegmentLength", segment)
                .key("MaxBurstLength", burst)
                .key("FirstBurstLength", 512)
                .connect();
            let mut app = App::default();
            for len in [1, 3, 511, 512, 513, 1024, 8192, 8193, 30_001, 65_536] {
                let read = s.read(len);
                s.send(read);
                app.serve(&mut s);
                let answers = s.answers();
                assert_eq!(check_sequence(&answers, segment, burst), app::pattern(len as usize));
                let last = data_in(answers.last().unwrap());
                assert_eq!(
                    (last.status, last.residual),
                    (Some(0), Residual::None),
                    "the status comes with the data"
                );
            }
        }
    }
}

fn start_read(s: &mut Session, len: u32) -> iscsicore::link::TaskId {
    let read = s.read(len);
    s.send(read);
    match s.target.poll_event() {
        Some(Event::Command(command)) => command.task,
        other => panic!("a command: {other:?}"),
    }
}

#[test]
fn pieces_of_any_size_are_joined_into_full_segments() {
    let payload = app::pattern(50_000);
    for piece in [1, 3, 500, 4096, 8191, 8193, 49_999] {
        let mut s = Setup::default().connect();
        let task = start_read(&mut s, 50_000);
        for at in (0..50_000).step_by(piece) {
            let end = (at + piece).min(50_000);
            s.target.send_data(task, DataList::from(payload.slice(at..end))).unwrap();
        }
        s.target.complete(task, Response::good(), 50_000).unwrap();
        let answers = s.answers();
        assert_eq!(check_sequence(&answers, 8192, 262_144), payload);
        assert_eq!(answers.len(), 7, "no PDU is smaller than it need be");
    }
}

#[test]
fn what_fills_a_segment_does_not_wait_for_the_rest() {
    let mut s = Setup::default().connect();
    let task = start_read(&mut s, 20_000);
    s.target.send_data(task, app::pattern(10_000).into()).unwrap();
    assert_eq!(s.answer().data.len(), 8192);
    s.target.send_data(task, app::pattern(10_000).into()).unwrap();
    assert_eq!(s.answer().data.len(), 8192);
    s.target.complete(task, Response::good(), 20_000).unwrap();
    assert_eq!(s.answer().data.len(), 20_000 - 2 * 8192);
}

#[test]
fn more_than_the_initiator_takes_is_counted_and_not_sent() {
    let mut s = Setup::default().connect();
    let task = start_read(&mut s, 10_000);
    for _ in 0..3 {
        s.target.send_data(task, app::pattern(9000).into()).unwrap();
    }
    s.target.complete(task, Response::good(), 0).unwrap();
    let answers = s.answers();
    assert_eq!(check_sequence(&answers, 8192, 262_144).len(), 10_000);
    assert_eq!(data_in(answers.last().unwrap()).residual, Residual::Overflow(17_000));
}

// covers: 7143-11.4.8-1
#[test]
fn a_read_without_data_has_a_response_that_counts_none() {
    let mut s = Setup::default().connect();
    let task = start_read(&mut s, 4096);
    s.target.send_data(task, DataList::new()).unwrap();
    s.target.complete(task, Response::good(), 0).unwrap();
    let answer = s.answer();
    assert_eq!((answer.scsi().exp_data_sn.0, answer.scsi().residual), (0, Residual::Underflow(4096)));
    assert_eq!(s.target.send_data(task, DataList::new()), Err(Misuse::UnknownTask));
}

#[test]
fn a_response_after_data_counts_its_pdus() {
    let mut s = Setup::default().connect();
    let task = start_read(&mut s, 100_000);
    s.target.send_data(task, app::pattern(20_000).into()).unwrap();
    let status = Response::with_status(iscsicore::scsi::Status::TASK_ABORTED);
    s.target.complete(task, status, 0).unwrap();
    let answers = s.answers();
    check_sequence(&answers[..3], 8192, 262_144);
    assert_eq!((answers.len(), answers[3].scsi().exp_data_sn.0), (4, 3));
}

#[test]
fn bytes_are_counted() {
    let mut s = Setup::default().connect();
    let mut app = App::default();
    let (read, write) = (s.read(10_000), s.write(700));
    s.send(read);
    s.send_with(write, &app::pattern(700));
    app.serve(&mut s);
    let counters = s.target.counters();
    assert_eq!((counters.commands, counters.bytes_in, counters.bytes_out), (2, 10_000, 700));
}

/// Ending a command with its last payload in one call sends what the two calls send, header for header, whatever the
/// initiator expected and whether or not it fits one PDU.
#[test]
fn complete_with_is_send_data_and_complete() {
    for expected in [0, 4, 512, 4096, 8192, 20_000] {
        for len in [0, 1, 512, 4095, 4096, 8192, 8193, 20_000, 30_000] {
            for transfer_len in [0, len, len + 512] {
                for response in [Response::good(), Response::with_status(Status::BUSY)] {
                    let payload = app::pattern(len as usize);
                    let answers = [false, true].map(|at_once| {
                        let mut s = Setup::default().connect();
                        let read = s.read(expected);
                        s.send(read);
                        let task = match s.events().pop() {
                            Some(Event::Command(command)) => command.task,
                            other => panic!("a command: {other:?}"),
                        };
                        let (data, response) = (DataList::from(payload.clone()), response.clone());
                        if at_once {
                            s.target.complete_with(task, data, response, transfer_len).unwrap();
                        } else {
                            s.target.send_data(task, data).unwrap();
                            s.target.complete(task, response, transfer_len).unwrap();
                        }
                        assert_eq!(s.target.outstanding(), 0);
                        let answers = s.answers();
                        (
                            answers.into_iter().map(|a| (a.bhs, a.data)).collect::<Vec<_>>(),
                            s.target.counters(),
                        )
                    });
                    assert!(!answers[0].0.is_empty());
                    assert_eq!(answers[0], answers[1], "{len} bytes of {expected}, transfer {transfer_len}");
                }
            }
        }
    }
}
