//! Lets things go wrong, and looks at how they stand each second.

use super::{Doubt, Failure, Happening, Report, World, gateways::Gateway};

/// After so long without a sign of the servers, a gateway lets go of what it has.
const SILENCE: u64 = 4_000;
/// How long a gateway that stops waits for what is on the wire.
const LAST_ANSWERS: u64 = 2_500;
/// How long a new leader takes.
const ELECTION: (u64, u64) = (1_000, 9_000);

impl World<'_> {
    pub(super) fn fails(&mut self, failure: Failure) {
        self.report.failures += 1;
        match failure {
            Failure::KillGateway(lasts) => {
                if let Some(gateway) = self.some_gateway() {
                    self.doubt(gateway, Doubt::Killed);
                    self.stops_asking(gateway);
                    self.gone(gateway);
                    self.at(self.now + lasts, Happening::GatewayStarts(gateway));
                }
            }
            Failure::PauseGateway(lasts) => {
                if let Some(gateway) = self.some_gateway() {
                    self.pause(gateway, lasts);
                    self.at(self.now + lasts, Happening::GatewayIsBack(gateway));
                }
            }
            Failure::CutGateway(lasts) => {
                if let Some(gateway) = self.some_gateway() {
                    self.doubt(gateway, Doubt::Cut);
                    self.gateways[gateway].connected = false;
                    self.stops_asking(gateway);
                    self.at(self.now + lasts, Happening::GatewayIsBack(gateway));
                    if lasts > SILENCE {
                        for partition in 0..self.consumers.len() {
                            self.falls_silent(gateway, partition);
                        }
                    }
                }
            }
            Failure::ReplaceGateway => self.stop_gateway(true),
            Failure::RemoveGateway => self.stop_gateway(false),
            Failure::AddGateway => {
                let gateway = self.gateways.len();
                self.gateway_starts(gateway);
            }
            Failure::KillServer => {
                let lasts = self.chance.between(ELECTION.0, ELECTION.1);
                let third = self.chance.one_of(3);
                if self.chance.one_of(3) == 0 {
                    self.stream_down_until = self.now + lasts;
                }
                for partition in (third..self.consumers.len()).step_by(3) {
                    self.leader_goes(partition, lasts);
                }
            }
            Failure::AllServersDown(lasts) => {
                self.stream_down_until = self.now + lasts;
                for partition in 0..self.consumers.len() {
                    self.leader_goes(partition, lasts);
                }
            }
            Failure::RestartSidecar(lasts) => {
                let sidecar = self.chance.one_of(self.sidecars.len());
                let up = self.sidecars.iter().filter(|sidecar| sidecar.up).count();
                if up > 1 {
                    self.kill_sidecar(sidecar, lasts);
                }
            }
            Failure::CutSidecar(lasts) => {
                let sidecar = self.chance.one_of(self.sidecars.len());
                self.sidecars[sidecar].connected = false;
                self.at(self.now + lasts, Happening::SidecarIsBack(sidecar));
            }
            Failure::PlausibleDown(lasts) => self.plausible_down_until = self.now + lasts,
            Failure::PlausibleSlow(lasts) => self.plausible_slow_until = self.now + lasts,
        }
    }

    /// A gateway that is well.
    fn some_gateway(&mut self) -> Option<usize> {
        let well = |gateway: &Gateway| gateway.is_well(self.now) && gateway.connected && !gateway.leaving;
        let well: Vec<usize> = (0..self.gateways.len())
            .filter(|number| well(&self.gateways[*number]))
            .collect();
        // One is always left.
        (well.len() > 1).then(|| well[self.chance.one_of(well.len())])
    }

    /// A gateway's process is no more.
    fn gone(&mut self, gateway: usize) {
        let gone = &mut self.gateways[gateway];
        gone.up = false;
        gone.life += 1;
        gone.asks_until = 0;
        self.changed = Some(self.now);
    }

    pub(super) fn gateway_starts(&mut self, gateway: usize) {
        let name = self.chance.between(1, u64::MAX);
        let life = self.gateways.get(gateway).map_or(0, |before| before.life);
        let starts = Gateway::new(name, life, &self.settings);
        if gateway < self.gateways.len() {
            self.gateways[gateway] = starts;
        } else {
            self.gateways.push(starts);
        }
        let (tick, turn) = (self.chance.between(1, 250), self.chance.between(1, 1_000));
        self.at(self.now + tick, Happening::Tick { gateway, life });
        self.at(self.now + turn, Happening::Turn { gateway, life });
        self.changed = Some(self.now);
        self.deliver_all();
    }

    pub(super) fn gateway_is_back(&mut self, gateway: usize) {
        self.gateways[gateway].connected = true;
        self.deliver_all();
    }

    fn deliver_all(&mut self) {
        for partition in 0..self.consumers.len() {
            self.deliver(partition);
        }
    }

    /// Stops the oldest gateway in order.
    fn stop_gateway(&mut self, starts: bool) {
        let well = |gateway: &&usize| {
            let gateway = &self.gateways[**gateway];
            gateway.is_well(self.now) && gateway.connected && !gateway.leaving
        };
        let numbers: Vec<usize> = (0..self.gateways.len()).collect();
        let Some(gateway) = numbers
            .iter()
            .filter(well)
            .min_by_key(|number| self.gateways[**number].life)
        else {
            return;
        };
        let (gateway, life) = (*gateway, self.gateways[*gateway].life);
        self.gateways[gateway].leaving = true;
        for partition in 0..self.consumers.len() {
            self.leave(gateway, partition, u64::MAX);
        }
        let goes = Happening::GatewayGoes {
            gateway,
            life,
            starts,
        };
        self.at(self.now + LAST_ANSWERS, goes);
    }

    pub(super) fn gateway_goes(&mut self, gateway: usize, life: u32, starts: bool) {
        if self.gateways[gateway].life == life {
            self.doubt(gateway, Doubt::Killed);
            self.gone(gateway);
        }
        if starts {
            self.at(self.now + 5_000, Happening::GatewayStarts(gateway));
        }
    }

    fn leader_goes(&mut self, partition: usize, lasts: u64) {
        for gateway in 0..self.gateways.len() {
            if self.gateways[gateway].up && self.gateways[gateway].partitions[partition].ownership.is_pinned()
            {
                self.doubt_of(gateway, partition, Doubt::Servers);
                if lasts > SILENCE {
                    self.falls_silent(gateway, partition);
                }
            }
        }
        self.change_leader(partition, lasts);
    }

    fn falls_silent(&mut self, gateway: usize, partition: usize) {
        let life = self.gateways[gateway].life;
        self.at(
            self.now + SILENCE,
            Happening::Stale {
                gateway,
                life,
                partition,
            },
        );
    }

    pub(super) fn sidecar_is_back(&mut self, sidecar: usize) {
        self.sidecars[sidecar].connected = true;
        self.publish(sidecar);
    }

    pub(super) fn second(&mut self) {
        let now = self.now;
        self.at(now + 1_000, Happening::Second);
        let mut counts = Vec::new();
        for gateway in self.gateways.iter_mut().filter(|gateway| gateway.up) {
            self.report.held.push(gateway.holds() as u32);
            if !gateway.leaving {
                counts.push(gateway.owned().len());
            }
        }
        let all = counts.iter().sum::<usize>() == self.consumers.len();
        let (least, most) = (counts.iter().min().copied(), counts.iter().max().copied());
        let even = most.unwrap_or(0) - least.unwrap_or(0) <= 1;
        if let Some(changed) = self.changed.filter(|_| all && even) {
            self.report.settled.push((now - changed) as u32);
            self.changed = None;
        }
    }

    pub(super) fn finish(mut self) -> Report {
        self.report.events = self.day.len() as u64;
        self.report.lost = self.traces.iter().filter(|trace| trace.counted == 0).count() as u64;
        self.report.delays.sort_unstable();
        self.report.held.sort_unstable();
        self.report.settled.sort_unstable();
        self.report
    }
}
