//! Every point at which a process can die, taken one after the other.

use std::collections::{BTreeMap, BTreeSet};

use switchback::event::Stats;

use crate::hosts::Image;
use crate::storage::Content;
use crate::world::{Death, Fate, Flight, HOSTS, Way, Wish, World};

/// How a run came out, as its operator and its hosts see it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct End {
    pub(crate) code: u8,
    /// Files by host.
    pub(crate) files: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) stats: Option<Stats>,
    /// Attempts of which the journal does not know the end.
    pub(crate) open: usize,
    /// What the undo stack would take back: step, host and item.
    pub(crate) undo: BTreeSet<String>,
}

impl End {
    pub(crate) fn of(world: &World, code: u8) -> Self {
        let files = HOSTS
            .iter()
            .map(|h| ((*h).to_owned(), world.hosts.files(h)));
        let journal = world.journal();
        Self {
            code,
            files: files.collect(),
            stats: world.checker.stats.clone(),
            open: journal.open.len(),
            undo: journal
                .undoable()
                .map(|entry| format!("{:?}", entry.instance))
                .collect(),
        }
    }
}

/// A moment at which the process could die.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) disk: Content,
    pub(crate) hosts: Image,
    pub(crate) flights: Vec<Flight>,
}

/// Nothing goes wrong; each moment is noted.
#[derive(Default)]
pub(crate) struct Steady {
    pub(crate) points: Vec<Point>,
    keeps: bool,
}

impl Steady {
    pub(crate) fn noting() -> Self {
        Self {
            keeps: true,
            ..Self::default()
        }
    }
}

impl Fate for Steady {
    fn dies(&mut self, world: &World, flights: &[&Flight], disk: &[Content]) -> bool {
        if self.keeps {
            let flights: Vec<Flight> = flights.iter().copied().cloned().collect();
            let now = [world.disk.content()];
            for content in disk.iter().chain(&now) {
                self.points.push(Point {
                    disk: content.clone(),
                    hosts: world.hosts.image.clone(),
                    flights: flights.clone(),
                });
            }
        }
        false
    }

    fn pick(&mut self, _: usize) -> usize {
        0
    }

    fn way(&mut self) -> Way {
        Way::Arrives
    }
}

/// What the enumeration came to.
#[derive(Debug, Default)]
pub(crate) struct Enumerated {
    /// Deaths that were looked at: a moment, what was left of the tail, what became of scripts on
    /// their way.
    pub(crate) points: usize,
    /// Of these, the ones that left a disk and hosts like no other before.
    pub(crate) distinct: usize,
    /// Those after which somebody had to be asked.
    pub(crate) asked: usize,
    pub(crate) violations: Vec<String>,
}

impl Enumerated {
    pub(crate) fn told(&self) -> String {
        format!(
            "{} crash points, {} of them distinct, asked after {}, {} violations",
            self.points,
            self.distinct,
            self.asked,
            self.violations.len()
        )
    }
}

/// Kills a process at every point, starts the next one and compares how the run comes out; `judge`
/// says what is wrong with an end.
pub(crate) fn enumerate(
    world: &mut World,
    points: &[Point],
    wish: Wish,
    judge: &dyn Fn(&World, &End) -> Option<String>,
) -> Enumerated {
    let mut found = Enumerated::default();
    let mut known: BTreeSet<(Content, Image)> = BTreeSet::new();
    let mut read: BTreeMap<Content, usize> = BTreeMap::new();
    for (number, point) in points.iter().enumerate() {
        for left in point.disk.after_crash() {
            if !read.contains_key(&left) {
                let len = left.recover().map(|recovered| recovered.len);
                let len = len.unwrap_or_else(|error| {
                    found.violations.push(format!("point {number}: {error}"));
                    0
                });
                read.insert(left.clone(), usize::try_from(len).unwrap());
            }
            let mut whole = left.clone();
            whole.durable.truncate(read[&left]);
            let arrivals: &[bool] = if point.flights.is_empty() {
                &[false]
            } else {
                &[false, true]
            };
            for arrives in arrivals {
                found.points += 1;
                world.restore(left.clone(), &point.hosts);
                if *arrives {
                    for flight in &point.flights {
                        world.arrives_late(flight);
                    }
                }
                if !known.insert((whole.clone(), world.hosts.image.clone())) {
                    continue;
                }
                found.distinct += 1;
                let what = format!(
                    "point {number} of {}, {} bytes of the journal, scripts on their way {}",
                    points.len(),
                    left.durable.len(),
                    if *arrives { "arrived" } else { "were lost" }
                );
                let death = world.process(wish, &mut Steady::default());
                found.asked += usize::from(!world.asked.is_empty());
                found.violations.extend(world.complaints(&what));
                let Death::Ended(code) = death else {
                    found.violations.push(format!("{what}: it died again"));
                    continue;
                };
                if !world.asked.is_empty() {
                    println!("{what}: asked {:?}", world.asked);
                }
                if let Some(wrong) = judge(world, &End::of(world, code)) {
                    let asked = world.asked.join("; ");
                    found
                        .violations
                        .push(format!("{what}: {wrong}; asked: {asked}"));
                }
            }
        }
    }
    found
}
