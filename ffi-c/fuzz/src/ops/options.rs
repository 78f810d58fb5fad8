//! Structs of options: mostly defaults, now and then anything.

use core::ptr::null;

use iscsicore_ffi::host::config::iscsicore_node_limits;
use iscsicore_ffi::limits::{iscsicore_limits, iscsicore_offer};
use iscsicore_ffi::nexus::iscsicore_initiator_options;
use iscsicore_ffi::unit_options::iscsicore_unit_options;

use crate::machine::{ADDRESS, INITIATOR, Machine, SECRET, TARGET};

/// A struct of which all bytes are zero but the size.
pub fn zeroed<T: Copy>() -> T {
    unsafe { core::mem::zeroed() }
}

/// Sizes of memory, which the program chooses so that it has them.
fn bytes(m: &Machine) -> usize {
    m.input.pick(&[0, 0, 0, 0, 1, 512, 4096, 65536, 1 << 20, usize::MAX])
}

pub fn limits(m: &Machine) -> *const iscsicore_limits {
    if m.input.byte() < 128 {
        return null();
    }
    let i = &m.input;
    m.options(iscsicore_limits {
        size: 0,
        login_text_bytes: bytes(m),
        text_bytes: bytes(m),
        text_answer_bytes: bytes(m),
        solicited_bytes: bytes(m),
        transmit_bytes: bytes(m),
        ahs_bytes: i.option() as usize,
        read_buffer: i.pick(&[0, 0, 0, 0, 4096, 5000, 1 << 20, 4095, (64 << 20) + 1]),
        login_pdus: i.option() as u32,
        login_segment: i.option() as u32,
        queue_depth: i.option() as u32,
        immediate_requests: i.option() as u32,
        slot_bytes: i.option() as u32,
        reserved: if i.seldom(64) { 1 } else { 0 },
        login_timeout: i.option(),
        ping_interval: i.option(),
        ping_timeout: i.option(),
        ping_grace: i.option(),
        management_timeout: i.option(),
        abort_data_timeout: i.option(),
    })
}

pub fn offer(m: &Machine) -> *const iscsicore_offer {
    if m.input.byte() < 128 {
        return null();
    }
    let i = &m.input;
    m.options(iscsicore_offer {
        size: 0,
        header_digest: i.int() % 8,
        data_digest: i.int() % 8,
        initial_r2t: i.choice(),
        immediate_data: i.choice(),
        max_segment: i.option() as u32,
        max_burst: i.option() as u32,
        first_burst: i.option() as u32,
        max_outstanding_r2t: i.option() as u16,
        time2wait: i.option() as u16,
        time2retain: i.option() as u16,
        reserved: if i.seldom(64) { 1 } else { 0 },
        reserved2: 0,
    })
}

pub fn node_limits(m: &Machine) -> *const iscsicore_node_limits {
    let i = &m.input;
    m.options(iscsicore_node_limits {
        size: 0,
        sessions: i.option() as u32,
        sessions_per_initiator: i.option() as u32,
        discovery_sessions: i.option() as u32,
        connections_in_login: i.option() as u32,
    })
}

/// A thin disk of 8192 blocks.
pub fn usual_unit(m: &Machine) -> iscsicore_unit_options {
    iscsicore_unit_options { serial: m.words(b"serial"), blocks: 8192, thin: 1, ..zeroed() }
}

pub fn unit(m: &Machine) -> *const iscsicore_unit_options {
    let usual = usual_unit(m);
    if m.input.byte() < 128 {
        return m.options(usual);
    }
    let i = &m.input;
    let text = || if i.byte() < 128 { null() } else { m.text() };
    let (naa, naa_len) = if i.byte() < 160 { (null(), 0) } else { m.bytes(20) };
    m.options(iscsicore_unit_options {
        size: 0,
        serial: m.text(),
        vendor: text(),
        product: text(),
        revision: text(),
        naa,
        naa_len,
        blocks: i.number(),
        block_size: i.pick(&[0, 512, 4096, 1, 520]),
        physical_block_size: i.pick(&[0, 4096, 512, 1 << 31, 3]),
        read_only: i.choice(),
        thin: i.choice(),
        write_cache: i.choice(),
        max_transfer: i.option() as u32,
        chunk: i.option() as u32,
        max_unmap_blocks: i.option() as u32,
        max_unmap_descriptors: i.option() as u32,
        unmap_granularity: i.option() as u32,
        max_write_same_blocks: i.option() as u32,
        task_functions: i.option() as u32,
        reserved: if i.seldom(64) { 1 } else { 0 },
        reserved2: 0,
    })
}

/// An initiator that gets in where the usual configuration says who may.
pub fn usual_initiator(m: &Machine, discovery: bool) -> iscsicore_initiator_options {
    let secret = m.memory.bytes(SECRET);
    iscsicore_initiator_options {
        address: m.words(ADDRESS),
        initiator: m.words(INITIATOR),
        target: if discovery { null() } else { m.words(TARGET) },
        user: m.words(b"user"),
        secret,
        secret_len: SECRET.len(),
        allow_none: 1,
        ..zeroed()
    }
}

pub fn initiator(m: &Machine) -> *const iscsicore_initiator_options {
    let i = &m.input;
    let style = i.byte();
    let mut options = usual_initiator(m, style % 8 == 7);
    if style < 128 {
        options.offer = offer(m);
        return m.options(options);
    }
    let text = |usual| if i.byte() < 192 { usual } else { m.text() };
    options.address = text(options.address);
    options.initiator = text(options.initiator);
    options.initiator_alias = text(null());
    options.target = text(options.target);
    options.user = text(options.user);
    options.target_user = text(null());
    if i.byte() >= 192 {
        (options.secret, options.secret_len) = m.bytes(40);
    }
    if i.byte() >= 192 {
        (options.target_secret, options.target_secret_len) = m.bytes(40);
    }
    options.offer = offer(m);
    options.limits = limits(m);
    options.first_pause = i.option();
    options.longest_pause = i.option();
    options.attempt_timeout = i.option();
    options.give_up_after = i.option();
    if i.byte() >= 192 {
        let chosen: Vec<_> = (0..i.below(6)).map(|_| i.int()).collect();
        (options.chap_algorithms, options.chap_algorithm_count) = (m.memory.list(&chosen), chosen.len());
    }
    options.allow_none = i.choice();
    options.reconnect = i.choice();
    options.persist_at_first = i.choice();
    options.wait_for_missing_target = i.choice();
    if i.byte() >= 192 {
        options.isid = [i.byte(), i.byte(), 0, 1, 2, 3];
    }
    m.options(options)
}
