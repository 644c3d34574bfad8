//! What templates borrow from Python: methods, `repr`, printf, `str.format`, dates.

pub(crate) mod date;
pub(crate) mod format;
mod methods;
pub(crate) mod printf;
pub(crate) mod repr;

pub use repr::write as write_repr;
mod strings;
pub(crate) mod yaml;
pub(crate) mod yaml_load;

pub(crate) use methods::{call_method, is_method};
pub(crate) use strings::{capitalize, split_lines};

/// The place of a Python index in a sequence of that length.
pub(crate) fn index(index: i64, length: usize) -> Option<usize> {
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 { index + length } else { index };
    (0..length)
        .contains(&index)
        .then(|| usize::try_from(index).ok())
        .flatten()
}

/// The indices that a Python slice selects.
pub(crate) fn slice_indices(
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
    length: usize,
) -> impl Iterator<Item = usize> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let (low, high) = if step > 0 {
        (0, length)
    } else {
        (-1, length - 1)
    };
    let clamp = |bound: i64| {
        let bound = if bound < 0 {
            bound.saturating_add(length)
        } else {
            bound
        };
        bound.clamp(low, high)
    };
    let start = start.map_or(if step > 0 { low } else { high }, clamp);
    let end = end.map_or(if step > 0 { high } else { low }, clamp);
    let mut next = start;
    std::iter::from_fn(move || {
        let inside = if step > 0 { next < end } else { next > end };
        let current = next;
        next = next.saturating_add(step);
        inside.then(|| usize::try_from(current).ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::slice_indices;

    #[test]
    fn slices_are_pythons() {
        let take = |start, end, step| slice_indices(start, end, step, 5).collect::<Vec<_>>();
        assert_eq!(take(None, None, -1), [4, 3, 2, 1, 0]);
        assert_eq!(take(Some(-2), None, 1), [3, 4]);
        assert_eq!(take(Some(1), Some(-1), 2), [1, 3]);
        assert_eq!(take(Some(9), Some(0), -2), [4, 2]);
        assert_eq!(take(Some(3), Some(1), 1), [0; 0]);
    }
}
