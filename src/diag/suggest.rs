//! Did you mean.

/// Returns the candidate nearest to `word`, if one is near enough to be a likely slip.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(word, c), c))
        .filter(|(distance, c)| *distance <= 1 + c.chars().count().max(word.len()) / 4)
        .min_by(|(a, x), (b, y)| {
            // Of two that are equally far, the one that shares more letters.
            a.cmp(b)
                .then_with(|| strsim::jaro(word, y).total_cmp(&strsim::jaro(word, x)))
        })
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        assert_eq!(suggest("onwer", ["owner", "group", "mode"]), Some("owner"));
        assert_eq!(suggest("taks", ["tags", "tasks"]), Some("tasks"));
        assert_eq!(suggest("frobnicate", ["owner", "group", "mode"]), None);
    }
}
