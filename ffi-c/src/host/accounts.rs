//! Who may log in: names, and CHAP accounts.

use core::ffi::{c_char, c_int};

use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::node::{ChapAccount, ChapRules, Initiators, IscsiName};

use super::check;
use super::config::{HostConfig, ISCSICORE_DISCOVERY, initiator_name, iscsicore_host_config, locked};
use crate::boundary::guard;
use crate::handle::null;
use crate::pointer::{slice, text};
use crate::status::{Failure, iscsicore_status};

/// A hash function for CHAP, by its number in CHAP_A (RFC 7143 section 12.1.3).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum iscsicore_chap_algorithm {
    /// MD5.
    Md5 = 5,
    /// SHA-1.
    Sha1 = 6,
    /// SHA-256.
    Sha256 = 7,
    /// SHA3-256.
    Sha3_256 = 8,
}

impl HostConfig {
    /// The accounts of a target, or of discovery; there are some from now on.
    fn chap(&mut self, of: u32) -> Result<&mut ChapRules, Failure> {
        let place = match of {
            ISCSICORE_DISCOVERY => &mut self.node.discovery.chap,
            number => &mut self.target(number)?.access.chap,
        };
        Ok(place.get_or_insert_with(|| ChapRules {
            accounts: Vec::new(),
            mutual: None,
            algorithms: ChapAlgorithm::ALL.to_vec(),
        }))
    }
}

/// # Safety
/// As for [`text`] and [`slice`].
unsafe fn account(name: *const c_char, secret: *const u8, len: usize) -> Result<Account, Failure> {
    // SAFETY: the caller's promise.
    let (name, secret) = unsafe { (text(name, "the name of the account")?, slice(secret, len, "secret")?) };
    Ok(Account { name: name.to_owned(), secret: Secret::new(secret) })
}

/// Lets an initiator use a target, by its iSCSI name. As soon as one was allowed, all others are refused.
///
/// Names prove nothing: see iscsicore_host_config_add_account.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_allow_initiator(
    config: *mut iscsicore_host_config,
    target: u32,
    initiator: *const c_char,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, name) = unsafe { (locked(config)?, initiator_name(initiator)?) };
        let name = name.ok_or_else(|| null("the initiator's name"))?;
        let initiators = &mut config.target(target)?.access.initiators;
        allow(initiators, name);
        Ok(())
    })
}

fn allow(initiators: &mut Initiators, name: IscsiName) {
    match initiators {
        Initiators::Any => *initiators = [name].into_iter().collect(),
        Initiators::Only(names) => {
            names.insert(name);
        }
    }
}

/// Adds a CHAP account of a target, or of discovery (ISCSICORE_DISCOVERY). As soon as there is one, logins must prove one. The two are
/// apart: with accounts of targets alone, everybody may ask which targets there are.
///
/// RFC 7143 section 9.2.1 asks for secrets of at least 12 bytes; shorter ones are taken. `initiator` NULL lets every initiator use the account; a
/// name lets only that one, and the same account may be added again for another. A discovery session that names a target is
/// held to the accounts of that target.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_add_account(
    config: *mut iscsicore_host_config,
    target: u32,
    name: *const c_char,
    secret: *const u8,
    secret_len: usize,
    initiator: *const c_char,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, account, initiator) =
            unsafe { (locked(config)?, account(name, secret, secret_len)?, initiator_name(initiator)?) };
        let rules = config.chap(target)?;
        let known = rules.accounts.iter_mut().find(|known| known.account == account);
        match (known, initiator) {
            (Some(ChapAccount { initiators: names @ Initiators::Only(_), .. }), Some(name)) => {
                allow(names, name);
            }
            (_, initiator) => {
                let initiators = initiator.map_or(Initiators::Any, |name| [name].into_iter().collect());
                rules.accounts.push(ChapAccount { account, initiators });
            }
        }
        Ok(())
    })
}

/// Sets the account by which a target, or discovery (ISCSICORE_DISCOVERY), proves itself to initiators that ask for it, in
/// place of an earlier one. Its secret must differ from those of all accounts of initiators, of which there must be one.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_set_mutual(
    config: *mut iscsicore_host_config,
    target: u32,
    name: *const c_char,
    secret: *const u8,
    secret_len: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, account) = unsafe { (locked(config)?, account(name, secret, secret_len)?) };
        config.chap(target)?.mutual = Some(account);
        Ok(())
    })
}

/// Sets the hash functions, `count` values of iscsicore_chap_algorithm, that CHAP takes at a target, or for discovery
/// (ISCSICORE_DISCOVERY). Without this call all are taken. There must be an account, too.
///
/// Errors: ISCSICORE_STATUS_UNKNOWN when there is no such target. ISCSICORE_STATUS_INVALID_ARGUMENT for none, for one that
/// is no iscsicore_chap_algorithm, and for one that is there twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn iscsicore_host_config_set_chap_algorithms(
    config: *mut iscsicore_host_config,
    target: u32,
    algorithms: *const c_int,
    count: usize,
) -> iscsicore_status {
    guard(|| {
        // SAFETY: the rules at the head of the header.
        let (mut config, given) = unsafe { (locked(config)?, slice(algorithms, count, "algorithms")?) };
        let algorithms = check::algorithms(given)?;
        config.chap(target)?.algorithms = algorithms;
        Ok(())
    })
}
