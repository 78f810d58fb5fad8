//! Telling people that a target is away while a copy waits for it.

use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::join_all;
use iscsicore_tokio::client::{Event, Events};
use tokio::time::{Instant, sleep_until};

use super::end::{End, On};
use super::progress::Progress;

/// How long a target is away before that is worth a word.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

/// The sessions of a copy.
pub(crate) struct Outages(Vec<Watched>);

struct Watched {
    place: String,
    events: Events,
    state: State,
}

enum State {
    Up,
    /// Down, which is told at some time.
    Down {
        tell_at: Instant,
        why: String,
    },
    /// Down, which was told.
    Told,
    /// Over: nothing comes any more.
    Over,
}

impl Outages {
    /// Watches the sessions that these ends have, from now on.
    pub(crate) fn of<'a>(ends: impl IntoIterator<Item = &'a End>) -> Self {
        let watched = ends.into_iter().filter_map(|end| match &end.on {
            On::Unit(unit) => {
                Some(Watched { place: end.place.clone(), events: unit.events(), state: State::Up })
            }
            On::Storage(_) => None,
        });
        Outages(watched.collect())
    }

    /// Does `work`, and tells of outages meanwhile.
    pub(crate) async fn told_beside<T>(&mut self, progress: &Progress, work: impl Future<Output = T>) -> T {
        let tell = async {
            join_all(self.0.iter_mut().map(|watched| watched.tell(progress))).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            done = work => done,
            never = tell => match never {},
        }
    }
}

impl Watched {
    /// Tells until the session is over. Dropping the future loses nothing.
    async fn tell(&mut self, progress: &Progress) {
        while !matches!(self.state, State::Over) {
            let tell_at = match &self.state {
                State::Down { tell_at, .. } => Some(*tell_at),
                _ => None,
            };
            let due = async {
                match tell_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                event = self.events.next() => self.heed(event, progress),
                () = due => {
                    if let State::Down { why, .. } = std::mem::replace(&mut self.state, State::Told) {
                        progress.disconnected(&self.place, &why);
                    }
                }
            }
        }
    }

    fn heed(&mut self, event: Option<Event>, progress: &Progress) {
        match event {
            // One that is lost again at once has been down all the time.
            Some(Event::Disconnected { why, retry_at: Some(_) }) if matches!(self.state, State::Up) => {
                let event = Event::Disconnected { why, retry_at: None }.to_string();
                let why = event.strip_prefix("disconnected: ").unwrap_or(&event).to_owned();
                self.state = State::Down { tell_at: Instant::now() + WORTH_A_WORD, why };
            }
            Some(Event::Reconnected { .. }) => {
                if matches!(std::mem::replace(&mut self.state, State::Up), State::Told) {
                    progress.connected(&self.place);
                }
            }
            // The command that fails by it tells why.
            Some(Event::Ended(_)) | None => self.state = State::Over,
            Some(_) => {}
        }
    }
}
