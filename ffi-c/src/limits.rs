//! Bounds, and what is negotiated.

use core::ffi::c_int;
use core::time::Duration;

use iscsicore::Limits;
use iscsicore::login::{DigestOffer, Offer, Parameters};

use crate::options::{Options, end_of, read_optional};
use crate::status::Failure;

/// A point in time that never comes: what functions that tell a deadline write when there is none, and, as a length of time
/// in options, "no limit".
pub const ISCSICORE_NEVER: u64 = u64::MAX;

/// A yes or no with a default, for options.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_choice {
    /// As the library thinks best.
    Default = 0,
    /// Yes.
    Yes = 1,
    /// No.
    No = 2,
}

/// Reads a choice.
pub(crate) fn choice(value: c_int, what: &'static str, default: bool) -> Result<bool, Failure> {
    match value {
        0 => Ok(default),
        1 => Ok(true),
        2 => Ok(false),
        _ => Err(Failure::invalid(format!("{what} is {value}, which is no iscsicore_choice"))),
    }
}

/// Bounds on what one connection or session may hold, and for how long. Nothing that a peer sends makes the library hold
/// more. Set `size` to sizeof(iscsicore_limits); every field that is 0 has its default. Times are in nanoseconds.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_limits {
    /// sizeof(iscsicore_limits).
    pub size: usize,
    /// Bytes of text that one step of a login takes from a peer. Default: 16 KiB.
    pub login_text_bytes: usize,
    /// Bytes of text that one Text exchange of a session takes. Default: 64 KiB.
    pub text_bytes: usize,
    /// Bytes of text that one answer may grow to. Default: 256 KiB.
    pub text_answer_bytes: usize,
    /// Bytes of solicited Data-Out that R2Ts of one session ask for at a time. Default: 16 MiB.
    pub solicited_bytes: usize,
    /// Bytes of Data-In and other answers that may wait for a connection. Default: 8 MiB.
    pub transmit_bytes: usize,
    /// Bytes of additional header segments in one PDU. Default: 260.
    pub ahs_bytes: usize,
    /// Bytes of one read buffer. Default: 128 KiB.
    pub read_buffer: usize,
    /// Login Requests that one connection may send. Default: 64.
    pub login_pdus: u32,
    /// Largest data segment before the login is complete, in bytes. Default: 8192 (RFC 7143 section 13.12).
    pub login_segment: u32,
    /// Commands of one session that may be outstanding. Default: 128.
    pub queue_depth: u32,
    /// Immediate requests beyond the command window. Default: 16.
    pub immediate_requests: u32,
    /// Data segments of at least so many bytes are read straight into the memory that they are for. Default: 32 KiB.
    pub slot_bytes: u32,
    /// Not used; 0.
    pub reserved: u32,
    /// Time for a login. Default: 15 s.
    pub login_timeout: u64,
    /// Silence after which the peer is pinged. Default: 30 s. ISCSICORE_NEVER turns pings off.
    pub ping_interval: u64,
    /// Time that the peer has to show life after a ping. Default: 30 s.
    pub ping_timeout: u64,
    /// Time that a peer which has never answered a ping has. Default: 600 s.
    pub ping_grace: u64,
    /// Time that a target has to answer a task management function, a text request or a logout. Default: 10 s.
    pub management_timeout: u64,
    /// Time that an abort waits for payload which the initiator still owes. Default: 3 s.
    pub abort_data_timeout: u64,
}

// SAFETY: numbers alone.
unsafe impl Options for iscsicore_limits {
    const NAME: &'static str = "iscsicore_limits";
    const FIRST_SIZE: usize = end_of!(Self, abort_data_timeout);
}

const _: () = assert!(end_of!(iscsicore_limits, abort_data_timeout) == size_of::<iscsicore_limits>());

/// Reads limits; NULL is all defaults.
///
/// # Safety
/// As for [`read_optional`].
pub(crate) unsafe fn limits(pointer: *const iscsicore_limits) -> Result<Limits, Failure> {
    let mut limits = Limits::default();
    // SAFETY: the caller's promise.
    let Some(given) = unsafe { read_optional(pointer) }? else { return Ok(limits) };
    if given.reserved != 0 {
        return Err(Failure::invalid("iscsicore_limits: reserved is not 0"));
    }
    set(&mut limits.login_text_bytes, given.login_text_bytes);
    set(&mut limits.text_bytes, given.text_bytes);
    set(&mut limits.text_answer_bytes, given.text_answer_bytes);
    set(&mut limits.solicited_bytes, given.solicited_bytes);
    set(&mut limits.transmit_bytes, given.transmit_bytes);
    set(&mut limits.ahs_bytes, given.ahs_bytes);
    set(&mut limits.login_pdus, given.login_pdus);
    set(&mut limits.login_segment, given.login_segment);
    set(&mut limits.queue_depth, given.queue_depth);
    set(&mut limits.immediate_requests, given.immediate_requests);
    set(&mut limits.slot_bytes, given.slot_bytes);
    bounded(&mut limits.read_buffer, given.read_buffer, "read_buffer", 4096, 64 << 20)?;
    set_time(&mut limits.login_timeout, given.login_timeout);
    set_time(&mut limits.ping_timeout, given.ping_timeout);
    set_time(&mut limits.ping_grace, given.ping_grace);
    set_time(&mut limits.management_timeout, given.management_timeout);
    set_time(&mut limits.abort_data_timeout, given.abort_data_timeout);
    match given.ping_interval {
        ISCSICORE_NEVER => limits.ping_interval = Duration::ZERO,
        interval => set_time(&mut limits.ping_interval, interval),
    }
    Ok(limits)
}

