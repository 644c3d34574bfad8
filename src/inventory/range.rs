//! `web[01:10:2]` and `db-[a:f]`.
//!
//! Source: ansible-core 2.19, `plugins/inventory/__init__.py:expand_hostname_range`.

/// Most hosts that one pattern may stand for.
const HOSTS_MAX: usize = 1_000_000;

/// Expands all ranges of a name.
///
/// # Errors
/// What is wrong with a range.
pub(super) fn expand(name: &str) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        let Some((head, range, tail)) = split(&name)? else {
            done.push(name);
            continue;
        };
        let items = items(range)?;
        if open.len() + done.len() + items.len() > HOSTS_MAX {
            return Err(format!("a range stands for more than {HOSTS_MAX} hosts"));
        }
        open.extend(items.iter().rev().map(|item| format!("{head}{item}{tail}")));
    }
    Ok(done)
}

fn split(name: &str) -> Result<Option<(&str, &str, &str)>, String> {
    let Some((head, rest)) = name.split_once('[') else {
        return Ok(None);
    };
    let (range, tail) = rest.split_once(']').ok_or("a `[` is not closed")?;
    Ok(Some((head, range, tail)))
}

fn items(range: &str) -> Result<Vec<String>, String> {
    let bounds: Vec<&str> = range.split(':').collect();
    let (begin, end, step) = match *bounds.as_slice() {
        [begin, end] => (begin, end, "1"),
        [begin, end, step] => (begin, end, step),
        _ => return Err("a host range must be `begin:end` or `begin:end:step`".into()),
    };
    if end.is_empty() {
        return Err("a host range must have an end".into());
    }
    let begin = if begin.is_empty() { "0" } else { begin };
    let width = if begin.len() > 1 && begin.starts_with('0') {
        begin.len()
    } else {
        0
    };
    if width > 0 && width != end.len() {
        return Err("begin and end of a host range must have the same length".into());
    }
    let step: usize = step
        .parse()
        .ok()
        .filter(|s| *s > 0)
        .ok_or("the step of a host range must be a positive number")?;
    if let (Some(first), Some(last)) = (letter(begin), letter(end)) {
        if first > last {
            return Err("the begin of a host range must not be after its end".into());
        }
        return Ok(letters()
            .skip(first)
            .take(last - first + 1)
            .step_by(step)
            .map(String::from)
            .collect());
    }
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("`{text}` is no bound of a host range"))
    };
    let (first, last) = (number(begin)?, number(end)?);
    let count = last.saturating_sub(first) / step as u64;
    if count > HOSTS_MAX as u64 {
        return Err(format!("a range stands for more than {HOSTS_MAX} hosts"));
    }
    Ok((first..=last)
        .step_by(step)
        .map(|n| format!("{n:0width$}"))
        .collect())
}

fn letters() -> impl Iterator<Item = char> {
    ('a'..='z').chain('A'..='Z')
}

fn letter(text: &str) -> Option<usize> {
    let mut chars = text.chars();
    let first = chars.next()?;
    if chars.next().is_some() {
        return None;
    }
    letters().position(|c| c == first)
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn ranges_are_inclusive_and_keep_their_width() {
        let ok = |t: &str| expand(t).unwrap().join(" ");
        assert_eq!(ok("web[1:3]"), "web1 web2 web3");
        assert_eq!(ok("w[01:10:4]x"), "w01x w05x w09x");
        assert_eq!(ok("db-[a:c]"), "db-a db-b db-c");
        assert_eq!(ok("[1:2][a:b]"), "1a 1b 2a 2b");
        assert_eq!(ok("x[:2]"), "x0 x1 x2");
        for bad in [
            "x[1]",
            "x[1:]",
            "x[01:100]",
            "x[c:a]",
            "x[1:2:0]",
            "x[1:b]",
            "x[1:2",
        ] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }
}
