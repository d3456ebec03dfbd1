//! Looks now and then after trouble that nobody on the way of requests and events can notice, or see the end
//! of.

use std::time::{Duration, Instant};

use tokio::{task::JoinHandle, time::sleep};

use crate::{
    delivery::{self, HeldUp},
    proxy,
    stream::{StreamStatus, StreamWatcher},
    telemetry::{TroubleKind, TroubleWords, Troubles},
};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// After a pause as long as this between two looks it was the process itself that was held up: delivery's thread gets
/// until the next look to go on.
const STOPPED: Duration = Duration::from_secs(4);
/// The subject of the trouble that delivery is held up, beside the queue's own alarms.
const HELD_UP: &str = "held up";

/// So many looks in a row have to find the stream out of use before it is said: a server that is replaced is
/// no trouble.
const PATIENT_LOOKS: u32 = 3;

/// What is looked at.
pub(super) struct Watched {
    pub(super) troubles: Troubles,
    pub(super) delivery: delivery::Watcher,
    pub(super) proxy: Option<proxy::Handle>,
    pub(super) stream: Option<StreamWatcher>,
}

/// Starts looking. It ends when the handle is aborted.
pub(super) fn start(watched: Watched) -> JoinHandle<()> {
    let Watched {
        troubles,
        delivery,
        proxy,
        stream,
    } = watched;
    tokio::spawn(async move {
        let mut look = StreamLook::default();
        loop {
            let begun = Instant::now();
            sleep(INTERVAL).await;
            troubles.settle();
            if begun.elapsed() < STOPPED {
                look_at_delivery(&troubles, delivery.held_up());
            }
            if let Some(stream) = &stream {
                look.at(&troubles, &stream.status());
            }
            if let Some(proxy) = &proxy {
                proxy.try_app();
            }
        }
    })
}

/// What the last looks at the stream have found. Delivery says the same of the stream when events fail to get
/// into it; this is for when there are none, and for gateways.
#[derive(Debug, Default)]
struct StreamLook {
    /// How many looks in a row found it out of use.
    out_of_use: u32,
    /// What is said of it by this look, if anything is.
    said: Option<TroubleKind>,
}

impl StreamLook {
    fn at(&mut self, troubles: &Troubles, status: &StreamStatus) {
        if status.connected && status.fault.is_none() {
            self.out_of_use = 0;
            if let Some(kind) = self.said.take() {
                troubles.end(kind, "", "the stream can be used again");
            }
            return;
        }
        self.out_of_use += 1;
        let lasting = troubles.list();
        let mut lasting = lasting.iter().filter(|trouble| trouble.over_since.is_none());
        let is_said = lasting.any(|trouble| OF_THE_STREAM.contains(&trouble.kind));
        if self.out_of_use < PATIENT_LOOKS || is_said {
            return;
        }
        let fault = status.fault.as_ref().filter(|_| status.connected);
        let (kind, what, cure) = match fault {
            Some(fault) if fault.is_refusal => (
                TroubleKind::StreamRefuses,
                format!("the stream {} can't be used", status.name),
                "see nats stream info, and the keys of [stream]",
            ),
            Some(_) => (
                TroubleKind::StreamUnreachable,
                format!("the stream {} does not answer", status.name),
                "do most of the stream's servers run? without them it takes and gives no events",
            ),
            None => (
                TroubleKind::StreamUnreachable,
                "no server of the stream can be reached".to_owned(),
                "is [stream] url right, are the NATS servers up, and may this host connect to them? gatecount \
                 doctor says more",
            ),
        };
        let error = match (fault, &status.connection_error) {
            (Some(fault), _) => fault.error.clone(),
            (None, Some(error)) => format!("{}: {error}", status.servers),
            (None, None) => status.servers.clone(),
        };
        let words = TroubleWords {
            what,
            error: Some(error),
            cure: cure.to_owned(),
        };
        troubles.begin(kind, "", words);
        self.said = Some(kind);
    }
}

/// The kinds of trouble that the stream can be.
const OF_THE_STREAM: [TroubleKind; 2] = [TroubleKind::StreamUnreachable, TroubleKind::StreamRefuses];

fn look_at_delivery(troubles: &Troubles, held_up: Option<HeldUp>) {
    let Some(held_up) = held_up else {
        return troubles.end(TroubleKind::QueueStorage, HELD_UP, "queue: delivery goes on");
    };
    let cure = if held_up.on_disk {
        "see to the disk of [queue] path"
    } else {
        "was the process stopped, or does it get too little CPU?"
    };
    let words = TroubleWords {
        what: format!("queue: {held_up}"),
        error: None,
        cure: cure.to_owned(),
    };
    troubles.begin(TroubleKind::QueueStorage, HELD_UP, words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StreamFault;

    #[test]
    fn a_stream_that_stays_out_of_use_is_a_trouble_until_it_can_be_used() {
        let troubles = Troubles::default();
        let mut look = StreamLook::default();
        let well = StreamStatus {
            servers: "nats://nats:4222".to_owned(),
            name: "gatecount".to_owned(),
            connected: true,
            connection_error: None,
            fault: None,
            published: 0,
            partitions: 64,
            owned: 0,
            waiting: 0,
            redelivered: 0,
        };
        let away = StreamStatus {
            connected: false,
            ..well.clone()
        };
        look.at(&troubles, &away);
        look.at(&troubles, &well);
        for _ in 1..PATIENT_LOOKS {
            look.at(&troubles, &away);
            assert!(troubles.list().is_empty(), "a server is being replaced");
        }
        look.at(&troubles, &away);
        assert_eq!(troubles.list()[0].kind, TroubleKind::StreamUnreachable);
        look.at(&troubles, &well);
        assert!(troubles.list()[0].over_since.is_some());
        let refused = StreamStatus {
            fault: Some(StreamFault {
                error: "it was made with 32 partitions".to_owned(),
                is_refusal: true,
            }),
            ..well
        };
        for _ in 0..PATIENT_LOOKS {
            look.at(&troubles, &refused);
        }
        let lasting = &troubles.list()[0];
        assert_eq!(lasting.kind, TroubleKind::StreamRefuses);
        assert!(
            lasting
                .words
                .error
                .as_ref()
                .is_some_and(|error| error.contains("32"))
        );
    }

    #[test]
    fn a_disk_that_does_not_answer_is_a_trouble_until_it_does() {
        let troubles = Troubles::default();
        look_at_delivery(&troubles, None);
        assert!(troubles.list().is_empty());
        let held_up = |on_disk| Some(HeldUp { seconds: 6, on_disk });
        look_at_delivery(&troubles, held_up(true));
        let said = troubles.list()[0].words.clone();
        assert!(said.what.contains("not answered for 6 s") && said.cure.contains("disk"));
        look_at_delivery(&troubles, None);
        assert!(troubles.list()[0].over_since.is_some());

        // Where there is no disk, it is not blamed.
        look_at_delivery(&troubles, held_up(false));
        let said = troubles.list()[0].words.clone();
        assert!(said.what.contains("stood still for 6 s"), "{}", said.what);
        assert!(!said.what.contains("disk") && !said.cure.contains("disk"));
    }
}