fn set<T: Default + PartialEq>(field: &mut T, value: T) {
    if value != T::default() {
        *field = value;
    }
}

fn bounded(
    field: &mut usize,
    value: usize,
    what: &'static str,
    least: usize,
    most: usize,
) -> Result<(), Failure> {
    if value != 0 && !(least..=most).contains(&value) {
        return Err(Failure::invalid(format!("{what} is {value}; it can be {least} to {most}")));
    }
    set(field, value);
    Ok(())
}

fn set_time(field: &mut Duration, nanos: u64) {
    if nanos != 0 {
        *field = Duration::from_nanos(nanos);
    }
}

/// Whether header or data digests are used (RFC 7143 section 13.1).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_digest {
    /// As the library thinks best: a target prefers CRC32C where the initiator offers it.
    Default = 0,
    /// No digest.
    None = 1,
    /// Either, rather none.
    PreferNone = 2,
    /// Either, rather CRC32C.
    PreferCrc32c = 3,
    /// CRC32C, or no connection.
    Crc32c = 4,
}

/// What this end wants, or accepts at most, for the operational keys of RFC 7143 section 13. Set `size` to
/// sizeof(iscsicore_offer); every field that is 0 has its default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_offer {
    /// sizeof(iscsicore_offer).
    pub size: usize,
    /// HeaderDigest: an iscsicore_digest.
    pub header_digest: c_int,
    /// DataDigest: an iscsicore_digest.
    pub data_digest: c_int,
    /// InitialR2T, an iscsicore_choice: whether this end insists on an R2T before any Data-Out. Default: no.
    pub initial_r2t: c_int,
    /// ImmediateData, an iscsicore_choice: whether this end allows data in command PDUs. Default: yes.
    pub immediate_data: c_int,
    /// MaxRecvDataSegmentLength that this end declares, 512 to 2^24 - 1 bytes. Default: 256 KiB.
    pub max_segment: u32,
    /// MaxBurstLength, 512 to 2^24 - 1 bytes. Default: 1 MiB.
    pub max_burst: u32,
    /// FirstBurstLength, 512 to 2^24 - 1 bytes. Default: 256 KiB.
    pub first_burst: u32,
    /// MaxOutstandingR2T. Default: 16.
    pub max_outstanding_r2t: u16,
    /// DefaultTime2Wait in seconds, 0 to 3600.
    pub time2wait: u16,
    /// DefaultTime2Retain in seconds, 0 to 3600.
    pub time2retain: u16,
    /// Not used; 0.
    pub reserved: u16,
    /// Not used; 0.
    pub reserved2: u32,
}

// SAFETY: numbers alone.
unsafe impl Options for iscsicore_offer {
    const NAME: &'static str = "iscsicore_offer";
    const FIRST_SIZE: usize = end_of!(Self, reserved2);
}

const _: () = assert!(end_of!(iscsicore_offer, reserved2) == size_of::<iscsicore_offer>());

/// Reads an offer; NULL is all defaults.
///
/// # Safety
/// As for [`read_optional`].
pub(crate) unsafe fn offer(pointer: *const iscsicore_offer) -> Result<Offer, Failure> {
    let mut offer = Offer::default();
    // SAFETY: the caller's promise.
    let Some(given) = unsafe { read_optional(pointer) }? else { return Ok(offer) };
    if given.reserved != 0 || given.reserved2 != 0 {
        return Err(Failure::invalid("iscsicore_offer: reserved is not 0"));
    }
    offer.header_digest = digest(given.header_digest, "header_digest")?;
    offer.data_digest = digest(given.data_digest, "data_digest")?;
    offer.initial_r2t = choice(given.initial_r2t, "initial_r2t", offer.initial_r2t)?;
    offer.immediate_data = choice(given.immediate_data, "immediate_data", offer.immediate_data)?;
    for (field, value, what) in [
        (&mut offer.max_segment, given.max_segment, "max_segment"),
        (&mut offer.max_burst, given.max_burst, "max_burst"),
        (&mut offer.first_burst, given.first_burst, "first_burst"),
    ] {
        if value != 0 && !(512..1 << 24).contains(&value) {
            return Err(Failure::invalid(format!("{what} is {value}; it can be 512 to 16777215")));
        }
        set(field, value);
    }
    for (value, what) in [(given.time2wait, "time2wait"), (given.time2retain, "time2retain")] {
        if value > 3600 {
            return Err(Failure::invalid(format!("{what} is {value}; it can be 0 to 3600")));
        }
    }
    offer.time2wait = given.time2wait;
    offer.time2retain = given.time2retain;
    set(&mut offer.max_outstanding_r2t, given.max_outstanding_r2t);
    if offer.first_burst > offer.max_burst {
        return Err(Failure::invalid("first_burst is more than max_burst (RFC 7143 section 13.14)"));
    }
    Ok(offer)
}

