//! A fate drawn from a seed: deaths, lost and delayed replies, another order. A seed replays exactly.

use crate::storage::Content;
use crate::world::{Fate, Flight, Way, World};

/// How likely things go wrong, each once in so many chances; 0 is never.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) death: u64,
    pub(crate) lost: u64,
    pub(crate) unreachable: u64,
    pub(crate) restart: u64,
}

/// Draws from a seed.
pub(crate) struct Chance {
    state: u64,
    odds: Odds,
}

impl Chance {
    pub(crate) fn new(seed: u64, odds: Odds) -> Self {
        Self { state: seed, odds }
    }

    /// The next number (splitmix64).
    pub(crate) fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % end.max(1) as u64).unwrap()
    }

    fn happens(&mut self, once_in: u64) -> bool {
        once_in > 0 && self.draw().is_multiple_of(once_in)
    }

    /// No more faults: what is left is to come to the end.
    pub(crate) fn calm(&mut self) {
        self.odds = Odds {
            death: 0,
            lost: 0,
            unreachable: 0,
            restart: 0,
        };
    }
}

impl Fate for Chance {
    fn dies(&mut self, _: &World, _: &[&Flight], _: &[Content]) -> bool {
        let once_in = self.odds.death;
        self.happens(once_in)
    }

    fn pick(&mut self, waiting: usize) -> usize {
        self.below(waiting)
    }

    fn is_slow(&mut self) -> bool {
        self.happens(8)
    }

    fn restarts(&mut self) -> bool {
        let once_in = self.odds.restart;
        self.happens(once_in)
    }

    /// The clock jumps with every seed: by an hour, by decades, to before 1970.
    fn clock_off_s(&mut self) -> i64 {
        match self.below(8) {
            0 => 3600,
            1 => -3600,
            2 => 2_000_000_000,
            3 => -2_000_000_000,
            _ => 0,
        }
    }

    fn way(&mut self) -> Way {
        let odds = self.odds;
        if self.happens(odds.unreachable) {
            Way::HasNoRoute
        } else if self.happens(odds.lost) {
            if self.happens(2) {
                Way::LosesReply
            } else {
                Way::IsLost
            }
        } else {
            Way::Arrives
        }
    }

    fn dies_writing(&mut self) -> Option<usize> {
        let once_in = self.odds.death;
        self.happens(once_in).then(|| 1 + self.below(4))
    }
}
