//! Who logs in, where to, and on what terms.

use core::ffi::{c_char, c_int};
use core::time::Duration;

use iscsicore::initiator::{Credentials, LoginRequestConfig};
use iscsicore::login::{Account, ChapAlgorithm, Entropy, Secret};
use iscsicore::nexus::{NexusConfig, ReconnectPolicy};
use iscsicore::node::IscsiName;
use iscsicore::wire::Isid;

use crate::limits::{ISCSICORE_NEVER, choice, iscsicore_limits, iscsicore_offer, limits, offer};
use crate::options::{Options, end_of, read as read_options};
use crate::pointer::{optional_text, slice, text};
use crate::status::Failure;

/// Who logs in, where to, and on what terms. Set `size` to sizeof(iscsicore_initiator_options); every other field that is 0
/// or NULL has its default. Everything is copied. Times are in nanoseconds.
///
/// When the connection is lost it is dialed again: at once, then after pauses that double from `first_pause` to
/// `longest_pause`, of which a random part is left out.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_initiator_options {
    /// sizeof(iscsicore_initiator_options).
    pub size: usize,
    /// Where the target is, "host:port"; it comes back as it is with ISCSICORE_NEXUS_EVENT_KIND_DIAL, and is not looked at otherwise.
    /// Required.
    pub address: *const c_char,
    /// InitiatorName: an iSCSI name, "iqn.2001-04.com.example:me". Required.
    pub initiator: *const c_char,
    /// InitiatorAlias; NULL for none.
    pub initiator_alias: *const c_char,
    /// TargetName; NULL makes a discovery session.
    pub target: *const c_char,
    /// The CHAP name of this end; NULL for no authentication.
    pub user: *const c_char,
    /// The CHAP secret of this end: `secret_len` bytes. Less than 12 bytes are weak (RFC 7143 section 9.2.1).
    pub secret: *const u8,
    /// How many.
    pub secret_len: usize,
    /// The CHAP name that the target must prove; NULL when it need not.
    pub target_user: *const c_char,
    /// The CHAP secret that the target must prove: `target_secret_len` bytes, others than those of `secret`.
    pub target_secret: *const u8,
    /// How many.
    pub target_secret_len: usize,
    /// The CHAP algorithms offered, the preferred one first: `chap_algorithm_count` values of iscsicore_chap_algorithm.
    /// None: all. RFC 7143 section 12.1.3 wants MD5 among them.
    pub chap_algorithms: *const c_int,
    /// How many.
    pub chap_algorithm_count: usize,
    /// What this end wants for the operational keys; NULL for the defaults.
    pub offer: *const iscsicore_offer,
    /// Bounds; NULL for the defaults. The receivers of the connections are made with the same ones.
    pub limits: *const iscsicore_limits,
    /// The first pause. Default: 100 ms.
    pub first_pause: u64,
    /// The longest pause. Default: 10 s.
    pub longest_pause: u64,
    /// Time for one attempt, from the dial to the end of the login. Default: 15 s.
    pub attempt_timeout: u64,
    /// Time without a connection after which the nexus ends. Default: ISCSICORE_NEVER.
    pub give_up_after: u64,
    /// An iscsicore_choice: whether a target that wants no authentication is taken although there is a `user`. Default:
    /// no. Never when the target must prove itself.
    pub allow_none: c_int,
    /// An iscsicore_choice: whether to dial again when a connection is lost. Default: yes.
    pub reconnect: c_int,
    /// An iscsicore_choice: whether the very first connection is tried again, too, when it fails for a reason that may pass.
    /// Default: no.
    pub persist_at_first: c_int,
    /// An iscsicore_choice: whether "target not found" may pass once the nexus has been up. Default: yes.
    pub wait_for_missing_target: c_int,
    /// ISID, the initiator's part of the session's name: the same one again takes the place of the old session. All zero:
    /// made of the seed (type "random").
    pub isid: [u8; 6],
    /// Not used; 0.
    pub reserved: u16,
}

// SAFETY: numbers and pointers.
unsafe impl Options for iscsicore_initiator_options {
    const NAME: &'static str = "iscsicore_initiator_options";
    const FIRST_SIZE: usize = end_of!(Self, reserved);
}

const _: () =
    assert!(end_of!(iscsicore_initiator_options, reserved) == size_of::<iscsicore_initiator_options>());

