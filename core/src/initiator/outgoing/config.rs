//! What a login is given: who logs in, where to, and on what terms.

use crate::Misuse;
use crate::login::{Account, ChapAlgorithm, ChapClient, Offer};
use crate::wire::Isid;
use crate::wire::text::IscsiName;

/// Who logs in, where to, and on what terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoginRequestConfig {
    /// InitiatorName.
    pub initiator: IscsiName,
    /// InitiatorAlias.
    pub initiator_alias: Option<String>,
    /// TargetName; `None` makes a discovery session.
    pub target: Option<IscsiName>,
    /// The initiator's part of the session's name. The same one again takes the place of the old session
    /// (RFC 7143 section 6.3.5).
    pub isid: Isid,
    /// How this end proves who it is, and the target who it is.
    pub credentials: Option<Credentials>,
    /// What this end wants for every operational key.
    pub offer: Offer,
}

/// CHAP, from the initiator's side.
///
/// Secrets of less than 96 bits are taken: [`Secret::is_weak`](crate::login::Secret::is_weak) tells of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// What this end proves.
    pub account: Account,
    /// What the target must prove; `None` when it need not.
    pub target: Option<Account>,
    /// The algorithms offered, the preferred one first. RFC 7143 section 12.1.3 wants MD5 among them.
    pub algorithms: Vec<ChapAlgorithm>,
    /// Whether a target that wants no authentication is taken as well. Always refused when the target must prove itself.
    pub allow_none: bool,
}

impl LoginRequestConfig {
    /// Checks what a login could not be made of. [`Outgoing`](super::Outgoing) fails with the same words.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidArgument`]: the offer has what is not carried out, the alias does not fit, or the credentials
    /// break RFC 7143 section 9.2.1.
    pub fn check(&self) -> Result<(), Misuse> {
        self.offer.check_carried_out()?;
        if self.initiator_alias.as_deref().is_some_and(|alias| !is_value(alias)) {
            return Err(Misuse::InvalidArgument(
                "InitiatorAlias is empty, longer than 255 bytes, or has a NUL",
            ));
        }
        self.credentials.as_ref().map_or(Ok(()), Credentials::check)
    }
}

impl Credentials {
    /// Proves `account` with any algorithm, to a target that wants it; the target itself need not prove anything.
    pub fn new(account: Account) -> Self {
        Credentials { account, target: None, algorithms: ChapAlgorithm::ALL.to_vec(), allow_none: false }
    }

    fn check(&self) -> Result<(), Misuse> {
        if self.algorithms.is_empty() {
            return Err(Misuse::InvalidArgument("credentials without a CHAP algorithm"));
        }
        let accounts = || [&self.account].into_iter().chain(&self.target);
        if accounts().any(|account| !is_value(&account.name)) {
            return Err(Misuse::InvalidArgument("a CHAP name is empty, longer than 255 bytes, or has a NUL"));
        }
        if accounts().any(|account| account.secret.bytes().is_empty()) {
            return Err(Misuse::InvalidArgument("an empty CHAP secret"));
        }
        if self.target.as_ref().is_some_and(|target| target.secret == self.account.secret) {
            return Err(Misuse::InvalidArgument("the same CHAP secret for both directions"));
        }
        Ok(())
    }

    /// The exchange that proves them, and whether to go without if the target prefers that.
    pub(super) fn into_client(self) -> (ChapClient, bool) {
        let or_none = self.allow_none && self.target.is_none();
        (ChapClient::new(self.account, self.target, self.algorithms), or_none)
    }
}

/// Whether `text` can be the value of a key (RFC 7143 section 6.1).
fn is_value(text: &str) -> bool {
    (1..=255).contains(&text.len()) && !text.contains('\0')
}
