//! The command line, and the session that it describes.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use iscsicore::login::{DigestOffer, Offer};
use iscsicore::nexus::ReconnectPolicy;
use iscsicore_tokio::Client;
use iscsicore_tokio::client::{ClientBuilder, ClientError};

/// Exercises a target and verifies every byte.
#[derive(Parser)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Lists the targets of a portal as JSON.
    Discover(Discover),
    /// Runs checks on a logical unit, whose content is lost.
    Run(Box<Run>),
}

#[derive(Args)]
pub(crate) struct Discover {
    /// `iscsi://[user[%secret]@]host[:port]`
    pub(crate) portal: String,
    /// Name of this initiator.
    #[arg(long, default_value = NAME)]
    initiator: String,
    /// What the answers may be long in one PDU.
    #[arg(long)]
    max_segment: Option<u32>,
}

const NAME: &str = "iqn.2026-01.dev.iscsicore.interop:exercise";

/// Something to check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Check {
    /// Sizes from a block to 16 MiB, around every border.
    Patterns,
    /// Many commands at a time.
    Load,
    /// Every command that the client has.
    Commands,
    /// Persistent reservations between two initiators.
    Reservations,
}

#[derive(Clone, Copy, ValueEnum)]
enum Digest {
    None,
    PreferNone,
    PreferCrc32c,
    Crc32c,
}

impl From<Digest> for DigestOffer {
    fn from(digest: Digest) -> Self {
        match digest {
            Digest::None => DigestOffer::NoneOnly,
            Digest::PreferNone => DigestOffer::PreferNone,
            Digest::PreferCrc32c => DigestOffer::PreferCrc32c,
            Digest::Crc32c => DigestOffer::Crc32cOnly,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Word {
    Yes,
    No,
}

#[derive(Args)]
pub(crate) struct Run {
    /// `iscsi://[user[%secret]@]host[:port]/target/lun[?auth=..]`
    pub(crate) url: String,
    /// What to check; without any, the login alone.
    #[arg(value_enum)]
    pub(crate) checks: Vec<Check>,
    /// Where all randomness comes from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Further LUNs of the same session, with content of their own.
    #[arg(long, value_delimiter = ',')]
    pub(crate) luns: Vec<u16>,
    /// Bytes of the largest pattern.
    #[arg(long, default_value_t = 16 << 20)]
    pub(crate) most: u64,
    /// Commands in flight on each unit, one load for each.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    pub(crate) depth: Vec<usize>,
    /// How often a load writes as many bytes as the unit has.
    #[arg(long, default_value_t = 1)]
    pub(crate) generations: u64,
    /// Seconds that the load goes on, whatever happens to the connection.
    #[arg(long = "for")]
    pub(crate) seconds: Option<f64>,
    /// Goes on with the load until the connection has come back so many times.
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) until_reconnects: Option<u64>,
    /// Seconds that a command may take.
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
    /// Hands a reservation over without PREEMPT: istgt forgets to make the preempting initiator its holder.
    #[arg(long)]
    pub(crate) no_preempt: bool,
    /// Ends with the first connection.
    #[arg(long)]
    no_reconnect: bool,
    /// Name of this initiator.
    #[arg(long, default_value = NAME)]
    initiator: String,
    #[arg(long, value_enum)]
    header_digest: Option<Digest>,
    #[arg(long, value_enum)]
    data_digest: Option<Digest>,
    #[arg(long, value_enum)]
    initial_r2t: Option<Word>,
    #[arg(long, value_enum)]
    immediate_data: Option<Word>,
    #[arg(long)]
    first_burst: Option<u32>,
    #[arg(long)]
    max_burst: Option<u32>,
    #[arg(long)]
    max_segment: Option<u32>,
    #[arg(long)]
    max_outstanding_r2t: Option<u16>,
}

impl Discover {
    /// Who asks, and how.
    pub(crate) fn asking(&self) -> Result<ClientBuilder, ClientError> {
        let mut offer = Offer::default();
        offer.max_segment = self.max_segment.unwrap_or(offer.max_segment);
        Client::builder().initiator_name(&self.initiator).map(|builder| builder.offer(offer))
    }
}

impl Run {
    /// Logs in as the options say.
    pub(crate) async fn connect(&self) -> Result<Client, ClientError> {
        self.connect_as(&self.initiator).await
    }

    /// The same under another name: a second initiator.
    pub(crate) async fn connect_as(&self, name: &str) -> Result<Client, ClientError> {
        let mut policy = ReconnectPolicy::default();
        policy.enabled = !self.no_reconnect;
        policy.first_pause = Duration::from_millis(20);
        policy.longest_pause = Duration::from_millis(500);
        Client::builder()
            .offer(self.offer())
            .url(&self.url)?
            .initiator_name(name)?
            .reconnect(policy)
            .command_timeout(Some(Duration::from_secs_f64(self.timeout)))
            .connect()
            .await
    }

    fn offer(&self) -> Offer {
        let yes = |word: Word| matches!(word, Word::Yes);
        let mut offer = Offer::default();
        offer.header_digest = self.header_digest.map_or(offer.header_digest, Into::into);
        offer.data_digest = self.data_digest.map_or(offer.data_digest, Into::into);
        offer.initial_r2t = self.initial_r2t.map_or(offer.initial_r2t, yes);
        offer.immediate_data = self.immediate_data.map_or(offer.immediate_data, yes);
        offer.first_burst = self.first_burst.unwrap_or(offer.first_burst);
        offer.max_burst = self.max_burst.unwrap_or(offer.max_burst);
        offer.max_segment = self.max_segment.unwrap_or(offer.max_segment);
        offer.max_outstanding_r2t = self.max_outstanding_r2t.unwrap_or(offer.max_outstanding_r2t);
        offer
    }
}