/// Reads options. The seed of the nexus comes back with them: of the one that was given the ISID is made, too.
///
/// # Safety
/// As for [`read_options`]; so are the options within.
pub(crate) unsafe fn read(
    pointer: *const iscsicore_initiator_options,
    seed: [u8; 32],
) -> Result<(NexusConfig, [u8; 32]), Failure> {
    // SAFETY: the caller's promise.
    let given = unsafe { read_options(pointer) }?;
    if given.reserved != 0 {
        return Err(Failure::invalid("iscsicore_initiator_options: reserved is not 0"));
    }
    let mut entropy = Entropy::new(seed);
    let mut seed = [0; 32];
    entropy.fill(&mut seed);
    // SAFETY: the caller's promise.
    let (address, initiator, alias, target) = unsafe {
        (
            text(given.address, "address")?,
            text(given.initiator, "initiator")?,
            optional_text(given.initiator_alias, "initiator_alias")?,
            optional_text(given.target, "target")?,
        )
    };
    if address.is_empty() {
        return Err(Failure::invalid("address is empty"));
    }
    let login = LoginRequestConfig {
        initiator: name(initiator, "initiator")?,
        initiator_alias: alias.map(str::to_owned),
        target: target.map(|target| name(target, "target")).transpose()?,
        isid: if given.isid == [0; 6] { random_isid(&mut entropy) } else { Isid(given.isid) },
        // SAFETY: as above.
        credentials: unsafe { credentials(&given) }?,
        // SAFETY: as above.
        offer: unsafe { offer(given.offer) }?,
    };
    login.check()?;
    let reconnect = policy(&given)?;
    // SAFETY: as above.
    let limits = unsafe { limits(given.limits) }?;
    Ok((NexusConfig { address: address.to_owned(), login, reconnect, limits }, seed))
}

fn name(text: &str, what: &str) -> Result<IscsiName, Failure> {
    IscsiName::parse(text).map_err(|why| Failure::invalid(format!("{what}: {text:?}: {why}")))
}

/// RFC 7143 section 11.12.5: T is 10b, A the rest of the first three bytes, then the qualifier.
fn random_isid(entropy: &mut Entropy) -> Isid {
    let mut isid = [0x80; 6];
    entropy.fill(&mut isid[1..]);
    Isid(isid)
}

/// # Safety
/// The pointers in `given` are as the header describes them.
unsafe fn credentials(given: &iscsicore_initiator_options) -> Result<Option<Credentials>, Failure> {
    // SAFETY: the caller's promise.
    let (user, secret, target_user, target_secret, chosen) = unsafe {
        (
            optional_text(given.user, "user")?,
            slice(given.secret, given.secret_len, "secret")?,
            optional_text(given.target_user, "target_user")?,
            slice(given.target_secret, given.target_secret_len, "target_secret")?,
            slice(given.chap_algorithms, given.chap_algorithm_count, "chap_algorithms")?,
        )
    };
    let allow_none = choice(given.allow_none, "allow_none", false)?;
    let algorithms = algorithms(chosen)?;
    let target = account(target_user, target_secret, "target_user")?;
    let Some(account) = account(user, secret, "user")? else {
        return match target {
            // A target proves itself to an initiator that has done so.
            Some(_) => Err(Failure::invalid("target_user without user")),
            None => Ok(None),
        };
    };
    Ok(Some(Credentials { target, algorithms, allow_none, ..Credentials::new(account) }))
}

fn account(name: Option<&str>, secret: &[u8], what: &str) -> Result<Option<Account>, Failure> {
    match name {
        Some(name) => Ok(Some(Account { name: name.to_owned(), secret: Secret::new(secret) })),
        None if secret.is_empty() => Ok(None),
        None => Err(Failure::invalid(format!("a secret, but no {what}"))),
    }
}

fn algorithms(given: &[c_int]) -> Result<Vec<ChapAlgorithm>, Failure> {
    if given.is_empty() {
        return Ok(ChapAlgorithm::ALL.to_vec());
    }
    let mut algorithms = Vec::new();
    for number in given {
        let known = u64::try_from(*number).ok().and_then(ChapAlgorithm::from_code);
        let known =
            known.ok_or_else(|| Failure::invalid(format!("{number} is no iscsicore_chap_algorithm")))?;
        if algorithms.contains(&known) {
            return Err(Failure::invalid(format!("CHAP algorithm {number} is there twice")));
        }
        algorithms.push(known);
    }
    Ok(algorithms)
}

fn policy(given: &iscsicore_initiator_options) -> Result<ReconnectPolicy, Failure> {
    let mut policy = ReconnectPolicy::default();
    for (field, nanos) in [
        (&mut policy.first_pause, given.first_pause),
        (&mut policy.longest_pause, given.longest_pause),
        (&mut policy.attempt_timeout, given.attempt_timeout),
    ] {
        if nanos != 0 {
            *field = Duration::from_nanos(nanos);
        }
    }
    let limit = given.give_up_after;
    policy.give_up_after = (limit != 0 && limit != ISCSICORE_NEVER).then_some(Duration::from_nanos(limit));
    policy.enabled = choice(given.reconnect, "reconnect", policy.enabled)?;
    policy.persist_at_first = choice(given.persist_at_first, "persist_at_first", policy.persist_at_first)?;
    policy.wait_for_missing_target =
        choice(given.wait_for_missing_target, "wait_for_missing_target", policy.wait_for_missing_target)?;
    Ok(policy)
}
