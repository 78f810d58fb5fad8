//! Time: pings, the answer to a request to log out, how long a lost connection may stay lost, how long an abort waits.

use core::time::Duration;

use crate::Instant;
use crate::session::ConnId;

use super::Target;
use super::connection::{Conn, Ping, nop_in};
use super::event::EndReason;
use super::output::Numbering;

/// What is due on a connection.
enum Due {
    Ping,
    Silent,
    NotLoggedOut,
}

impl Target {
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let conns = self.conns.iter().filter(|c| !c.closing).flat_map(|c| {
            let life = self.life_deadline(c);
            [life, c.logout_deadline]
        });
        let waits = self.waits.iter().map(|w| w.give_up);
        conns.chain(waits).flatten().chain(self.retained_until).min()
    }

    pub(super) fn act_on_time(&mut self, now: Instant) {
        if self.retained_until.is_some_and(|t| t <= now) {
            self.end_session(EndReason::ConnectionLost);
        }
        self.give_up_waiting(now);
        let due: Vec<(ConnId, Due)> = self
            .conns
            .iter()
            .filter(|c| !c.closing)
            .filter_map(|c| Some((c.id, self.due(c, now)?)))
            .collect();
        for (id, due) in due {
            match due {
                Due::Ping => self.send_ping(id, now),
                Due::Silent | Due::NotLoggedOut => self.end_session(EndReason::TimedOut),
            }
        }
    }

    fn due(&self, conn: &Conn, now: Instant) -> Option<Due> {
        if conn.logout_deadline.is_some_and(|t| t <= now) {
            return Some(Due::NotLoggedOut);
        }
        if self.life_deadline(conn)? > now {
            return None;
        }
        Some(if conn.ping.is_some() { Due::Silent } else { Due::Ping })
    }

    /// When the connection is to be pinged, or given up on.
    ///
    /// Whatever arrives is a sign of life: some initiators never answer a ping but are alive (macOS, iPXE).
    fn life_deadline(&self, conn: &Conn) -> Option<Instant> {
        // A discovery session gets answers only (RFC 7143 section 7.4.3): there, silence alone ends it.
        if self.limits.ping_interval == Duration::ZERO {
            return None;
        }
        let patience = if conn.answers_pings { self.limits.ping_timeout } else { self.limits.ping_grace };
        Some(match conn.ping {
            Some(ping) => ping.sent.max(conn.last_heard) + patience,
            None => conn.last_heard + self.limits.ping_interval,
        })
    }

    fn send_ping(&mut self, id: ConnId, now: Instant) {
        if self.tasks.len() == 0 {
            // Silent for so long: an idle session is to cost little.
            self.tasks.shrink();
        }
        let ttt = self.new_ttt();
        let discovery = self.is_discovery();
        let Some(conn) = self.conn(id) else { return };
        conn.ping = Some(Ping { ttt, sent: now });
        if discovery {
            return;
        }
        conn.push(nop_in(ttt), Numbering::Show);
    }
}
