//! The terms on which a login goes on.

use core::ffi::c_char;

use iscsicore::login::{Account, Admission, Authentication, ChapPolicy, Hello, Secret};

use crate::limits::{iscsicore_offer, offer};
use crate::options::{self, Options, end_of};
use crate::pointer::{optional_text, slice, text};
use crate::status::Failure;

/// A CHAP name and its secret. RFC 7143 section 9.2.1 asks for secrets of 12 bytes or more, of which people make none by
/// hand.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_account {
    /// The name, of 1 to 255 bytes, compared byte for byte.
    pub name: *const c_char,
    /// The secret: `secret_len` bytes.
    pub secret: *const u8,
    /// How many bytes; not 0.
    pub secret_len: usize,
}

/// On what terms a login may go on. Set `size` to sizeof(iscsicore_admission); every field that is 0 has its default. All
/// of it is copied.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct iscsicore_admission {
    /// sizeof(iscsicore_admission).
    pub size: usize,
    /// What operational keys are answered with. Default: as iscsicore_offer says.
    pub offer: *const iscsicore_offer,
    /// TargetAlias, 1 to 255 bytes for people to read. Default: none.
    pub alias: *const c_char,
    /// Who may log in: `account_count` accounts, one of which must be proved by CHAP. Default, NULL: nothing must be
    /// proved. A pointer to no account at all lets nobody in.
    pub accounts: *const iscsicore_account,
    /// How many accounts.
    pub account_count: usize,
    /// By what this end proves itself to an initiator that asks for it. Its secret must not be that of an account. Default,
    /// NULL: initiators that ask are refused.
    pub mutual: *const iscsicore_account,
    /// The tag of the portal group that the connection came in by. Default: 1 where the login names a target.
    pub portal_group_tag: u16,
    /// Not used; 0.
    pub reserved: u16,
    /// Not used; 0.
    pub reserved2: u32,
}

// SAFETY: numbers and pointers alone.
unsafe impl Options for iscsicore_admission {
    const NAME: &'static str = "iscsicore_admission";
    const FIRST_SIZE: usize = end_of!(Self, reserved2);
}

const _: () = assert!(end_of!(iscsicore_admission, reserved2) == size_of::<iscsicore_admission>());

/// Reads the terms for the login of `hello`.
///
/// # Safety
/// `pointer` is NULL or an admission as the header describes it.
pub(super) unsafe fn read(pointer: *const iscsicore_admission, hello: &Hello) -> Result<Admission, Failure> {
    // SAFETY: the caller's promise.
    let given = unsafe { options::read(pointer) }?;
    if given.reserved != 0 || given.reserved2 != 0 {
        return Err(Failure::invalid("iscsicore_admission: a reserved field is not 0"));
    }
    // SAFETY: the caller's promise.
    let (offer, alias) = unsafe { (offer(given.offer)?, optional_text(given.alias, "alias")?) };
    let portal_group_tag = match given.portal_group_tag {
        0 => hello.target.is_some().then_some(1),
        tag => Some(tag),
    };
    let target_alias = alias.map(|alias| value(alias, "alias")).transpose()?.map(str::to_owned);
    // SAFETY: the caller's promise.
    let authentication = unsafe { authentication(&given) }?;
    Ok(Admission { authentication, offer, portal_group_tag, target_alias })
}

/// # Safety
/// As for [`read`].
unsafe fn authentication(given: &iscsicore_admission) -> Result<Authentication, Failure> {
    // SAFETY: the caller's promise.
    let mutual = unsafe { given.mutual.as_ref() };
    if given.accounts.is_null() {
        if mutual.is_some() || given.account_count > 0 {
            return Err(Failure::invalid(
                "iscsicore_admission: accounts is NULL, and what belongs to it is not",
            ));
        }
        return Ok(Authentication::None);
    }
    // SAFETY: the caller's promise.
    let accounts = unsafe { slice(given.accounts, given.account_count, "accounts") }?;
    // SAFETY: the caller's promise.
    let read = |given: &iscsicore_account| unsafe { account(given) };
    let mut policy = ChapPolicy::new(accounts.iter().map(read).collect::<Result<_, _>>()?);
    policy.mutual = mutual.map(read).transpose()?;
    Ok(Authentication::Chap(policy))
}

/// # Safety
/// `given` is an account as the header describes it.
unsafe fn account(given: &iscsicore_account) -> Result<Account, Failure> {
    // SAFETY: the caller's promise.
    let (name, secret) = unsafe {
        (text(given.name, "name of an account")?, slice(given.secret, given.secret_len, "secret")?)
    };
    // An empty secret is refused with the policy.
    Ok(Account { name: value(name, "name of an account")?.to_owned(), secret: Secret::new(secret) })
}

/// What can be the value of a key (RFC 7143 section 6.1).
fn value<'a>(text: &'a str, what: &'static str) -> Result<&'a str, Failure> {
    if (1..=255).contains(&text.len()) {
        Ok(text)
    } else {
        Err(Failure::invalid(format!("{what} has {} bytes; it can have 1 to 255", text.len())))
    }
}