fn digest(value: c_int, what: &'static str) -> Result<DigestOffer, Failure> {
    match value {
        0 => Ok(DigestOffer::default()),
        1 => Ok(DigestOffer::NoneOnly),
        2 => Ok(DigestOffer::PreferNone),
        3 => Ok(DigestOffer::PreferCrc32c),
        4 => Ok(DigestOffer::Crc32cOnly),
        _ => Err(Failure::invalid(format!("{what} is {value}, which is no iscsicore_digest"))),
    }
}

/// What a login agreed on. Its size never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct iscsicore_parameters {
    /// Whether headers carry a CRC32C.
    pub header_digest: bool,
    /// Whether data segments carry a CRC32C.
    pub data_digest: bool,
    /// InitialR2T.
    pub initial_r2t: bool,
    /// ImmediateData.
    pub immediate_data: bool,
    /// The longest data segment that the peer may send to this end, in bytes.
    pub local_max_segment: u32,
    /// The longest data segment that this end may send, in bytes.
    pub peer_max_segment: u32,
    /// MaxBurstLength, in bytes.
    pub max_burst: u32,
    /// FirstBurstLength, in bytes.
    pub first_burst: u32,
    /// MaxOutstandingR2T.
    pub max_outstanding_r2t: u16,
    /// DefaultTime2Wait, in seconds.
    pub time2wait: u16,
    /// DefaultTime2Retain, in seconds.
    pub time2retain: u16,
    /// ErrorRecoveryLevel.
    pub error_recovery_level: u8,
    /// 0; room for what later versions tell.
    pub reserved: [u32; 8],
}

impl From<&Parameters> for iscsicore_parameters {
    fn from(agreed: &Parameters) -> Self {
        iscsicore_parameters {
            header_digest: agreed.header_digest,
            data_digest: agreed.data_digest,
            initial_r2t: agreed.initial_r2t,
            immediate_data: agreed.immediate_data,
            local_max_segment: agreed.local_max_segment,
            peer_max_segment: agreed.peer_max_segment,
            max_burst: agreed.max_burst,
            first_burst: agreed.first_burst,
            max_outstanding_r2t: agreed.max_outstanding_r2t,
            time2wait: agreed.time2wait,
            time2retain: agreed.time2retain,
            error_recovery_level: agreed.error_recovery_level,
            reserved: [0; 8],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zeroed<T: Options>() -> T {
        let zeroes = vec![0u64; size_of::<T>().div_ceil(8)];
        // SAFETY: any bytes are a value of options.
        unsafe { zeroes.as_ptr().cast::<T>().read() }
    }

    #[test]
    fn zeroes_are_the_defaults() {
        let mut given: iscsicore_limits = zeroed();
        given.size = size_of::<iscsicore_limits>();
        // SAFETY: it has the size that it says.
        assert_eq!(unsafe { limits(&raw const given) }.unwrap(), Limits::default());
        given.ping_interval = ISCSICORE_NEVER;
        given.queue_depth = 3;
        // SAFETY: as above.
        let read = unsafe { limits(&raw const given) }.unwrap();
        assert_eq!((read.ping_interval, read.queue_depth), (Duration::ZERO, 3));
        given.read_buffer = 1;
        // SAFETY: as above.
        assert!(unsafe { limits(&raw const given) }.is_err());
    }

    #[test]
    fn an_offer_is_held_to_what_the_keys_can_say() {
        let mut given: iscsicore_offer = zeroed();
        given.size = size_of::<iscsicore_offer>();
        // SAFETY: it has the size that it says.
        let read = |given: &iscsicore_offer| unsafe { offer(&raw const *given) };
        assert_eq!(read(&given).unwrap(), Offer::default());
        for (change, message) in [
            (iscsicore_offer { header_digest: 5, ..given }, "header_digest is 5"),
            (iscsicore_offer { data_digest: -1, ..given }, "data_digest is -1"),
            (iscsicore_offer { immediate_data: 3, ..given }, "immediate_data is 3"),
            (iscsicore_offer { max_segment: 511, ..given }, "max_segment is 511"),
            (iscsicore_offer { max_burst: 1 << 24, ..given }, "max_burst is 16777216"),
            (iscsicore_offer { time2wait: 3601, ..given }, "time2wait is 3601"),
            (iscsicore_offer { max_burst: 512, first_burst: 1024, ..given }, "first_burst is more"),
            (iscsicore_offer { reserved: 1, ..given }, "reserved"),
        ] {
            let failure = read(&change).unwrap_err();
            assert!(failure.message.contains(message), "{failure:?}");
        }
    }
}
