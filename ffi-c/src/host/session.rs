//! What is told of the sessions of a host.

use core::ffi::c_char;
use std::ffi::CString;

use iscsicore::login::SessionType;
use iscsicore::target::Target;

use super::iscsicore_host;
use crate::boundary::guard;
use crate::handle::lock;
use crate::limits::iscsicore_parameters;
use crate::pointer::out;
use crate::status::{iscsicore_status, text_without_nul};

/// A session of a host, as it was when it was asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_session {
    /// The iSCSI name of the initiator.
    pub initiator: *const c_char,
    /// The initiator's name for people, or NULL.
    pub initiator_alias: *const c_char,
    /// The iSCSI name of the target, or NULL for a discovery session that named none.
    pub target: *const c_char,
    /// The CHAP name that was proved, or NULL.
    pub user: *const c_char,
    /// ISID: the initiator's part of the session's name.
    pub isid: [u8; 6],
    /// TSIH: the target's part of the session's name.
    pub tsih: u16,
    /// The tag of the portal group that the session came by.
    pub portal_group_tag: u16,
    /// Whether it is a discovery session.
    pub discovery: bool,
    /// What was negotiated.
    pub parameters: iscsicore_parameters,
    /// Commands and other requests that are not answered yet.
    pub outstanding: usize,
    /// SCSI commands received.
    pub commands: u64,
    /// Payload bytes received for commands.
    pub bytes_out: u64,
    /// Payload bytes sent for commands.
    pub bytes_in: u64,
    /// Task management functions received.
    pub task_management: u64,
    /// Reject PDUs sent.
    pub rejects: u64,
    /// PDUs with a wrong data digest received.
    pub digest_errors: u64,
}

/// A session as C is shown it, and its strings.
#[derive(Debug)]
pub(super) struct SessionView {
    session: iscsicore_session,
    _strings: [Option<CString>; 4],
}

// SAFETY: the pointers are into the strings, which are in memory of their own.
unsafe impl Send for SessionView {}

impl SessionView {
    fn new(target: &Target) -> Self {
        let (hello, counters) = (target.hello(), target.counters());
        let strings = [
            Some(hello.initiator.as_str()),
            hello.initiator_alias.as_deref(),
            hello.target.as_deref(),
            target.user(),
        ];
        let strings = strings.map(|text| text.map(text_without_nul));
        let [initiator, initiator_alias, target_name, user] =
            strings.each_ref().map(|text| text.as_ref().map_or(core::ptr::null(), |text| text.as_ptr()));
        let session = iscsicore_session {
            initiator,
            initiator_alias,
            target: target_name,
            user,
            isid: hello.isid.0,
            tsih: target.tsih().0,
            portal_group_tag: target.portal_group_tag().unwrap_or_default(),
            discovery: hello.session_type == SessionType::Discovery,
            parameters: target.parameters().into(),
            outstanding: target.outstanding(),
            commands: counters.commands,
            bytes_out: counters.bytes_out,
            bytes_in: counters.bytes_in,
            task_management: counters.task_management,
            rejects: counters.rejects,
            digest_errors: counters.digest_errors,
        };
        SessionView { session, _strings: strings }
    }
}

/// Tells of the session that a connection belongs to, or NULL while it has not logged in, and once its session has ended. What
/// is told is the library's, and lives until the next call of this function on the host.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_session(
    host: *mut iscsicore_host,
    link: u64,
    session: *mut *const iscsicore_session,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut host, place) = unsafe { (lock(host)?, out(session, "session")?) };
        let link = host.link(link)?;
        host.session = host.host.session(link).map(|target| Box::new(SessionView::new(target)));
        place.set(host.session.as_ref().map_or(core::ptr::null(), |view| &raw const view.session));
        Ok(())
    })
}

/// Tells how many sessions there are, of both kinds. A session may be there for a while after its connection was lost: until
/// its jobs are finished.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_session_count(
    host: *mut iscsicore_host,
    count: *mut usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (host, place) = unsafe { (lock(host)?, out(count, "count")?) };
        place.set(host.host.sessions().count());
        Ok(())
    })
}
