//! The way to a session: messages that nobody waits for while sending them.
//!
//! Who sends may wait for what a message holds to be dropped, and keep the sender meanwhile. So a message is either
//! with an inbox that somebody reads, or gone: sending and the end of the inbox exclude each other. (A channel of
//! `tokio` does not promise that. A message that is on its way while the receiver is dropped stays in the channel until
//! the last sender is dropped, and a login that had sent one to the session that it replaces waited forever.)

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Makes both ends.
pub(super) fn inbox<T>() -> (Sender<T>, Inbox<T>) {
    let state = State { messages: VecDeque::new(), reader: None, open: true };
    let shared = Arc::new(Shared(Mutex::new(state)));
    (Sender(shared.clone()), Inbox(shared))
}

/// Sends messages to an inbox, which lives without senders too.
pub(super) struct Sender<T>(Arc<Shared<T>>);

/// Holds messages until they are read. Dropping it drops them, and all that are sent later.
pub(super) struct Inbox<T>(Arc<Shared<T>>);

/// The lock is never held while code of a message or of a waker runs, but for cloning the waker.
struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    messages: VecDeque<T>,
    reader: Option<Waker>,
    open: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Puts a message into the inbox, or drops it when there is none any more.
    pub(super) fn send(&self, message: T) {
        let mut state = self.0.lock();
        if !state.open {
            drop(state);
            return drop(message);
        }
        state.messages.push_back(message);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Whether the inbox is gone.
    pub(super) fn is_closed(&self) -> bool {
        !self.0.lock().open
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Inbox<T> {
    /// The next message.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let mut state = self.0.lock();
        if let Some(message) = state.messages.pop_front() {
            return Poll::Ready(message);
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            let old = state.reader.replace(cx.waker().clone());
            drop((state, old));
        }
        Poll::Pending
    }
}

impl<T> Drop for Inbox<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = false;
        let left = (std::mem::take(&mut state.messages), state.reader.take());
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn messages_come_in_order_and_wake_the_reader() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let cx = &mut Context::from_waker(&waker);
        let (sender, mut inbox) = inbox();
        assert!(inbox.poll_next(cx).is_pending() && inbox.poll_next(cx).is_pending());
        sender.send(1);
        sender.clone().send(2);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "nobody has looked since");
        drop(sender);
        assert_eq!([inbox.poll_next(cx), inbox.poll_next(cx)], [Poll::Ready(1), Poll::Ready(2)]);
        assert!(inbox.poll_next(cx).is_pending());
    }

    #[test]
    fn whoever_looked_last_is_woken() {
        let (first, second) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let (sender, mut inbox) = inbox();
        for wakes in [&first, &second] {
            assert!(inbox.poll_next(&mut Context::from_waker(&wakes.clone().into())).is_pending());
        }
        sender.send(());
        assert_eq!([&first, &second].map(|wakes| wakes.0.load(Ordering::Relaxed)), [0, 1]);
    }

    #[test]
    fn the_end_drops_what_was_sent_and_what_will_be() {
        let (message, (sender, inbox)) = (Arc::new(()), inbox());
        sender.send(message.clone());
        assert!(!sender.is_closed());
        drop(inbox);
        assert!(sender.is_closed());
        assert_eq!(Arc::strong_count(&message), 1);
        sender.send(message.clone());
        assert_eq!(Arc::strong_count(&message), 1);
    }

    /// A sender that is kept must not keep a message alive that was sent while the inbox was dropped.
    #[test]
    fn no_message_outlives_its_inbox() {
        const SENDERS: usize = 3;
        const TIMES: usize = 20_000;
        let message = Arc::new(());
        for _ in 0..TIMES / 100 {
            let pairs: Vec<_> = (0..100).map(|_| inbox()).collect();
            let (senders, inboxes): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let together = Barrier::new(SENDERS + 1);
            std::thread::scope(|scope| {
                for _ in 0..SENDERS {
                    scope.spawn(|| {
                        together.wait();
                        senders.iter().for_each(|sender| sender.send(message.clone()));
                    });
                }
                together.wait();
                drop(inboxes);
            });
            assert_eq!(Arc::strong_count(&message), 1);
        }
    }
}
