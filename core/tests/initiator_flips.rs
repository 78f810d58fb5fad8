//! A legal conversation with one bit of it wrong, for every bit: with digests nothing damaged is ever believed, and without
//! them a damaged header costs an error at most.
#![allow(missing_docs)]

mod initiator_support;
mod pair_support;

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use initiator_support::Script;
use iscsicore::DataList;
use iscsicore::initiator::{Command, Event, Outcome, Sink};
use iscsicore::login::DigestOffer;
use iscsicore::scsi::Status;
use iscsicore::session::SendTargets;
use iscsicore::wire::{AsyncEvent, DataIn, DataSn, Itt, Residual, ScsiResponse, Ttt};
use pair_support::commands::{pattern, plain};
use pair_support::{Feed, Setup};

const LEN: u32 = 1024;
const HALF: u32 = LEN / 2;

/// Bytes of a target on their way to the initiator, one bit of which is turned over.
struct Flipper {
    script: Script,
    /// Which bit, counted from the start of the conversation.
    bit: usize,
    passed: usize,
    /// Bits of headers only.
    headers_only: bool,
}

impl Flipper {
    fn send(&mut self, bytes: &Bytes) {
        if self.script.near.is_over() {
            return;
        }
        let countable = if self.headers_only { bytes.len().min(48) } else { bytes.len() } * 8;
        let mut bytes = BytesMut::from(&bytes[..]);
        if (self.passed..self.passed + countable).contains(&self.bit) {
            let at = self.bit - self.passed;
            bytes[at / 8] ^= 0x80 >> (at % 8);
        }
        self.passed += countable;
        self.script.give(&bytes.freeze());
    }

    fn data_in(&mut self, header: DataIn) {
        let bytes = &pattern(LEN as usize)[header.offset as usize..][..HALF as usize];
        let bytes = self.script.encode(header.emit(), bytes);
        self.send(&bytes);
    }

    fn good(&mut self, itt: Itt, data_sn: u32) {
        let good = ScsiResponse { exp_data_sn: DataSn(data_sn), ..self.script.good(itt) };
        let bytes = self.script.encode(good.emit(), &[]);
        self.send(&bytes);
    }

    /// The tag of the command that the initiator sends next, if it still sends any.
    fn submit(&mut self, command: Command) -> (iscsicore::link::TaskId, Itt) {
        let task = self.script.near.submit(self.script.now, command);
        let bytes = self.script.near.take(self.script.now);
        let itt = bytes.get(16..20).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        self.script.exp_cmd_sn = self.script.exp_cmd_sn.next();
        (task, Itt(itt))
    }

    fn take(&mut self) {
        let _ = self.script.near.take(self.script.now);
    }
}

fn command(data_in: u32, data_out: Vec<u8>, sink: Sink) -> Command {
    let timeout = Some(Duration::from_secs(10));
    Command { data_in, data_out: DataList::from(data_out), sink, timeout, ..plain(&[0xc1]) }
}

/// A read, a write, a text answer, a ping and an asynchronous message; returns how many bits the target sent.
fn converse(setup: &Setup, sink: Sink, bit: usize, headers_only: bool) -> usize {
    let mut flipper = Flipper { script: Script::with(setup), bit, passed: 0, headers_only };
    let (read, itt) = flipper.submit(command(LEN, Vec::new(), sink));
    let first = DataIn { final_: false, ..flipper.script.data_in(itt, 0, 0) };
    flipper.data_in(first);
    let last = flipper.script.last_data_in(itt, 1, HALF);
    flipper.data_in(last);

    let (write, itt) = flipper.submit(command(0, pattern(LEN as usize), sink));
    for sn in 0..2 {
        let r2t = flipper.script.r2t(itt, sn, sn * HALF, HALF);
        let bytes = flipper.script.encode(r2t.emit(), &[]);
        flipper.send(&bytes);
        flipper.take();
    }
    flipper.good(itt, 0);

    let asked = flipper.script.near.initiator.send_targets(flipper.script.now, SendTargets::All);
    let request = flipper.script.near.take(flipper.script.now);
    let itt = request.get(16..20).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
    let response = flipper.script.text_response(Itt(itt), Ttt::RESERVED).emit();
    let bytes = flipper.script.encode(response, b"TargetName=iqn.2026-11.example:a\0");
    flipper.send(&bytes);

    let ping = flipper.script.ping(77).emit();
    let bytes = flipper.script.encode(ping, &[]);
    flipper.send(&bytes);
    flipper.take();
    let message = flipper.script.message(AsyncEvent::Scsi).emit();
    let bytes = flipper.script.encode(message, &[0, 2, 0x70, 0]);
    flipper.send(&bytes);
    flipper.take();

    // Whatever is left ends when its time is over.
    flipper.script.later(Duration::from_secs(70_000));
    let near = &mut flipper.script.near;
    let done = near.done.remove(&read).expect("a command ends once");
    if let Outcome::Answered(answer) = &done.outcome
        && (answer.status, answer.residual) == (Status::GOOD, Residual::None)
    {
        let got = if sink == Sink::Collect { answer.data.to_bytes().to_vec() } else { done.memory };
        assert!(got == pattern(LEN as usize), "bit {bit}: a wrong answer");
    }
    let written = near.done.remove(&write).expect("a command ends once").outcome;
    for event in &near.events {
        if let Event::Targets { request, result: Ok(targets) } = event
            && !headers_only
        {
            assert_eq!(Ok(*request), asked, "bit {bit}");
            assert!(
                targets.len() == 1 && targets[0].name == "iqn.2026-11.example:a",
                "bit {bit}: {targets:?}"
            );
        }
    }
    // Without the damage all went well.
    if bit == usize::MAX {
        assert!(matches!(written, Outcome::Answered(a) if a.status == Status::GOOD));
        assert!(near.events.iter().any(|event| matches!(event, Event::Targets { result: Ok(_), .. })));
    }
    flipper.passed
}

fn setup(digests: bool, feed: Feed) -> Setup {
    let mut setup = Setup { feed, ..Setup::default() }.both(|offer| {
        let digest = if digests { DigestOffer::Crc32cOnly } else { DigestOffer::NoneOnly };
        (offer.header_digest, offer.data_digest) = (digest, digest);
        (offer.initial_r2t, offer.immediate_data) = (true, false);
    });
    setup.near_limits.ping_interval = Duration::ZERO;
    setup
}

#[test]
fn with_digests_no_damage_is_ever_believed() {
    for (sink, feed) in [(Sink::Collect, Feed::Owned), (Sink::Slots, Feed::Lent)] {
        let setup = setup(true, feed);
        let bits = converse(&setup, sink, usize::MAX, false);
        // A bit of every byte, another one each time.
        for byte in 0..bits / 8 {
            converse(&setup, sink, byte * 8 + byte % 8, false);
        }
    }
}

#[test]
fn without_digests_a_damaged_header_costs_an_error_at_most() {
    for (sink, feed) in [(Sink::Collect, Feed::Owned), (Sink::Slots, Feed::Lent)] {
        let setup = setup(false, feed);
        let bits = converse(&setup, sink, usize::MAX, true);
        assert_eq!(bits, 8 * 48 * 8, "every header");
        for bit in 0..bits {
            converse(&setup, sink, bit, true);
        }
    }
}
