//! The shared queue on real NATS servers: sidecars publish, gateways deliver, and servers, sidecars and gateways
//! end at any moment (RELIABILITY.md P20). Short forms in every run, the whole figures with `GATECOUNT_FULL=1`.

mod access;
mod backlog;
mod doctor;
mod fleet;
mod handover;
mod kills;
mod ledger;
mod load;
mod order;
mod outages;
mod publishing;
mod rolling;
mod room;
