//! Asking a portal for its targets: SendTargets (RFC 7143 appendix C).

use iscsicore::session::{SendTargets, TargetRecord};

use super::state::Reply;
use super::{ClientBuilder, ClientError, Result};

/// Lists the targets that a portal knows for this initiator. `portal` is a URL without target, or `host[:port]`;
/// `options` say who asks ([`Client::builder`](super::Client::builder) for the defaults). Secrets come from where
/// [`Client::connect`](super::Client::connect) takes them.
///
/// ```no_run
/// # async fn f() -> Result<(), iscsicore_tokio::client::ClientError> {
/// use iscsicore_tokio::{Client, discover};
/// for target in discover("192.0.2.1", Client::builder()).await? {
///     println!("{}", target.name);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`ClientError`].
pub async fn discover(portal: &str, options: ClientBuilder) -> Result<Vec<TargetRecord>> {
    options.portal(portal)?.discover().await
}

impl ClientBuilder {
    /// Lists the targets of the portal. A target and a logical unit that were set do not matter.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn discover(self) -> Result<Vec<TargetRecord>> {
        const WHAT: &str = "SendTargets";
        let opening = self.open_discovery()?;
        let shared = opening.up().await?;
        let asked = shared.request(|nexus, now| nexus.send_targets(now, SendTargets::All));
        let reply = shared.reply(WHAT, asked.map_err(|_| shared.unconnected(WHAT))?).await?;
        match reply {
            Reply::Targets(Ok(targets)) => Ok(targets),
            Reply::Targets(Err(cause)) => Err(shared.unknown(shared.place(None, WHAT.into()), cause)),
            _ => Err(ClientError::Answer {
                place: shared.place(None, WHAT.into()),
                problem: "it was taken for another request".to_owned(),
            }),
        }
    }
}
