//! The login phase (RFC 7143 sections 4.2.4, 6 and 12): stages, the table of keys, negotiation, CHAP.
//!
//! Everything here works on pairs of text and on values; nothing knows PDUs, bytes of a connection, or time.
//! One table, [`keys::KEYS`], says for each key who may send it, when, of what type it is and how its result is
//! found; [`Negotiation`] walks that table, as the end that answers or the end that proposes. [`Responder`] is the
//! target's side of a whole login: it is handed complete groups of pairs and answers them; its counterpart at the initiator
//! is driven by [`initiator::Outgoing`](crate::initiator::Outgoing). [`chap`] computes and checks responses for either
//! side.

pub mod chap;
pub mod keys;
pub mod stage;

mod account;
mod chap_client;
mod client_security;
mod entropy;
mod full_feature;
mod hello;
mod intake;
mod negotiate;
mod offer;
mod requester;
mod responder;
mod security;

pub use account::{Account, Authentication, ChapAlgorithm, ChapPolicy, Secret};
pub use chap_client::ChapClient;
pub use entropy::Entropy;
pub use full_feature::{FullFeatureNegotiation, TextRefusal};
pub use hello::{Admission, Failure, Hello, SessionType};
pub use negotiate::{Leading, Negotiation};
pub use offer::{DigestOffer, Offer, Parameters, TaskReporting};
pub use responder::Responder;

pub(crate) use hello::read_hello;
pub(crate) use requester::{GiveUp, Identity, Progress, Request, Requester, Trouble};

/// A key and its value, owned: what an answer consists of.
pub type Pair = (String, String);
