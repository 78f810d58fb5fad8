//! Network portals and the groups they form, RFC 7143 section 4.4.1.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

/// An address on which a target is reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portal {
    /// Where the adapter listens. An unspecified IP address (0.0.0.0, ::) stands for every address of the machine,
    /// port 0 for whatever port the system chose.
    pub address: SocketAddr,
    /// What SendTargets reports in its place, `host:port`, where initiators see another address than the listener
    /// has (address translation, containers).
    pub announce: Option<String>,
}

/// Portals that can share a session: the connections of one session all lie within one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalGroup {
    /// Target Portal Group Tag: names the group within its target.
    pub tag: u16,
    /// The portals.
    pub portals: Vec<Portal>,
}

/// How closely a portal matches the address that an initiator connected to; the closest portal wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Closeness {
    /// An IPv6 wildcard that takes IPv4 as well.
    OtherFamily,
    /// A wildcard of the same family.
    Wildcard,
    /// The very address.
    Exact,
}

impl Portal {
    /// A portal that is reported as it is.
    pub const fn new(address: SocketAddr) -> Self {
        Portal { address, announce: None }
    }

    /// Whether a connection to `local` came through this portal.
    pub(super) fn matches(&self, local: SocketAddr) -> Option<Closeness> {
        if self.address.port() != 0 && self.address.port() != local.port() {
            return None;
        }
        self.matches_ip(local.ip().to_canonical())
    }

    fn matches_ip(&self, local: IpAddr) -> Option<Closeness> {
        match self.address.ip().to_canonical() {
            ip if ip == local => Some(Closeness::Exact),
            ip if !ip.is_unspecified() => None,
            IpAddr::V4(_) => local.is_ipv4().then_some(Closeness::Wildcard),
            IpAddr::V6(_) if local.is_ipv6() => Some(Closeness::Wildcard),
            IpAddr::V6(_) => Some(Closeness::OtherFamily),
        }
    }

    /// What SendTargets says to an initiator that reached this end at `local`; `None` when the portal is of no use
    /// to it.
    ///
    /// Loopback portals are for those who came over loopback, link-local ones for those who used that very address:
    /// an initiator that is told of others waits for each of them in vain.
    pub(super) fn reported(&self, local: SocketAddr) -> Option<String> {
        if let Some(announce) = &self.announce {
            return Some(announce.clone());
        }
        let here = local.ip().to_canonical();
        let port = match self.address.port() {
            0 if self.matches_ip(here).is_some() => local.port(),
            0 => return None,
            port => port,
        };
        let own = self.address.ip().to_canonical();
        let ip = match own {
            own if own.is_unspecified() => self.matches_ip(here).map(|_| here)?,
            own if own.is_loopback() && !here.is_loopback() => return None,
            own if is_link_local(own) && own != here => return None,
            own => own,
        };
        Some(SocketAddr::new(ip, port).to_string())
    }
}

impl PortalGroup {
    /// A group of portals that are reported as they are.
    pub fn new(tag: u16, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        PortalGroup { tag, portals: addresses.into_iter().map(Portal::new).collect() }
    }
}

/// The tag of the group with the portal that is closest to `local`.
pub(super) fn group_at(groups: &[PortalGroup], local: SocketAddr) -> Option<u16> {
    groups
        .iter()
        .flat_map(|g| g.portals.iter().filter_map(|p| p.matches(local)).map(|c| (c, g.tag)))
        .max_by_key(|(closeness, _)| *closeness)
        .map(|(_, tag)| tag)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => Ipv6Addr::is_unicast_link_local(&v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: &str) -> SocketAddr {
        s.parse().unwrap()
    }

    fn reported(portal: &str, local: &str) -> Option<String> {
        Portal::new(at(portal)).reported(at(local))
    }

    #[test]
    fn the_closest_portal_decides_the_group() {
        let groups = [
            PortalGroup::new(1, [at("[::]:3260")]),
            PortalGroup::new(2, [at("0.0.0.0:3260")]),
            PortalGroup::new(3, [at("192.0.2.1:3260"), at("192.0.2.1:3261")]),
        ];
        for (local, want) in [
            ("192.0.2.1:3260", Some(3)),
            ("[::ffff:192.0.2.1]:3260", Some(3)),
            ("192.0.2.1:3261", Some(3)),
            ("192.0.2.2:3260", Some(2)),
            ("[2001:db8::1]:3260", Some(1)),
            ("192.0.2.2:3261", None),
            ("192.0.2.1:3262", None),
        ] {
            assert_eq!(group_at(&groups, at(local)), want, "{local}");
        }
        assert_eq!(group_at(&groups[..1], at("192.0.2.9:3260")), Some(1), "a dual-stack listener");
        assert_eq!(group_at(&groups[1..2], at("[2001:db8::1]:3260")), None);
    }

    #[test]
    fn a_wildcard_is_reported_as_the_address_that_was_reached() {
        assert_eq!(reported("0.0.0.0:3260", "192.0.2.7:3260").as_deref(), Some("192.0.2.7:3260"));
        assert_eq!(reported("0.0.0.0:3261", "192.0.2.7:3260").as_deref(), Some("192.0.2.7:3261"));
        assert_eq!(reported("[::]:3260", "[2001:db8::7]:3260").as_deref(), Some("[2001:db8::7]:3260"));
        assert_eq!(reported("[::]:3260", "[::ffff:192.0.2.7]:3260").as_deref(), Some("192.0.2.7:3260"));
        assert_eq!(reported("0.0.0.0:3260", "[2001:db8::7]:3260"), None, "no IPv4 address is known");
        assert_eq!(reported("127.0.0.1:0", "127.0.0.1:40001").as_deref(), Some("127.0.0.1:40001"));
        assert_eq!(reported("192.0.2.9:0", "127.0.0.1:40001"), None, "a port that is not known");
    }

    #[test]
    fn ipv6_stands_in_brackets_and_without_a_zone() {
        assert_eq!(reported("[2001:db8::1]:3260", "192.0.2.7:3260").as_deref(), Some("[2001:db8::1]:3260"));
        assert_eq!(reported("[::]:3260", "[fe80::1%3]:3260").as_deref(), Some("[fe80::1]:3260"));
    }

    #[test]
    fn addresses_that_the_initiator_cannot_reach_are_left_out() {
        assert_eq!(reported("127.0.0.1:3260", "192.0.2.7:3260"), None);
        assert_eq!(reported("127.0.0.1:3260", "127.0.0.2:3260").as_deref(), Some("127.0.0.1:3260"));
        assert_eq!(reported("127.0.0.1:3260", "[::1]:3260").as_deref(), Some("127.0.0.1:3260"));
        assert_eq!(reported("[fe80::1]:3260", "[2001:db8::7]:3260"), None);
        assert_eq!(reported("169.254.1.1:3260", "169.254.1.2:3260"), None);
        assert_eq!(reported("192.0.2.1:3260", "127.0.0.1:3260").as_deref(), Some("192.0.2.1:3260"));
    }

    #[test]
    fn an_announced_address_takes_the_place_of_any_other() {
        let mut portal = Portal::new(at("127.0.0.1:3260"));
        portal.announce = Some("san.example.com:860".into());
        assert_eq!(portal.reported(at("192.0.2.7:3260")).as_deref(), Some("san.example.com:860"));
    }
}
