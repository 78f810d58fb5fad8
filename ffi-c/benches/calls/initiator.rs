//! The initiator's side: it logs in as any would; then the same reads are sent again and again, with new numbers.

use core::time::Duration;

use bytes::{Buf, Bytes};
use iscsicore::Limits;
use iscsicore::initiator::{Event, LoginRequestConfig, commands};
use iscsicore::link::{Receiver, Transmitter};
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::nexus::{Nexus, NexusConfig, NexusEvent, ReconnectPolicy};
use iscsicore::node::IscsiName;
use iscsicore::wire::{Isid, Lun};

use crate::ends::{ADDRESS, End, NOW, TARGET};

/// READ commands of one batch, as they go over the wire.
pub(crate) struct Reads {
    bytes: Vec<u8>,
    depth: usize,
    /// The answers of one batch: a header and 4 KiB for each.
    answer: usize,
}

const HEADER: usize = 48;
const BLOCKS: u32 = 8;

impl Reads {
    /// Logs in, takes the unit attention that waits, and makes the first batch, which is answered.
    pub(crate) fn begin(end: &mut impl End, depth: usize) -> Self {
        let limits = Limits::default();
        let mut offer = Offer::default();
        (offer.header_digest, offer.data_digest) = (DigestOffer::NoneOnly, DigestOffer::NoneOnly);
        let name = |text| IscsiName::parse(text).expect("a name");
        let login = LoginRequestConfig {
            initiator: name("iqn.2025-01.org.example:me"),
            initiator_alias: None,
            target: Some(name(TARGET)),
            isid: Isid([0x80, 1, 2, 3, 4, 5]),
            credentials: None,
            offer,
        };
        let reconnect = ReconnectPolicy::default();
        let config = NexusConfig { address: ADDRESS.into(), login, reconnect, limits: limits.clone() };
        let mut nexus = Nexus::new(config, [9; 32], NOW);
        let (mut rx, mut tx) = (Receiver::new(&limits), Transmitter::new());
        let wish = nexus.poll_event();
        assert!(matches!(wish, Some(NexusEvent::Dial { .. })), "{wish:?}");
        nexus.connected(NOW);
        let mut ready = commands::test_unit_ready(Lun(0));
        ready.timeout = Some(Duration::from_secs(60));
        nexus.submit(NOW, ready).expect("room for a command");
        let mut done = false;
        for _ in 0..20 {
            nexus.transmit(NOW, &mut tx);
            end.feed(&tx.copy_to_bytes(tx.remaining()));
            rx.push(Bytes::from(end.answers())).expect("whole PDUs");
            nexus.receive(NOW, &mut rx).expect("a target that keeps to the protocol");
            while let Some(event) = nexus.poll_event() {
                done |= matches!(event, NexusEvent::Session(Event::Completed { .. }));
            }
        }
        assert!(done && nexus.is_up(), "no session");
        for index in 0..depth {
            let read = commands::read(Lun(0), index as u64 * u64::from(BLOCKS), BLOCKS, 512);
            nexus.submit(NOW, read.expect("a command")).expect("room for a command");
        }
        nexus.transmit(NOW, &mut tx);
        let bytes = tx.copy_to_bytes(tx.remaining()).to_vec();
        assert_eq!(bytes.len(), depth * HEADER, "headers alone");
        let answer = depth * (HEADER + 512 * BLOCKS as usize);
        let mut reads = Reads { bytes, depth, answer };
        reads.send(end);
        reads
    }

    /// Sends the batch, and takes the answers.
    fn send(&mut self, end: &mut impl End) {
        end.feed(&self.bytes);
        assert_eq!(end.discard(), self.answer, "each read is answered in one PDU");
    }

    /// Sends the next batch: the same with the numbers that follow.
    pub(crate) fn next(&mut self, end: &mut impl End) {
        // Initiator task tag, CmdSN, ExpStatSN (RFC 7143 section 11.3).
        for header in self.bytes.chunks_exact_mut(HEADER) {
            for at in [16, 24, 28] {
                let number: [u8; 4] = header[at..at + 4].try_into().expect("four bytes");
                let next = u32::from_be_bytes(number).wrapping_add(self.depth as u32);
                header[at..at + 4].copy_from_slice(&next.to_be_bytes());
            }
        }
        self.send(end);
    }
}
