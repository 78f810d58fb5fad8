use super::*;
use crate::login::Offer;
use crate::wire::{Cid, CmdSn, Isid, Itt};

/// A login in one request, admitted and complete but for its last answer.
fn ready(tsih: Tsih) -> Incoming {
    let limits = Limits::default();
    let mut rx = Receiver::new(&limits);
    let mut incoming = Incoming::new(limits, [7; 32], Instant::ZERO);
    let request = LoginRequest {
        transit: true,
        continued: false,
        csg: Stage::LoginOperationalNegotiation,
        nsg: Some(Stage::FullFeature),
        version_max: 0,
        version_min: 0,
        isid: Isid([1; 6]),
        tsih,
        itt: Itt(9),
        cid: Cid(2),
        cmd_sn: CmdSn(41),
        exp_stat_sn: StatSn(0),
    };
    let text = b"InitiatorName=iqn.2024-01.com.example:a\0TargetName=iqn.2024-01.com.example:b\0HeaderDigest=CRC32C\0\0";
    let mut bhs = request.emit();
    bhs.set_data_segment_len(text.len() as u32);
    let padding = vec![0; text.len().next_multiple_of(4) - text.len()];
    rx.push(Bytes::from([&bhs.0[..], text, &padding].concat())).unwrap();
    incoming.receive(Instant::ZERO, &mut rx).unwrap();
    assert!(matches!(incoming.poll_event(), Some(IncomingEvent::Hello(_))));
    for offer in beyond_what_is_carried_out() {
        let misuse = incoming.admit(terms(offer)).unwrap_err();
        assert!(matches!(misuse, Misuse::InvalidArgument(_)), "{misuse}");
    }
    incoming.admit(terms(Offer::default())).expect("the refusals have changed nothing");
    assert_eq!(incoming.poll_event(), Some(IncomingEvent::Ready));
    incoming
}

fn terms(offer: Offer) -> Admission {
    Admission { authentication: Authentication::None, offer, portal_group_tag: Some(0), target_alias: None }
}

/// Offers that negotiation understands and no session would keep.
fn beyond_what_is_carried_out() -> [Offer; 4] {
    let offer = Offer::default();
    [
        Offer { max_connections: 2, ..offer.clone() },
        Offer { error_recovery_level: 1, ..offer.clone() },
        Offer { task_reporting: crate::login::TaskReporting::ResponseFence, ..offer.clone() },
        Offer { protocol_level: 2, ..offer },
    ]
}

// covers: 7143-11.13.3-1 7143-6.3.2-3 7143-11.12.8-1 7143-6.3-11 7143-7.1.5-2
#[test]
fn the_final_response_has_the_new_handle() {
    let done = ready(Tsih(0)).finish(Tsih(0x77)).unwrap();
    assert_eq!(done.response.tsih, Tsih(0x77));
    assert!(done.response.transit && done.response.status.is_success());
    assert_eq!(done.response.nsg, Some(Stage::FullFeature));
    assert_eq!(done.next_stat_sn, done.response.stat_sn.next());
    assert_eq!((done.exp_cmd_sn, done.response.exp_cmd_sn), (CmdSn(41), CmdSn(41)));
    let text = String::from_utf8(done.text.to_vec()).unwrap();
    assert_eq!(text, "TargetPortalGroupTag=0\0MaxRecvDataSegmentLength=262144\0HeaderDigest=CRC32C\0");
    assert!(done.parameters.header_digest);
    assert_eq!((done.portal_group_tag, done.user), (Some(0), None));
    assert_eq!(done.hello.isid, Isid([1; 6]));
    assert_eq!(done.limits, Limits::default());
}

#[test]
fn a_handle_must_be_the_sessions() {
    assert!(matches!(ready(Tsih(0)).finish(Tsih(0)), Err(Misuse::InvalidArgument(_))));
    assert!(matches!(ready(Tsih(5)).finish(Tsih(6)), Err(Misuse::InvalidArgument(_))));
    assert_eq!(ready(Tsih(5)).finish(Tsih(5)).unwrap().response.tsih, Tsih(5));
    let fresh = Incoming::new(Limits::default(), [0; 32], Instant::ZERO);
    assert!(matches!(fresh.finish(Tsih(1)), Err(Misuse::WrongState(_))));
}

#[test]
fn the_final_response_is_not_sent_before_it_is_finished() {
    let mut incoming = ready(Tsih(0));
    let mut tx = Transmitter::new();
    incoming.transmit(Instant::ZERO, &mut tx);
    assert_eq!(tx.queued(), 0);
    incoming.refuse(LoginStatus::OUT_OF_RESOURCES, "no room").unwrap();
    incoming.transmit(Instant::ZERO, &mut tx);
    assert_eq!(tx.queued(), 48);
}
