//! What a completed login hands over; the conversations themselves are tested from outside.

use bytes::Bytes;

use super::*;
use crate::login::Offer;
use crate::wire::{Bhs, Isid};

fn config(target: Option<&str>) -> LoginRequestConfig {
    let name = |name: &str| IscsiName::parse(name).expect("a name");
    LoginRequestConfig {
        initiator: name("iqn.2024-01.com.example:host"),
        initiator_alias: None,
        target: target.map(name),
        isid: Isid([0x40, 0, 1, 0x37, 0, 5]),
        credentials: None,
        offer: Offer::default(),
    }
}

/// A target that goes wherever it is asked to, and says `texts`.
fn logged_in(config: LoginRequestConfig, texts: [&str; 2]) -> Outgoing {
    let limits = Limits::default();
    let mut rx = Receiver::new(&limits);
    let mut outgoing = Outgoing::new(config, limits, [3; 32], Instant::ZERO);
    for (stat_sn, text) in [u32::MAX, 0].into_iter().zip(texts) {
        let (request, _) = outgoing.outbox.take().expect("a request");
        let response = LoginResponse {
            transit: true,
            continued: false,
            csg: request.csg,
            nsg: request.nsg,
            version_max: 0,
            version_active: 0,
            isid: request.isid,
            tsih: Tsih(0xbeef),
            itt: request.itt,
            stat_sn: StatSn(stat_sn),
            exp_cmd_sn: request.cmd_sn,
            max_cmd_sn: request.cmd_sn.plus(9),
            status: LoginStatus::SUCCESS,
        };
        let text: Vec<u8> = text.split(' ').flat_map(|pair| [pair.as_bytes(), &[0]].concat()).collect();
        let Bhs(header) = {
            let mut bhs = response.emit();
            bhs.set_data_segment_len(text.len() as u32);
            bhs
        };
        let mut bytes = [&header[..], &text].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        rx.push(Bytes::from(bytes)).expect("a receiver that goes on");
        outgoing.receive(Instant::ZERO, &mut rx).expect("a login that is fine");
    }
    assert_eq!(outgoing.poll_event(), Some(OutgoingEvent::Ready));
    outgoing
}

#[test]
fn a_normal_session_gets_all_that_the_target_told() {
    let texts = ["TargetPortalGroupTag=0x10 TargetAlias=disk", "MaxBurstLength=65536"];
    let outgoing = logged_in(config(Some("iqn.2024-01.com.example:disk")), texts);
    let first = CmdSn(Entropy::new([3; 32]).word());
    let attached = outgoing.finish().expect("a complete login");
    assert_eq!((attached.tsih, attached.cid), (Tsih(0xbeef), CID));
    assert_eq!(attached.session_type, SessionType::Normal);
    assert_eq!(attached.parameters.max_burst, 65_536);
    assert_eq!(attached.portal_group_tag, Some(16));
    assert_eq!(attached.target_alias.as_deref(), Some("disk"));
    // The first command has the number that the login had; two statuses came, of 2**32 - 1 and 0.
    assert_eq!((attached.cmd_sn, attached.max_cmd_sn), (first, first.plus(9)));
    assert_eq!(attached.exp_stat_sn, StatSn(1));
}

// Targets are to tell their portal group; nothing depends on it here, and some do not.
#[test]
fn a_target_need_not_tell_its_portal_group() {
    for target in [None, Some("iqn.2024-01.com.example:disk")] {
        let attached = logged_in(config(target), ["AuthMethod=None", "DataDigest=None"]).finish();
        let attached = attached.expect("a complete login");
        assert_eq!((attached.portal_group_tag, attached.target_alias), (None, None));
        let discovery = attached.session_type == SessionType::Discovery;
        assert_eq!(discovery, target.is_none());
    }
}

#[test]
fn a_login_that_is_not_complete_hands_nothing_over() {
    let outgoing = Outgoing::new(config(None), Limits::default(), [3; 32], Instant::ZERO);
    assert!(!outgoing.is_ready() && outgoing.finish().is_none());
}
