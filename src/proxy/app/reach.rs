//! Whether the app can be reached, as the last new connection to it found.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::{
    proxy::errors::Fault,
    telemetry::{TroubleKind, TroubleWords, Troubles},
};

/// Whether the app can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AppState {
    /// No connection was asked for yet.
    Unknown,
    /// The last connection was accepted.
    Up,
    /// The last one was not.
    Down,
}

/// Notices when the app goes and comes. All workers share one.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Reach {
    state: AtomicU8,
    troubles: Troubles,
}

/// Why a connection was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum AskedFor {
    /// A request.
    Request,
    /// To see whether the app is back.
    Trial,
}

impl Reach {
    pub(in crate::proxy) fn new(troubles: Troubles) -> Self {
        Reach {
            state: AtomicU8::new(AppState::Unknown as u8),
            troubles,
        }
    }

    pub(in crate::proxy) fn state(&self) -> AppState {
        match self.state.load(Ordering::Relaxed) {
            state if state == AppState::Up as u8 => AppState::Up,
            state if state == AppState::Down as u8 => AppState::Down,
            _ => AppState::Unknown,
        }
    }

    /// The app accepted a connection.
    pub(super) fn accepted(&self) {
        // Nearly always it is up already, and then nothing is written.
        if self.state.load(Ordering::Relaxed) != AppState::Up as u8 {
            self.came_up();
        }
    }

    #[cold]
    fn came_up(&self) {
        self.state.store(AppState::Up as u8, Ordering::Relaxed);
        self.troubles
            .end(TroubleKind::AppDown, "", "the app can be reached again");
    }

    /// The app accepted no connection. While it is down, only trials report that again.
    #[cold]
    pub(super) fn failed(&self, fault: &Fault, asked_for: AskedFor) {
        let before = self.state.swap(AppState::Down as u8, Ordering::Relaxed);
        if before == AppState::Down as u8 && asked_for == AskedFor::Request {
            return;
        }
        let words = TroubleWords {
            what: "the app can't be reached; visitors get 502 or 504".to_owned(),
            error: Some(fault.to_string()),
            cure: "start the app, or set [app] url to where it listens".to_owned(),
        };
        self.troubles.begin(TroubleKind::AppDown, "", words);
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn it_is_down_from_the_first_refusal_until_a_connection_is_accepted() {
        let troubles = Troubles::default();
        let reach = Reach::new(troubles.clone());
        assert_eq!(reach.state(), AppState::Unknown);
        let refused = Fault::Connect(io::ErrorKind::ConnectionRefused.into());
        reach.failed(&refused, AskedFor::Request);
        reach.failed(&Fault::ConnectTimeout, AskedFor::Request);
        assert_eq!(reach.state(), AppState::Down);
        let error = || troubles.list()[0].words.error.clone().unwrap_or_default();
        assert!(error().contains("refused"), "{}", error());
        reach.failed(&Fault::ConnectTimeout, AskedFor::Trial);
        assert!(error().contains("too long"), "{}", error());

        reach.accepted();
        assert_eq!(reach.state(), AppState::Up);
        let list = troubles.list();
        assert_eq!(list.len(), 1);
        assert!(list[0].over_since.is_some());
    }
}
