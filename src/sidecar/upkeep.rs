//! Looks now and then after trouble that nobody on the way of requests and events can notice, or see the end
//! of.

use std::time::Duration;

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    delivery, proxy,
    telemetry::{TroubleKind, TroubleWords, Troubles},
};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// The subject of the trouble that the disk does not answer, beside the queue's own alarms.
const HELD_UP: &str = "held up";

/// Starts looking. It ends when the handle is aborted.
pub(super) fn start(
    troubles: Troubles,
    delivery: delivery::Watcher,
    proxy: Option<proxy::Handle>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            sleep(INTERVAL).await;
            troubles.settle();
            look_at_the_disk(&troubles, delivery.held_up_seconds());
            if let Some(proxy) = &proxy {
                proxy.try_app();
            }
        }
    })
}

fn look_at_the_disk(troubles: &Troubles, held_up: Option<u64>) {
    let Some(seconds) = held_up else {
        return troubles.end(
            TroubleKind::QueueStorage,
            HELD_UP,
            "queue: the disk answers again",
        );
    };
    let words = TroubleWords {
        what: format!(
            "queue: the disk has not answered for {seconds} s; events wait in memory until it does"
        ),
        error: None,
        cure: "see to the disk of [queue] path".to_owned(),
    };
    troubles.begin(TroubleKind::QueueStorage, HELD_UP, words);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_does_not_answer_is_a_trouble_until_it_does() {
        let troubles = Troubles::default();
        look_at_the_disk(&troubles, None);
        assert!(troubles.list().is_empty());
        look_at_the_disk(&troubles, Some(6));
        assert!(troubles.list()[0].words.what.contains("not answered for 6 s"));
        look_at_the_disk(&troubles, None);
        assert!(troubles.list()[0].over_since.is_some());
    }
}
