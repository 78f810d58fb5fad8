//! How a command fails: what, where, what to try, and the exit code that tells scripts which kind it was.

use serde::Serialize;

/// What kind of failure it is; each has an exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The target, a file or the system did not do what was asked.
    Operation,
    /// The command line cannot be carried out.
    Usage,
    /// No session: name resolution, TCP, login, or a session that was lost for good.
    Connection,
    /// Data is not what it should be.
    Mismatch,
    /// A persistent reservation is in the way.
    Reserved,
    /// A command was sent and nobody knows whether it was carried out.
    Unknown,
    /// SIGINT.
    Interrupted,
    /// SIGTERM or SIGHUP.
    Terminated,
    /// Nobody reads standard output any more; not a failure of the command.
    Closed,
    /// Another program was run, and has ended with this code.
    #[serde(skip)]
    Child(u8),
}

impl Kind {
    /// The exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Kind::Closed => 0,
            Kind::Operation => 1,
            Kind::Usage => 2,
            Kind::Connection => 3,
            Kind::Mismatch => 4,
            Kind::Reserved => 5,
            Kind::Unknown => 6,
            Kind::Interrupted => 130,
            Kind::Terminated => 143,
            Kind::Child(code) => code,
        }
    }
}

/// For `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the operation failed: the target, a file or the system refused it
  2    wrong usage; nothing was done
  3    no session: the connection or the login failed, or was lost for good
  4    verification found data that is not what it should be
  5    a persistent reservation of another initiator is in the way
  6    a command was sent, and nobody knows whether it was carried out
  130  interrupted (Ctrl-C, SIGINT): sessions were logged out, a copy can be resumed
  143  ended by SIGTERM or SIGHUP, in the same manner";

/// Why a command failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    /// Which kind.
    pub(crate) kind: Kind,
    /// What failed.
    pub(crate) what: String,
    /// Where: a URL, a portal, a file.
    pub(crate) place: Option<String>,
    /// What to try.
    pub(crate) remedy: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Failure { kind, what: what.into(), place: None, remedy: None }
    }

    pub(crate) fn operation(what: impl Into<String>) -> Self {
        Failure::new(Kind::Operation, what)
    }

    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Failure::new(Kind::Usage, what)
    }

    pub(crate) fn mismatch(what: impl Into<String>) -> Self {
        Failure::new(Kind::Mismatch, what)
    }

    /// Adds where, unless that was said before.
    pub(crate) fn at(mut self, place: impl Into<String>) -> Self {
        self.place.get_or_insert_with(|| place.into());
        self
    }

    /// Adds what to try.
    pub(crate) fn try_(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        let mut line = String::from("iscsictl: ");
        if let Some(place) = &self.place {
            line += &format!("{place}: ");
        }
        line += &self.what;
        if let Some(remedy) = &self.remedy {
            line += &format!("; {remedy}");
        }
        line.replace(['\n', '\r'], " ")
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> String {
        let error = Error {
            kind: self.kind,
            code: self.kind.code(),
            what: &self.what,
            place: self.place.as_deref(),
            remedy: self.remedy.as_deref(),
        };
        serde_json::json!({ "error": error }).to_string()
    }
}

#[derive(Serialize)]
struct Error<'a> {
    kind: Kind,
    code: u8,
    what: &'a str,
    #[serde(rename = "where")]
    place: Option<&'a str>,
    #[serde(rename = "try")]
    remedy: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_and_one_object() {
        let failure = Failure::operation("it\nbroke").at("disk.img").at("elsewhere").try_("mend it");
        assert_eq!(failure.line(), "iscsictl: disk.img: it broke; mend it");
        let json: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
        assert_eq!(json["error"]["kind"], "operation");
        assert_eq!(json["error"]["code"], 1);
        assert_eq!(json["error"]["where"], "disk.img");
        assert_eq!(json["error"]["try"], "mend it");
    }

    #[test]
    fn every_exit_code_is_documented() {
        for kind in [
            Kind::Closed,
            Kind::Operation,
            Kind::Usage,
            Kind::Connection,
            Kind::Mismatch,
            Kind::Reserved,
            Kind::Unknown,
            Kind::Interrupted,
            Kind::Terminated,
        ] {
            let row = format!("\n  {:<5}", kind.code());
            assert!(EXIT_CODES.contains(row.trim_end_matches('\0')), "{kind:?}");
        }
    }
}
