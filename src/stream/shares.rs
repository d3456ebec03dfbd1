//! Which gateway leaves which partitions to whom. No I/O; times come in, in milliseconds of a clock that does
//! not jump.
//!
//! Each gateway says every second how many partitions it owns. All that have heard the same come to the same
//! plan: the partitions that are owned are divided evenly, whoever owns most keeps what can't be divided, and
//! whoever has too many leaves them to those that have too few. A gateway names the heirs a turn before it
//! leaves, so that the others keep away and the servers can pin nobody else.
//!
//! Nothing depends on it that is promised. Gateways that hear nothing of each other keep what they own, and
//! what a dead one owned goes to whoever asks first.

use std::{cmp::Reverse, collections::BTreeMap, fmt, str::FromStr};

/// After how long one that says nothing is gone.
const GONE: u64 = 4_000;
/// How long it takes until the others' counts show what was left.
const SETTLE: u64 = 3_000;
/// For how long nothing more is left while what was left is nobody's: the servers pin somebody when there is a
/// message.
const PICKED_UP: u64 = 60_000;
/// The most partitions that are left at a time, so that few visitors wait.
const AT_ONCE: usize = 8;

/// What a gateway says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Chosen at random when the gateway starts.
    pub gateway: u64,
    /// How many partitions it owns.
    pub owned: usize,
    /// Which partitions it leaves at its next turn, and to which gateway.
    pub leaves: Vec<(usize, u64)>,
}

/// A notice that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoNotice;

/// What one gateway knows of the others.
#[derive(Debug)]
pub struct Shares {
    own: u64,
    /// By name: how many partitions each owns, and when it said so.
    others: BTreeMap<u64, (usize, u64)>,
    /// What this gateway said that it leaves.
    named: Vec<(usize, u64)>,
    /// Until when nothing more is left.
    settles: u64,
    /// How many partitions were owned before some were left, and until when to wait for so many.
    expects: Option<(usize, u64)>,
}

/// What a gateway does at its turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Turn {
    /// What it tells the others.
    pub says: Notice,
    /// The partitions that it leaves now.
    pub leaves: Vec<usize>,
}

impl Shares {
    /// A gateway of this name, which knows of no other one.
    pub fn new(own: u64) -> Self {
        Shares {
            own,
            others: BTreeMap::new(),
            named: Vec::new(),
            settles: 0,
            expects: None,
        }
    }

    /// Another gateway said this. Returns the partitions that this one has to keep away from for a while,
    /// unless it owns them.
    pub fn hear(&mut self, notice: &Notice, now: u64) -> Vec<usize> {
        if notice.gateway == self.own {
            return Vec::new();
        }
        if self.others.insert(notice.gateway, (notice.owned, now)).is_none() {
            self.expects = None;
        }
        let away = notice.leaves.iter().filter(|(_, heir)| *heir != self.own);
        away.map(|(partition, _)| *partition).collect()
    }

    /// It is this gateway's turn, once a second. `owned`: the partitions that it owns.
    pub fn turn(&mut self, owned: &[usize], now: u64) -> Turn {
        let before = self.others.len();
        self.others.retain(|_, (_, heard)| now < *heard + GONE);
        if self.others.len() < before {
            self.expects = None;
        }
        let total = owned.len() + self.others.values().map(|(count, _)| count).sum::<usize>();
        let named = std::mem::take(&mut self.named).into_iter();
        let leaves: Vec<usize> = named
            .filter(|(partition, heir)| owned.contains(partition) && self.others.contains_key(heir))
            .map(|(partition, _)| partition)
            .collect();
        if !leaves.is_empty() {
            self.settles = now + SETTLE;
            self.expects = Some((total, now + PICKED_UP));
        }
        let picked_up = |(owned, until): (usize, u64)| total >= owned || now >= until;
        if now >= self.settles && self.expects.is_none_or(picked_up) {
            let heirs = self.heirs(owned.len());
            self.named = owned.iter().rev().copied().zip(heirs).take(AT_ONCE).collect();
        }
        let says = Notice {
            gateway: self.own,
            owned: owned.len(),
            leaves: self.named.clone(),
        };
        Turn { says, leaves }
    }

    /// To whom this gateway leaves a partition each. The surplus of all that own too many, one gateway after
    /// the other, goes to those that own too few, in turns.
    fn heirs(&self, owned: usize) -> Vec<u64> {
        let others = self.others.iter().map(|(name, (count, _))| (*name, *count));
        let mut all: Vec<(u64, usize)> = others.chain([(self.own, owned)]).collect();
        all.sort_unstable_by_key(|(name, count)| (Reverse(*count), *name));
        let total: usize = all.iter().map(|(_, count)| count).sum();
        let (share, rest) = (total / all.len(), total % all.len());
        let (mut givers, mut takers) = (Vec::new(), Vec::new());
        for (rank, (name, count)) in all.into_iter().enumerate() {
            let target = share + usize::from(rank < rest);
            givers.extend(std::iter::repeat_n(name, count.saturating_sub(target)));
            takers.extend((0..target.saturating_sub(count)).map(|turn| (turn, name)));
        }
        takers.sort_unstable();
        let pairs = givers.into_iter().zip(takers);
        pairs
            .filter(|(giver, _)| *giver == self.own)
            .map(|(_, (_, taker))| taker)
            .collect()
    }
}

/// The gateway's name in hexadecimal digits, what it owns, and for each partition that it leaves the number, a
/// colon and the heir's name.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {}", self.gateway, self.owned)?;
        for (partition, heir) in &self.leaves {
            write!(f, " {partition}:{heir:016x}")?;
        }
        Ok(())
    }
}

impl FromStr for Notice {
    type Err = NoNotice;

