//! Where an attempt to connect leads: the address that was configured, and the redirects from there.

use super::event::AttemptError;
use crate::initiator::{LoginRequestConfig, Redirect};
use crate::login::ChapAlgorithm;
use crate::wire::text::IscsiName;

/// How often one attempt may be sent on.
pub(super) const MAX_HOPS: usize = 8;

/// Somewhere to log in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) address: String,
    /// `None` for discovery.
    pub(super) target: Option<IscsiName>,
}

/// The way of one attempt.
#[derive(Debug)]
pub(super) struct Route {
    /// The last of them is where the attempt is. Never empty.
    places: Vec<Place>,
    /// How many of the first redirects were permanent.
    permanent: usize,
    /// Whether to log in without the CHAP algorithm 7, which means SHA-1 to some targets.
    pub(super) without_sha256: bool,
}

impl Route {
    pub(super) fn from(home: Place, without_sha256: bool) -> Self {
        Route { places: vec![home], permanent: 0, without_sha256 }
    }

    /// Where the attempt is.
    pub(super) fn here(&self) -> &Place {
        &self.places[self.places.len() - 1]
    }

    /// Where the next attempt is to begin if this one succeeds: as far as redirects were permanent from the beginning.
    pub(super) fn home(&self) -> &Place {
        &self.places[self.permanent]
    }

    /// Goes on as the target says.
    ///
    /// # Errors
    /// [`AttemptError::RedirectLoop`] when that leads to where the attempt was before, or too far.
    pub(super) fn follow(&mut self, redirect: Redirect) -> Result<(), AttemptError> {
        let here = self.here();
        // A discovery session asks for no target, wherever it is sent.
        let target = here.target.as_ref().map(|name| redirect.target.as_ref().unwrap_or(name).clone());
        let place = Place { address: redirect.address, target };
        let hops = self.places.len();
        if hops > MAX_HOPS || self.places.contains(&place) {
            return Err(AttemptError::RedirectLoop { address: place.address, hops: hops as u32 });
        }
        if redirect.permanent && self.permanent + 1 == hops {
            self.permanent = hops;
        }
        self.places.push(place);
        Ok(())
    }

    /// The terms of the login here.
    pub(super) fn login(&self, configured: &LoginRequestConfig) -> LoginRequestConfig {
        let mut login = configured.clone();
        login.target.clone_from(&self.here().target);
        if let Some(credentials) = login.credentials.as_mut().filter(|_| self.without_sha256) {
            credentials.algorithms.retain(|algorithm| *algorithm != ChapAlgorithm::Sha256);
        }
        login
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> IscsiName {
        IscsiName::parse(text).unwrap()
    }

    fn to(address: &str, target: Option<&str>, permanent: bool) -> Redirect {
        Redirect { address: address.into(), portal_group_tag: None, target: target.map(name), permanent }
    }

    fn start() -> Route {
        let target = Some(name("iqn.2001-04.com.example:disk"));
        Route::from(Place { address: "a:1".into(), target }, false)
    }

    #[test]
    fn home_moves_as_far_as_redirects_are_permanent() {
        let mut route = start();
        route.follow(to("b:1", None, true)).unwrap();
        assert_eq!(route.home().address, "b:1");
        route.follow(to("c:1", Some("iqn.2001-04.com.example:other"), false)).unwrap();
        route.follow(to("d:1", None, true)).unwrap();
        assert_eq!((&route.here().address[..], &route.home().address[..]), ("d:1", "b:1"));
        assert_eq!(route.here().target, Some(name("iqn.2001-04.com.example:other")));
        assert_eq!(route.home().target, Some(name("iqn.2001-04.com.example:disk")));
    }

    #[test]
    fn circles_and_long_ways_end() {
        let mut route = start();
        route.follow(to("b:1", None, false)).unwrap();
        let circle = AttemptError::RedirectLoop { address: "a:1".into(), hops: 2 };
        assert_eq!(route.follow(to("a:1", None, false)), Err(circle));
        // Another target at a place where we were is another place.
        route.follow(to("a:1", Some("iqn.2001-04.com.example:other"), false)).unwrap();

        let mut route = start();
        for hop in 1..=MAX_HOPS {
            route.follow(to(&format!("hop:{hop}"), None, false)).unwrap();
        }
        assert!(matches!(route.follow(to("far:1", None, false)), Err(AttemptError::RedirectLoop { .. })));
        assert_eq!(route.here().address, format!("hop:{MAX_HOPS}"));
    }

    #[test]
    fn discovery_stays_discovery() {
        let mut route = Route::from(Place { address: "a:1".into(), target: None }, false);
        route.follow(to("b:1", Some("iqn.2001-04.com.example:other"), true)).unwrap();
        assert_eq!(route.here().target, None);
    }
}
