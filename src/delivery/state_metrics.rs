//! What delivery is doing, and the queue's bound, as metrics.

use std::{collections::HashMap, sync::Arc};

use prometheus::{
    core::{Collector, Desc},
    proto::{LabelPair, MetricFamily, MetricType},
};

use super::{
    account::{family, gauge},
    status::{DeliveryState, Shared},
};

const STATE: (&str, &str) = (
    "gatecount_delivery_state",
    "1 for what delivery is doing, 0 for the other states; tripped and probing: Plausible accepts nothing",
);
const MAX_BYTES: (&str, &str) = (
    "gatecount_queue_max_bytes",
    "Bytes that the queue may take; the oldest events go first beyond it",
);

/// See the module.
#[derive(Debug)]
pub(super) struct StateMetrics {
    shared: Arc<Shared>,
    /// `[queue] max_bytes`
    max_bytes: u64,
    descs: Vec<Desc>,
}

impl StateMetrics {
    pub(super) fn new(shared: Arc<Shared>, max_bytes: u64) -> Result<Self, prometheus::Error> {
        let desc = |(name, help): (&str, &str), labels: &[&str]| {
            let labels = labels.iter().map(ToString::to_string).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(StateMetrics {
            shared,
            max_bytes,
            descs: vec![desc(STATE, &["state"])?, desc(MAX_BYTES, &[])?],
        })
    }
}

impl Collector for StateMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = self.shared.state();
        let states = DeliveryState::ALL.map(|state| {
            let mut label = LabelPair::default();
            label.set_name("state".to_owned());
            label.set_value(state.label().to_owned());
            let mut metric = gauge(f64::from(state == now));
            metric.set_label(vec![label]);
            metric
        });
        vec![
            family(STATE, MetricType::GAUGE, states.into()),
            family(MAX_BYTES, MetricType::GAUGE, vec![gauge(self.max_bytes as f64)]),
        ]
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;
    use crate::{clock::Clock, telemetry::Troubles};

    #[test]
    fn one_state_is_1_and_the_others_are_0() {
        let shared = Arc::new(Shared::new(Clock::start(), Troubles::default()));
        let registry = Registry::new();
        let metrics = StateMetrics::new(shared.clone(), 1 << 28).unwrap();
        registry.register(Box::new(metrics)).unwrap();
        for (state, label) in [
            (DeliveryState::Starting, "starting"),
            (DeliveryState::Tripped, "tripped"),
        ] {
            shared.set_state(state, 0);
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let ones: Vec<&str> = text
                .lines()
                .filter(|line| line.starts_with("gatecount_delivery_state{") && line.ends_with(" 1"))
                .collect();
            assert_eq!(ones, [format!("gatecount_delivery_state{{state=\"{label}\"}} 1")]);
            assert_eq!(
                text.matches("gatecount_delivery_state{").count(),
                DeliveryState::ALL.len()
            );
            assert!(text.contains("gatecount_queue_max_bytes 268435456\n"), "{text}");
        }
    }
}
