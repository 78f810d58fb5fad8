//! The login phase (RFC 7143 sections 4.2.4, 6 and 12): stages, the table of keys, negotiation, CHAP.
//!
//! Everything here works on pairs of text and on values; nothing knows PDUs, bytes of a connection, or time.
//! One table, [`keys::KEYS`], says for each key who may send it, when, of what type it is and how its result is
//! found; [`Negotiation`] walks that table. [`Responder`] is the target's side of a whole login: it is handed
//! complete groups of pairs and answers them. [`chap`] computes and checks responses for either side.

pub mod chap;
pub mod keys;
pub mod stage;

mod account;
mod entropy;
mod full_feature;
mod hello;
mod intake;
mod negotiate;
mod offer;
mod responder;
mod security;

pub use account::{Account, Authentication, ChapAlgorithm, ChapPolicy, Secret};
pub use entropy::Entropy;
pub use full_feature::{FullFeatureNegotiation, TextRefusal};
pub use hello::{Admission, Failure, Hello, SessionType};
pub use negotiate::{Leading, Negotiation};
pub use offer::{DigestOffer, Offer, Parameters, TaskReporting};
pub use responder::Responder;

pub(crate) use hello::read_hello;

/// A key and its value, owned: what an answer consists of.
pub type Pair = (String, String);
