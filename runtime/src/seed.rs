//! Seeds for connections: what CHAP challenges come from.

/// A seed that nobody can foresee, from the operating system.
///
/// # Errors
/// The system has no randomness to give; then there must be no login either.
pub fn seed() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(std::io::Error::other)?;
    Ok(seed)
}
