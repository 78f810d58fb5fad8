//! CHAP accounts in the file, and where their secrets come from.

use std::fs;
use std::path::Path;

use iscsicore::login::{Account, ChapAlgorithm, Secret};
use iscsicore::node::{ChapAccount, ChapRules, Initiators, IscsiName};

use super::diagnostic::Diagnostics;
use super::reader::{Section, Value};

const ALGORITHMS: [(&str, ChapAlgorithm); 4] = [
    ("sha3-256", ChapAlgorithm::Sha3_256),
    ("sha256", ChapAlgorithm::Sha256),
    ("sha1", ChapAlgorithm::Sha1),
    ("md5", ChapAlgorithm::Md5),
];

/// The shortest secret that does not need IPsec around it: 96 bits (RFC 7143 section 9.2.1).
const SECRET_LEN: usize = 12;

/// What secrets are read and judged by.
pub(super) struct SecretRules<'a> {
    /// Where relative paths start.
    pub(super) base: &'a Path,
    /// Whether everybody on this machine can read the configuration file.
    pub(super) exposed: bool,
    /// Whether short secrets are tolerated.
    pub(super) allow_weak: bool,
}

/// Reads a `chap` table.
pub(super) fn read(mut chap: Section<'_>, base: &Path, exposed: bool, d: &mut Diagnostics) -> ChapRules {
    let allow_weak = chap.get("allow_weak_secrets").and_then(|v| v.boolean(d)).unwrap_or(false);
    let rules = SecretRules { base, exposed, allow_weak };
    let mut accounts: Vec<ChapAccount> = Vec::new();
    let remedy = "write accounts = [{ name = \"..\", secret_file = \"..\" }]";
    let listed = chap.required("accounts", remedy, d);
    if let Some(value) = &listed {
        let empty = format!("has no account, so nobody could log in; {remedy}");
        for item in value.items(&empty, d) {
            let Some(section) = item.section(d) else { continue };
            if let Some(account) = read_account(section, &rules, &accounts, d) {
                accounts.push(account);
            }
        }
    }
    let mutual = chap.section("mutual", d).and_then(|mut section| {
        let account = name_and_secret(&mut section, &rules, true, d);
        section.finish(d);
        account
    });
    let mut algorithms = Vec::new();
    if let Some(value) = chap.get("algorithms") {
        algorithms = value
            .items("is empty; leave it out to allow all", d)
            .iter()
            .filter_map(|item| item.choice(&ALGORITHMS, d))
            .collect();
    }
    if algorithms.is_empty() {
        algorithms = ChapAlgorithm::ALL.to_vec();
    }
    chap.finish(d);
    ChapRules { accounts, mutual, algorithms }
}

/// Reads a list of initiator names.
pub(super) fn initiators(value: &Value<'_>, d: &mut Diagnostics) -> Initiators {
    let empty = "lets nobody in; write initiator names, or leave it out to let everybody in";
    value.items(empty, d).iter().filter_map(|item| initiator(item, d)).collect()
}

/// Reads one initiator name.
pub(super) fn initiator(item: &Value<'_>, d: &mut Diagnostics) -> Option<IscsiName> {
    let text = item.string(d)?;
    if text.contains(['*', '?']) {
        item.wrong(format!("{text:?}: there are no wildcards in names; list each name"), d);
        return None;
    }
    if let Err(why) = IscsiName::parse(text) {
        match IscsiName::received(text) {
            // Such names are in use; the rule works when the initiator sends it just so.
            Ok(_) => {
                d.warn(Some(&item.span), &item.path, format!("{text:?} is not a proper iSCSI name: {why}"))
            }
            Err(_) => item.wrong(format!("{text:?} is not an iSCSI name: {why}"), d),
        }
    }
    IscsiName::received(text).ok()
}

fn read_account(
    mut section: Section<'_>,
    rules: &SecretRules<'_>,
    before: &[ChapAccount],
    d: &mut Diagnostics,
) -> Option<ChapAccount> {
    let initiators = section.get("initiators").map_or(Initiators::Any, |v| initiators(&v, d));
    let account = name_and_secret(&mut section, rules, false, d);
    let (span, key) = (section.span.clone(), section.key("name"));
    section.finish(d);
    let account = account?;
    if before.iter().any(|a| a.account.name == account.name) {
        d.error(&span, &key, format!("there is an account {:?} already; merge them", account.name));
        return None;
    }
    Some(ChapAccount { account, initiators })
}

