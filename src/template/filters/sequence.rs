//! Sets, combinations and random choices.

use std::collections::HashSet;

use super::{Filter, row};
use crate::template::error::{Problem, Result};
use crate::template::eval::Eval;
use crate::template::val::{Args, Val};

/// Results of a combinatorial filter.
const COMBINATIONS_MAX: usize = 1_000_000;

pub(super) const FILTERS: &[Filter] = &[
    row("union", |e, v, a| sets(e, v, a, Set::Union)),
    row("intersect", |e, v, a| sets(e, v, a, Set::Intersect)),
    row("difference", |e, v, a| sets(e, v, a, Set::Difference)),
    row("symmetric_difference", |e, v, a| {
        sets(e, v, a, Set::Symmetric)
    }),
    row("zip", |e, v, a| zip(e, v, a, false)),
    row("zip_longest", |e, v, a| zip(e, v, a, true)),
    row("product", product),
    row("permutations", permutations),
    row("combinations", combinations),
    row("random", random),
    row("shuffle", shuffle),
    row("items", |e, v, _| {
        let pair = |(k, v): (String, Val)| Val::tuple(vec![Val::str(k), v]);
        Ok(Val::list(e.entries(v)?.into_iter().map(pair).collect()))
    }),
];

/// Values that were seen: strings and integers by hash, the rest one by one.
#[derive(Default)]
pub(super) struct Seen {
    strings: HashSet<String>,
    ints: HashSet<i64>,
    others: Vec<Val>,
}

impl Seen {
    /// Adds a value; false if an equal one was there.
    pub(super) fn add(&mut self, eval: &Eval<'_>, value: &Val) -> Result<bool> {
        if self.has(eval, value)? {
            return Ok(false);
        }
        match value {
            Val::Str(text) => {
                self.strings.insert(text.as_str().to_owned());
            }
            Val::Int(i) => {
                self.ints.insert(*i);
            }
            other => self.others.push(other.clone()),
        }
        Ok(true)
    }

