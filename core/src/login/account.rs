//! Who may log in: names, secrets, algorithms.

use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::entropy::Entropy;
use crate::Misuse;

/// A CHAP secret. Its memory is overwritten when it is dropped, and it is never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes of a secret.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// Whether the secret is shorter than the 96 bits that RFC 7143 section 9.2.1 asks for without IPsec.
    pub fn is_weak(&self) -> bool {
        self.0.len() < 12
    }

    /// Draws a secret of 128 bits, the only kind of secret that is made here (RFC 7143 section 9.2.1).
    pub fn random(entropy: &mut Entropy) -> Self {
        let mut bytes = vec![0; 16];
        entropy.fill(&mut bytes);
        Secret::new(bytes)
    }

    /// The bytes, for whoever must write them down or show them once.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl PartialEq for Secret {
    /// Compares in a time that does not depend on where the bytes differ.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

/// A CHAP name and its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Compared byte for byte with CHAP_N, and never decoded.
    pub name: String,
    /// Known to both ends.
    pub secret: Secret,
}

/// A hash function for CHAP, by the number that CHAP_A carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ChapAlgorithm {
    /// 5
    Md5,
    /// 6
    Sha1,
    /// 7
    Sha256,
    /// 8
    Sha3_256,
}

impl ChapAlgorithm {
    /// All of them, the strongest first.
    pub const ALL: [ChapAlgorithm; 4] =
        [ChapAlgorithm::Sha3_256, ChapAlgorithm::Sha256, ChapAlgorithm::Sha1, ChapAlgorithm::Md5];

    /// The number in CHAP_A.
    pub const fn code(self) -> u64 {
        match self {
            ChapAlgorithm::Md5 => 5,
            ChapAlgorithm::Sha1 => 6,
            ChapAlgorithm::Sha256 => 7,
            ChapAlgorithm::Sha3_256 => 8,
        }
    }

    /// The algorithm of a number in CHAP_A.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.code() == code)
    }

    /// Bytes in a response.
    pub const fn output_len(self) -> usize {
        match self {
            ChapAlgorithm::Md5 => 16,
            ChapAlgorithm::Sha1 => 20,
            ChapAlgorithm::Sha256 | ChapAlgorithm::Sha3_256 => 32,
        }
    }
}

/// What CHAP takes to let an initiator in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChapPolicy {
    /// Initiators: one of these must be proved.
    pub accounts: Vec<Account>,
    /// The name and secret by which this end proves itself when asked; without it such logins fail.
    pub mutual: Option<Account>,
    /// The algorithms that are accepted, in order of preference. A responder follows the preference of its peer.
    pub algorithms: Vec<ChapAlgorithm>,
}

impl ChapPolicy {
    /// Accepts `accounts` with every algorithm, without mutual authentication.
    pub fn new(accounts: Vec<Account>) -> Self {
        ChapPolicy { accounts, mutual: None, algorithms: ChapAlgorithm::ALL.to_vec() }
    }

    /// Checks what RFC 7143 section 9.2.1 asks of a configuration.
    ///
    /// # Errors
    ///
    /// [`Misuse::InvalidArgument`] when a secret is empty, serves both directions, or no algorithm is allowed.
    pub fn check(&self) -> Result<(), Misuse> {
        if self.algorithms.is_empty() {
            return Err(Misuse::InvalidArgument("a CHAP policy without algorithms"));
        }
        if self.accounts.iter().chain(&self.mutual).any(|a| a.secret.bytes().is_empty()) {
            return Err(Misuse::InvalidArgument("an empty CHAP secret"));
        }
        if self.mutual.as_ref().is_some_and(|m| self.accounts.iter().any(|a| a.secret == m.secret)) {
            return Err(Misuse::InvalidArgument("the same CHAP secret for both directions"));
        }
        Ok(())
    }
}

/// How an initiator must prove who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Authentication {
    /// Not at all.
    None,
    /// By CHAP; logins without it fail.
    Chap(ChapPolicy),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str, secret: &str) -> Account {
        Account { name: name.into(), secret: Secret::new(secret) }
    }

    // covers: 7143-9.2.1-2
    #[test]
    fn random_secrets_have_128_bits_that_the_entropy_gives() {
        let mut entropy = Entropy::new([3; 32]);
        let (a, b) = (Secret::random(&mut entropy), Secret::random(&mut entropy));
        assert_eq!((a.bytes().len(), b.bytes().len()), (16, 16));
        assert_ne!(a, b);
        assert_eq!(Secret::random(&mut Entropy::new([3; 32])), a);
        assert_ne!(Secret::random(&mut Entropy::new([4; 32])), a);
    }

    // covers: 7143-9.2.1-2 7143-9.2.1-6
    #[test]
    fn secrets_are_bytes_of_any_length_and_unprintable() {
        let secret = Secret::new([0u8, 255, 128, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(secret.bytes().len() * 8, 128);
        assert!(!secret.is_weak() && Secret::new("elevenbytes").is_weak());
        assert!(!format!("{:?}", account("u", "hidden")).contains("hidden"));
        assert_ne!(Secret::new("a"), Secret::new("ab"));
    }

    // covers: 7143-9.2.1-8
    #[test]
    fn one_secret_cannot_serve_both_directions() {
        let mut policy = ChapPolicy::new(vec![account("a", "first secret"), account("b", "second secret")]);
        assert_eq!(policy.check(), Ok(()));
        policy.mutual = Some(account("target", "third secret"));
        assert_eq!(policy.check(), Ok(()));
        policy.mutual = Some(account("target", "second secret"));
        assert!(matches!(policy.check(), Err(Misuse::InvalidArgument(_))));
    }

    #[test]
    fn empty_secrets_and_empty_algorithm_lists_are_misuse() {
        assert!(ChapPolicy::new(vec![account("a", "")]).check().is_err());
        let mut policy = ChapPolicy::new(vec![account("a", "secret")]);
        policy.algorithms.clear();
        assert!(policy.check().is_err());
    }

    #[test]
    fn codes_are_those_of_the_registry() {
        let codes: Vec<u64> = ChapAlgorithm::ALL.iter().map(|a| a.code()).collect();
        assert_eq!(codes, [8, 7, 6, 5]);
        for code in 0..300 {
            assert_eq!(ChapAlgorithm::from_code(code).is_some(), (5..=8).contains(&code));
        }
    }
}