fn name_and_secret(
    section: &mut Section<'_>,
    rules: &SecretRules<'_>,
    own: bool,
    d: &mut Diagnostics,
) -> Option<Account> {
    let name = section.required("name", "write the CHAP name", d);
    let name = name.and_then(|value| {
        let name = value.string(d)?;
        let fits = (1..=255).contains(&name.len()) && !name.chars().any(char::is_control);
        if !fits {
            value.wrong("must have 1 to 255 bytes and no control characters; write another name", d);
        }
        fits.then(|| name.to_owned())
    });
    let (secret, value) = secret(section, rules, d)?;
    let account = Account { name: name?, secret };
    d.place_account(&account, own, &value.span, &value.path);
    Some(account)
}

/// The secret of an account, and the value that it comes from.
fn secret<'a>(
    section: &mut Section<'a>,
    rules: &SecretRules<'_>,
    d: &mut Diagnostics,
) -> Option<(Secret, Value<'a>)> {
    let (inline, file) = (section.get("secret"), section.get("secret_file"));
    let (value, bytes) = match (inline, file) {
        (Some(value), None) => {
            let bytes = value.string(d)?.as_bytes().to_vec();
            if rules.exposed {
                let message =
                    "everybody on this machine can read it here; use secret_file, or chmod o-r this file";
                d.warn(Some(&value.span), &value.path, message);
            }
            (value, bytes)
        }
        (None, Some(value)) => {
            let bytes = secret_from_file(&value, rules.base, d)?;
            (value, bytes)
        }
        (Some(_), Some(value)) => {
            value.wrong("stands beside secret; keep one of them", d);
            return None;
        }
        (None, None) => {
            let key = section.key("secret");
            d.error(&section.span, &key, "is missing; write secret = \"..\" or secret_file = \"PATH\"");
            return None;
        }
    };
    if bytes.is_empty() {
        value.wrong("the secret is empty; use at least 12 random bytes", d);
        return None;
    }
    if bytes.len() < SECRET_LEN {
        let message = format!(
            "the secret has {} bytes, and less than {SECRET_LEN} can be guessed by whoever listens \
             (RFC 7143 section 9.2.1)",
            bytes.len()
        );
        if rules.allow_weak {
            d.warn(Some(&value.span), &value.path, message);
        } else {
            let remedy = "use a longer one, or write allow_weak_secrets = true beside accounts";
            value.wrong(format!("{message}; {remedy}"), d);
        }
    }
    Some((Secret::new(bytes), value))
}

/// A secret is the file's bytes but for one line end after them.
fn secret_from_file(value: &Value<'_>, base: &Path, d: &mut Diagnostics) -> Option<Vec<u8>> {
    let path = base.join(value.string(d)?);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            value.wrong(
                format!("{} cannot be read: {error}; create it or correct the path", path.display()),
                d,
            );
            return None;
        }
    };
    if is_exposed(&path) {
        let shown = path.display();
        let message = format!("everybody on this machine can read {shown}; run chmod 600 {shown}");
        d.warn(Some(&value.span), &value.path, message);
    }
    Some(without_line_end(&bytes).to_vec())
}

/// Drops one line end, as editors of any system write it.
fn without_line_end(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r\n").or(bytes.strip_suffix(b"\n")).unwrap_or(bytes)
}

/// Whether others than owner and group can read a file.
#[cfg(unix)]
pub(super) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o004 != 0)
}

/// Permissions are not read on this platform.
#[cfg(not(unix))]
pub(super) fn is_exposed(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_end_is_dropped() {
        for (file, want) in [
            ("secret", "secret"),
            ("secret\n", "secret"),
            ("secret\r\n", "secret"),
            ("secret\r\n\r\n", "secret\r\n"),
            ("secret\n\n", "secret\n"),
            ("secret\r", "secret\r"),
            (" secret \n", " secret "),
            ("\r\n", ""),
            ("", ""),
        ] {
            assert_eq!(without_line_end(file.as_bytes()), want.as_bytes(), "{file:?}");
        }
    }
}
