//! Names and secrets for CHAP that the environment or files hold.

use std::ffi::OsString;
use std::path::PathBuf;

use iscsicore::login::Secret;

use super::ClientError;

/// The name and the secret of one direction of CHAP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Partial {
    pub(super) user: Option<String>,
    pub(super) secret: Option<Secret>,
}

/// The variables of one direction; the last two are those of libiscsi.
pub(super) struct Names {
    user: &'static str,
    password: &'static str,
    file: &'static str,
    other_user: &'static str,
    other_password: &'static str,
}

/// What this end proves.
pub(super) const INITIATOR: Names = Names {
    user: "ISCSICORE_USER",
    password: "ISCSICORE_PASSWORD",
    file: "ISCSICORE_PASSWORD_FILE",
    other_user: "LIBISCSI_CHAP_USERNAME",
    other_password: "LIBISCSI_CHAP_PASSWORD",
};

/// What the target proves.
pub(super) const TARGET: Names = Names {
    user: "ISCSICORE_TARGET_USER",
    password: "ISCSICORE_TARGET_PASSWORD",
    file: "ISCSICORE_TARGET_PASSWORD_FILE",
    other_user: "LIBISCSI_CHAP_TARGET_USERNAME",
    other_password: "LIBISCSI_CHAP_TARGET_PASSWORD",
};

/// Fills what `given` lacks from `environment`. What was given stays; a secret of the environment without any name is
/// of no use and left alone.
pub(super) fn complete(
    given: Partial,
    names: &Names,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Partial, ClientError> {
    let text = |name: &str| match environment(name).filter(|v| !v.is_empty()) {
        None => Ok(None),
        Some(value) => value.into_string().map(Some).map_err(|_| {
            ClientError::Configuration(format!("the environment variable {name} is not valid UTF-8"))
        }),
    };
    let user = match given.user {
        Some(user) => Some(user),
        None => text(names.user)?.or(text(names.other_user)?),
    };
    if user.is_none() || given.secret.is_some() {
        return Ok(Partial { user, secret: given.secret });
    }
    let mut secret = text(names.password)?.map(Secret::new);
    if secret.is_none()
        && let Some(path) = environment(names.file).filter(|v| !v.is_empty())
    {
        secret = Some(read(&PathBuf::from(path), names.file)?);
    }
    if secret.is_none() {
        secret = text(names.other_password)?.map(Secret::new);
    }
    Ok(Partial { user, secret })
}

/// The secret in a file, without the end of its line.
pub(super) fn read(path: &std::path::Path, named_by: &str) -> Result<Secret, ClientError> {
    let mut bytes = std::fs::read(path).map_err(|error| {
        ClientError::Configuration(format!(
            "cannot read the secret in {} ({named_by}): {error}",
            path.display()
        ))
    })?;
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(ClientError::Configuration(format!(
            "the file {} ({named_by}) holds no secret",
            path.display()
        )));
    }
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).into())
    }

    fn partial(user: Option<&str>, secret: Option<&str>) -> Partial {
        Partial { user: user.map(str::to_owned), secret: secret.map(Secret::new) }
    }

    #[test]
    fn what_was_given_wins_over_the_environment() {
        let all = environment(&[("ISCSICORE_USER", "env"), ("ISCSICORE_PASSWORD", "env secret")]);
        let done = |given| complete(given, &INITIATOR, &all).unwrap();
        assert_eq!(done(partial(None, None)), partial(Some("env"), Some("env secret")));
        assert_eq!(done(partial(Some("me"), None)), partial(Some("me"), Some("env secret")));
        assert_eq!(done(partial(Some("me"), Some("mine"))), partial(Some("me"), Some("mine")));
    }

    #[test]
    fn each_direction_has_its_own_variables_and_those_of_libiscsi_come_last() {
        let all = environment(&[
            ("ISCSICORE_TARGET_USER", "t"),
            ("LIBISCSI_CHAP_USERNAME", "i"),
            ("LIBISCSI_CHAP_PASSWORD", "of libiscsi"),
            ("LIBISCSI_CHAP_TARGET_PASSWORD", "target's"),
        ]);
        let done = |names| complete(Partial::default(), names, &all).unwrap();
        assert_eq!(done(&INITIATOR), partial(Some("i"), Some("of libiscsi")));
        assert_eq!(done(&TARGET), partial(Some("t"), Some("target's")));
    }

    #[test]
    fn a_secret_without_a_name_is_left_alone() {
        let all = environment(&[("ISCSICORE_PASSWORD", "secret")]);
        assert_eq!(complete(Partial::default(), &INITIATOR, &all).unwrap(), Partial::default());
    }

    #[test]
    fn a_file_gives_all_but_the_end_of_its_line_and_errors_name_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "of a file\r\n").unwrap();
        let variable = path.clone().into_os_string();
        let all = move |name: &str| (name == "ISCSICORE_PASSWORD_FILE").then(|| variable.clone());
        let done = complete(partial(Some("me"), None), &INITIATOR, &all).unwrap();
        assert_eq!(done, partial(Some("me"), Some("of a file")));

        std::fs::write(&path, "\n").unwrap();
        let error = complete(partial(Some("me"), None), &INITIATOR, &all).unwrap_err().to_string();
        assert!(error.contains("holds no secret") && error.contains("ISCSICORE_PASSWORD_FILE"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = complete(partial(Some("me"), None), &INITIATOR, &all).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