    pub(super) fn has(&self, eval: &Eval<'_>, value: &Val) -> Result<bool> {
        match value {
            Val::Str(text) => return Ok(self.strings.contains(text.as_str())),
            Val::Int(i) if self.ints.contains(i) => return Ok(true),
            // 1 == 1.0 == True
            Val::Float(_) | Val::Bool(_) => {
                for i in &self.ints {
                    if eval.equal(value, &Val::Int(*i))? {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
        for other in &self.others {
            if eval.equal(other, value)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn of(eval: &Eval<'_>, items: &[Val]) -> Result<Self> {
        let mut seen = Self::default();
        for item in items {
            seen.add(eval, item)?;
        }
        Ok(seen)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Union,
    Intersect,
    Difference,
    Symmetric,
}

/// Set operations. Python's order of a set of strings is arbitrary; here it is that of the input.
fn sets(eval: &Eval<'_>, input: &Val, args: &Args, operation: Set) -> Result<Val> {
    let left = eval.items(input)?;
    let Some(right) = args.get(0, "b") else {
        return Err(Problem::other("missing required argument: 'b'"));
    };
    let right = eval.items(right)?;
    let (in_left, in_right) = (Seen::of(eval, &left)?, Seen::of(eval, &right)?);
    let mut seen = Seen::default();
    let mut out = Vec::new();
    for item in &left {
        let keep = match operation {
            Set::Union => true,
            Set::Intersect => in_right.has(eval, item)?,
            Set::Difference | Set::Symmetric => !in_right.has(eval, item)?,
        };
        if keep && seen.add(eval, item)? {
            out.push(item.clone());
        }
    }
    if matches!(operation, Set::Union | Set::Symmetric) {
        for item in &right {
            if (operation == Set::Union || !in_left.has(eval, item)?) && seen.add(eval, item)? {
                out.push(item.clone());
            }
        }
    }
    Ok(Val::list(out))
}

fn all_lists(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Vec<Vec<Val>>> {
    let mut lists = vec![eval.items(input)?];
    for arg in &args.list {
        lists.push(eval.items(arg)?);
    }
    Ok(lists)
}

fn zip(eval: &Eval<'_>, input: &Val, args: &Args, longest: bool) -> Result<Val> {
    let lists = all_lists(eval, input, args)?;
    let fill = args
        .named
        .iter()
        .find(|(n, _)| &**n == "fillvalue")
        .map(|(_, v)| v);
    let lengths = lists.iter().map(Vec::len);
    let length = if longest {
        lengths.max()
    } else {
        lengths.min()
    }
    .unwrap_or(0);
    let row = |i: usize| {
        let cell = |list: &Vec<Val>| {
            list.get(i)
                .cloned()
                .unwrap_or_else(|| fill.cloned().unwrap_or(Val::Null))
        };
        Val::tuple(lists.iter().map(cell).collect())
    };
    Ok(Val::list((0..length).map(row).collect()))
}

fn limited(out: &[Vec<Val>]) -> Result<()> {
    if out.len() > COMBINATIONS_MAX {
        return Err(Problem::other(format!(
            "more than {COMBINATIONS_MAX} combinations"
        )));
    }
    Ok(())
}

fn tuples(rows: Vec<Vec<Val>>) -> Val {
    Val::list(rows.into_iter().map(Val::tuple).collect())
}

/// The cartesian product of lists.
pub(crate) fn product_of(lists: &[Vec<Val>]) -> Result<Vec<Vec<Val>>> {
    let mut rows = vec![Vec::new()];
    for list in lists {
        let mut longer = Vec::with_capacity(rows.len() * list.len());
        for row in &rows {
            for item in list {
                let mut row: Vec<Val> = row.clone();
                row.push(item.clone());
                longer.push(row);
            }
            limited(&longer)?;
        }
        rows = longer;
    }
    Ok(rows)
}

fn product(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let mut lists = all_lists(eval, input, args)?;
    if let Some((_, repeat)) = args.named.iter().find(|(n, _)| &**n == "repeat") {
        let Val::Int(times) = repeat else {
            return Err(Problem::other("`repeat` must be an integer"));
        };
        let times = usize::try_from(*times).unwrap_or(0).min(64);
        lists = lists
            .iter()
            .cycle()
            .take(lists.len() * times)
            .cloned()
            .collect();
    }
    Ok(tuples(product_of(&lists)?))
}

/// Extends each row by items at places that `allowed` accepts, `length` times.
fn arrangements(
    items: &[Val],
    length: usize,
    allowed: fn(&[usize], usize) -> bool,
) -> Result<Vec<Vec<Val>>> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..length {
        let mut longer = Vec::new();
        for row in &rows {
            for place in 0..items.len() {
                if allowed(row, place) {
                    longer.push([row.as_slice(), &[place]].concat());
                }
            }
            if longer.len() > COMBINATIONS_MAX {
                return Err(Problem::other(format!(
                    "more than {COMBINATIONS_MAX} combinations"
                )));
            }
        }
        rows = longer;
    }
    Ok(rows
        .into_iter()
        .map(|row| row.into_iter().map(|place| items[place].clone()).collect())
        .collect())
}

fn permutations(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let items = eval.items(input)?;
    let all = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let length = usize::try_from(args.int(0, "r", all)?).unwrap_or(0);
    Ok(tuples(arrangements(&items, length, |row, place| {
        !row.contains(&place)
    })?))
}

fn combinations(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let items = eval.items(input)?;
    let length = usize::try_from(args.int(0, "r", 0)?).unwrap_or(0);
    Ok(tuples(arrangements(&items, length, |row, place| {
        row.last().is_none_or(|last| place > *last)
    })?))
}

/// A stream of random numbers: from the world, or from a seed. Seeded results are stable between
/// runs but not those of Python's Mersenne Twister.
/// Random numbers, the same ones for the same seed; they are not those of Python.
pub(crate) struct Random<'e, 'a> {
    eval: &'e Eval<'a>,
    state: Option<u64>,
}

impl<'e, 'a> Random<'e, 'a> {
    pub(crate) fn new(eval: &'e Eval<'a>, seed: Option<&Val>) -> Result<Self> {
        let state = match seed {
            Some(Val::Null) | None => None,
            Some(seed) => {
                // FNV-1a.
                let hash = eval
                    .text(seed)?
                    .bytes()
                    .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
                        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
                    });
                Some(hash)
            }
        };
        Ok(Self { eval, state })
    }

    fn next(&mut self) -> u64 {
        let Some(state) = &mut self.state else {
            return self.eval.world.random_u64();
        };
        // SplitMix64.
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // The high half of a 128-bit product is even enough for every use of a template.
        u64::try_from((u128::from(self.next()) * u128::from(limit.max(1))) >> 64).unwrap_or(0)
    }
}

fn random(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    let mut source = Random::new(eval, args.get(2, "seed"))?;
    if let Val::Int(end) = input {
        let start = args.int(0, "start", 0)?;
        let step = match args.int(1, "step", 1)? {
            0 => 1,
            step => step,
        };
        let length = eval.length(&Val::Range(start, *end, step))?;
        if length == 0 {
            return Err(Problem::other("empty range for randrange()"));
        }
        let place = i64::try_from(source.below(length as u64)).unwrap_or(0);
        return Ok(Val::Int(start + place * step));
    }
    if args.get(0, "start").is_some() || args.get(1, "step").is_some() {
        return Err(Problem::other(
            "start and step can only be used with integer values",
        ));
    }
    if let Val::Int(_) | Val::Float(_) | Val::Bool(_) | Val::Null = input {
        return Err(Problem::other(
            "random can only be used on sequences and integers",
        ));
    }
    let items = eval.items(input)?;
    let place = usize::try_from(source.below(items.len() as u64)).unwrap_or(0);
    items
        .get(place)
        .cloned()
        .ok_or_else(|| Problem::other("cannot choose from an empty sequence"))
}

fn shuffle(eval: &Eval<'_>, input: &Val, args: &Args) -> Result<Val> {
    // What cannot be shuffled stays as it is, as in Ansible.
    if !(input.is_sequence() || input.is_mapping() || matches!(input, Val::Str(_))) {
        return Ok(input.clone());
    }
    let mut items = eval.items(input)?;
    let mut source = Random::new(eval, args.get(0, "seed"))?;
    for i in (1..items.len()).rev() {
        let other = usize::try_from(source.below(i as u64 + 1)).unwrap_or(0);
        items.swap(i, other);
    }
    Ok(Val::list(items))
}
