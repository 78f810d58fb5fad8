//! The payload of a write as an initiator sends it: immediate, unsolicited, and in answer to R2Ts.

use iscsicore::wire::{DataOut, DataSn, R2t, ScsiCommand, StatSn, TargetPdu, Ttt};

use super::app::App;
use super::{Answer, Session};

/// How an initiator cuts its payload.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Bytes of immediate data.
    pub immediate: usize,
    /// End of the unsolicited data, if there are Data-Out PDUs of it.
    pub unsolicited: Option<usize>,
    /// Bytes of a Data-Out PDU.
    pub segment: usize,
    /// Whether the PDUs of a sequence go out in another order than that of their offsets.
    pub shuffled: bool,
}

impl Cut {
    /// As much unsolicited data as the parameters of the session allow.
    pub fn greedy(session: &Session, len: usize) -> Cut {
        let p = session.target.parameters();
        let first = (p.first_burst as usize).min(len);
        let segment = p.local_max_segment as usize;
        let immediate = if p.immediate_data { first.min(segment) } else { 0 };
        let unsolicited = (!p.initial_r2t && first > immediate).then_some(first);
        Cut { immediate, unsolicited, segment, shuffled: !p.data_pdu_in_order }
    }

    /// Nothing but what R2Ts ask for.
    pub fn solicited(segment: usize) -> Cut {
        Cut { immediate: 0, unsolicited: None, segment, shuffled: false }
    }
}

/// The Data-Out PDUs that carry `start..end`.
pub fn sequence(
    command: &ScsiCommand,
    ttt: Ttt,
    start: usize,
    end: usize,
    cut: &Cut,
) -> Vec<(DataOut, usize)> {
    let mut offsets: Vec<usize> = (start..end).step_by(cut.segment).collect();
    if cut.shuffled {
        offsets.reverse();
        let len = offsets.len();
        offsets.rotate_left(len / 3);
    }
    let last = offsets.len() - 1;
    let pdu = |(n, at): (usize, usize)| {
        let pdu = DataOut {
            final_: n == last,
            lun: command.lun,
            itt: command.itt,
            ttt,
            exp_stat_sn: StatSn(0),
            data_sn: DataSn(n as u32),
            offset: at as u32,
        };
        (pdu, cut.segment.min(end - at))
    };
    offsets.into_iter().enumerate().map(pdu).collect()
}

/// What was seen while a write ran.
#[derive(Default, Debug)]
pub struct Seen {
    pub r2ts: Vec<R2t>,
    pub most_outstanding: usize,
    pub response: Option<Answer>,
}

impl Session {
    pub fn data_out(&mut self, pdus: &[(DataOut, usize)], payload: &[u8]) {
        for (pdu, len) in pdus {
            let at = pdu.offset as usize;
            self.send_with(*pdu, &payload[at..at + len]);
        }
    }

    /// Starts a write: the command, and its unsolicited data.
    pub fn start_write(&mut self, payload: &[u8], cut: &Cut) -> ScsiCommand {
        let mut command = self.write(payload.len() as u32);
        command.final_ = cut.unsolicited.is_none();
        self.send_with(command, &payload[..cut.immediate]);
        if let Some(end) = cut.unsolicited {
            let pdus = sequence(&command, Ttt::RESERVED, cut.immediate, end, cut);
            self.data_out(&pdus, payload);
        }
        command
    }

    /// Runs a started write to its end, as an obedient initiator does.
    pub fn run_write(&mut self, app: &mut App, command: &ScsiCommand, payload: &[u8], cut: &Cut) -> Seen {
        let mut seen = Seen::default();
        while seen.response.is_none() {
            app.serve(self);
            let answers = self.answers();
            assert!(!answers.is_empty(), "the write came to a halt: {seen:?}");
            let mut outstanding = Vec::new();
            for answer in answers {
                match answer.pdu {
                    TargetPdu::R2t(r2t) => outstanding.push(r2t),
                    TargetPdu::ScsiResponse(_) => seen.response = Some(answer),
                    other => panic!("an R2T or the response: {other:?}"),
                }
            }
            seen.most_outstanding = seen.most_outstanding.max(outstanding.len());
            for r2t in outstanding {
                assert_eq!((r2t.itt, r2t.lun), (command.itt, command.lun));
                let end = (r2t.offset + r2t.len.get()) as usize;
                let pdus = sequence(command, r2t.ttt, r2t.offset as usize, end, cut);
                self.data_out(&pdus, payload);
                seen.r2ts.push(r2t);
            }
        }
        seen
    }
}