    fn from_str(text: &str) -> Result<Self, NoNotice> {
        let name = |name: &str| u64::from_str_radix(name, 16).map_err(|_| NoNotice);
        let number = |number: &str| number.parse::<u16>().map(usize::from).map_err(|_| NoNotice);
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NoNotice);
        let (gateway, owned) = (name(word()?)?, number(word()?)?);
        let leaves = words.map(|word| {
            let (partition, heir) = word.split_once(':').ok_or(NoNotice)?;
            Ok((number(partition)?, name(heir)?))
        });
        Ok(Notice {
            gateway,
            owned,
            leaves: leaves.collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gateways that hear each other, and heirs that get what is left to them.
    struct World {
        gateways: Vec<(Shares, Vec<usize>)>,
        now: u64,
        moves: usize,
    }

    impl World {
        fn new(owned: &[usize]) -> Self {
            let mut next = 0;
            let gateways = owned.iter().enumerate().map(|(name, count)| {
                let partitions = (next..next + count).collect();
                next += count;
                (Shares::new(name as u64), partitions)
            });
            World {
                gateways: gateways.collect(),
                now: 1_000_000,
                moves: 0,
            }
        }

        fn second(&mut self) {
            self.now += 1_000;
            let mut left = Vec::new();
            for index in 0..self.gateways.len() {
                let (shares, owned) = &mut self.gateways[index];
                let heirs: BTreeMap<usize, u64> = shares.named.iter().copied().collect();
                let turn = shares.turn(owned, self.now);
                assert!(turn.leaves.len() <= AT_ONCE);
                owned.retain(|partition| !turn.leaves.contains(partition));
                left.extend(turn.leaves.iter().map(|partition| (*partition, heirs[partition])));
                let said = turn.says.to_string().parse();
                assert_eq!(said, Ok(turn.says.clone()));
                for (other, _) in &mut self.gateways {
                    other.hear(&turn.says, self.now);
                }
            }
            self.moves += left.len();
            for (partition, heir) in left {
                self.gateways[heir as usize].1.push(partition);
            }
        }

        fn counts(&self) -> Vec<usize> {
            self.gateways.iter().map(|(_, owned)| owned.len()).collect()
        }
    }

    #[test]
    fn a_gateway_that_is_added_gets_its_share_and_no_more_moves_than_that() {
        let mut world = World::new(&[8, 8, 8, 8, 8, 8, 8, 8, 0]);
        for _ in 0..10 {
            world.second();
        }
        assert_eq!(world.counts(), [8, 7, 7, 7, 7, 7, 7, 7, 7]);
        assert_eq!(world.moves, 7);
    }

    #[test]
    fn few_partitions_are_left_at_a_time() {
        let mut world = World::new(&[64, 0]);
        world.second();
        world.second();
        assert_eq!(world.moves, 0, "the heir is named first");
        world.second();
        assert_eq!(world.moves, 8);
        for _ in 0..20 {
            world.second();
        }
        assert_eq!(world.counts(), [32, 32]);
    }

    #[test]
    fn no_more_is_left_while_what_was_left_is_nobodys() {
        let mut shares = Shares::new(1);
        let other = |owned| Notice {
            gateway: 2,
            owned,
            leaves: Vec::new(),
        };
        let mut owned: Vec<usize> = (0..20).collect();
        let mut named = Vec::new();
        for second in 0..65 {
            let now = second * 1_000;
            shares.hear(&other(0), now);
            let turn = shares.turn(&owned, now);
            owned.retain(|partition| !turn.leaves.contains(partition));
            if !turn.says.leaves.is_empty() {
                named.push(second);
            }
        }
        assert_eq!(named, [0, 61], "no message came, so no gateway was pinned");
    }

    #[test]
    fn others_keep_away_from_what_is_left_to_an_heir() {
        let mut shares = Shares::new(1);
        let notice = Notice {
            gateway: 2,
            owned: 9,
            leaves: vec![(5, 3), (6, 1)],
        };
        assert_eq!(shares.hear(&notice, 0), [5]);
        assert_eq!(
            shares.hear(&Notice { gateway: 1, ..notice }, 0),
            Vec::<usize>::new()
        );
    }

    #[test]
    fn nothing_is_left_to_a_gateway_that_has_gone() {
        let mut shares = Shares::new(1);
        let other = Notice {
            gateway: 2,
            owned: 0,
            leaves: Vec::new(),
        };
        shares.hear(&other, 0);
        assert_eq!(shares.turn(&[4, 5], 1_000).says.leaves, [(5, 2)]);
        assert!(shares.turn(&[4, 5], 4_000).leaves.is_empty());
        assert!(shares.turn(&[4, 5], 5_000).says.leaves.is_empty());
    }

    #[test]
    fn what_is_no_notice_is_refused() {
        for wrong in [
            "", "1", "x 1", "1 x", "1 -1", "1 1 2", "1 1 2:", "1 1 :2", "1 1  2:3", "1 99999",
        ] {
            assert_eq!(wrong.parse::<Notice>(), Err(NoNotice), "{wrong:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_division_becomes_even_and_then_stays(owned in prop::collection::vec(0_usize..40, 1..12)) {
            let total: usize = owned.iter().sum();
            let mut world = World::new(&owned);
            for _ in 0..120 {
                world.second();
            }
            let counts = world.counts();
            prop_assert_eq!(counts.iter().sum::<usize>(), total);
            let (least, most) = (counts.iter().min(), counts.iter().max());
            prop_assert!(most.unwrap() - least.unwrap() <= 1, "{:?} became {:?}", owned, counts);
            let moves = world.moves;
            for _ in 0..20 {
                world.second();
            }
            prop_assert_eq!(world.moves, moves, "it has settled");
        }
    }
}
