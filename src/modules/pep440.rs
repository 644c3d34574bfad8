//! Versions of Python packages, and whether one satisfies a requirement.
//!
//! Pure. What it cannot read it says so of, and never guesses. Source: PEP 440 and PEP 508.

use std::cmp::Ordering;

/// A requirement: a package and the versions of it that will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Requirement {
    /// The canonical name.
    pub(super) name: String,
    /// Whether extras are asked for, which a list of packages does not show.
    pub(super) has_extras: bool,
    /// Operators and versions.
    pub(super) clauses: Vec<(String, String)>,
}

/// The name as indexes know it: `Foo_Bar` is `foo-bar`.
pub(super) fn canonical(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

impl Requirement {
    /// Reads `name[extra] >= 1, < 2`; `None` for anything else (a URL, a path, a marker).
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !is_name {
            return None;
        }
        rest = rest.trim_start();
        let has_extras = rest.starts_with('[');
        if has_extras {
            rest = rest.split_once(']')?.1.trim_start();
        }
        if rest.starts_with(',') {
            return None;
        }
        let mut clauses = Vec::new();
        for clause in rest.split(',').map(str::trim).filter(|c| !c.is_empty()) {
            const OPERATORS: &[&str] = &["===", "==", "!=", "<=", ">=", "~=", "<", ">"];
            let operator = OPERATORS.iter().find(|op| clause.starts_with(**op))?;
            let version = clause[operator.len()..].trim();
            if version.is_empty() || version.contains([' ', ';', '@']) {
                return None;
            }
            clauses.push(((*operator).to_owned(), version.to_owned()));
        }
        Some(Self {
            name: canonical(name),
            has_extras,
            clauses,
        })
    }

    /// Whether this version will do; `None` where that cannot be told.
    pub(super) fn holds(&self, version: &str) -> Option<bool> {
        let mut holds = true;
        for (operator, wanted) in &self.clauses {
            holds &= satisfies(version, operator, wanted)?;
        }
        Some(holds)
    }
}

fn satisfies(version: &str, operator: &str, wanted: &str) -> Option<bool> {
    if operator == "===" {
        return Some(version.eq_ignore_ascii_case(wanted));
    }
    let have = Version::read(version)?;
    if let Some(prefix) = wanted.strip_suffix(".*") {
        let prefix = Version::read(prefix)?;
        let is_same = have.begins_with(&prefix);
        return match operator {
            "==" => Some(is_same),
            "!=" => Some(!is_same),
            _ => None,
        };
    }
    let want = Version::read(wanted)?;
    // A local part counts only where the requirement has one too.
    let have = if want.local.is_empty() {
        Version {
            local: Vec::new(),
            ..have
        }
    } else {
        have
    };
    let order = have.cmp(&want);
    Some(match operator {
        "==" => order == Ordering::Equal,
        "!=" => order != Ordering::Equal,
        "<=" => order != Ordering::Greater,
        ">=" => order != Ordering::Less,
        "<" => order == Ordering::Less && (want.is_early() || !have.is_early_of(&want)),
        ">" => order == Ordering::Greater && (want.post.is_some() || !have.is_late_of(&want)),
        "~=" => {
            let mut prefix = want.clone();
            if prefix.release.len() < 2 {
                return None;
            }
            prefix.release.pop();
            (prefix.pre, prefix.post, prefix.dev) = (None, None, None);
            order != Ordering::Less && have.begins_with(&prefix)
        }
        _ => return None,
    })
}

/// A version, in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Version {
    epoch: u64,
    release: Vec<u64>,
    /// `a`, `b` or `rc` as 0, 1, 2, and a number.
    pre: Option<(u8, u64)>,
    post: Option<u64>,
    dev: Option<u64>,
    local: Vec<String>,
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let text = text.strip_prefix('v').unwrap_or(&text);
        let (text, local) = text.split_once('+').unwrap_or((text, ""));
        let (epoch, mut rest) = match text.split_once('!') {
            Some((epoch, rest)) => (epoch.parse().ok()?, rest),
            None => (0, text),
        };
        let mut version = Self {
            epoch,
            local: local
                .split(['.', '-', '_'])
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
            ..Self::default()
        };
        loop {
            version.release.push(digits(&mut rest)?);
            match rest.strip_prefix('.') {
                Some(more) if more.starts_with(|c: char| c.is_ascii_digit()) => rest = more,
                _ => break,
            }
        }
        while !rest.is_empty() {
            // `1.0-1` is a post-release.
            if let Some(mut number) = rest.strip_prefix('-')
                && number.starts_with(|c: char| c.is_ascii_digit())
            {
                version.post = digits(&mut number);
                rest = number;
                continue;
            }
            let word = rest.trim_start_matches(['.', '-', '_']);
            let end = word
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(word.len());
            let (word, after) = word.split_at(end);
            let mut number = after.trim_start_matches(['.', '-', '_']);
            let value = if number.starts_with(|c: char| c.is_ascii_digit()) {
                let value = digits(&mut number)?;
                rest = number;
                value
            } else {
                rest = after;
                0
            };
            match word {
                "a" | "alpha" => version.pre = Some((0, value)),
                "b" | "beta" => version.pre = Some((1, value)),
                "rc" | "c" | "pre" | "preview" => version.pre = Some((2, value)),
                "post" | "rev" | "r" => version.post = Some(value),
                "dev" => version.dev = Some(value),
                _ => return None,
            }
        }
        Some(version)
    }

    fn is_early(&self) -> bool {
        self.pre.is_some() || self.dev.is_some()
    }

    /// Whether this is a pre-release of that very release.
    fn is_early_of(&self, other: &Self) -> bool {
        self.is_early() && self.base() == other.base()
    }

    /// Whether this is a post-release or local build of that very release.
    fn is_late_of(&self, other: &Self) -> bool {
        (self.post.is_some() || !self.local.is_empty()) && self.base() == other.base()
    }

    fn base(&self) -> (u64, &[u64]) {
        let end = self.release.iter().rposition(|part| *part != 0);
        (self.epoch, &self.release[..end.map_or(0, |end| end + 1)])
    }

    fn begins_with(&self, prefix: &Self) -> bool {
        let part = |i: usize| self.release.get(i).copied().unwrap_or(0);
        let is_plain = prefix.pre.is_none() && prefix.post.is_none() && prefix.dev.is_none();
        self.epoch == prefix.epoch
            && is_plain
            && prefix
                .release
                .iter()
                .enumerate()
                .all(|(i, want)| part(i) == *want)
    }

    /// The order of what follows the release: `.dev` first, then `a`, `b`, `rc`, none, `.post`.
    fn phase(&self) -> (u8, u64) {
        match (self.pre, self.post, self.dev) {
            (None, None, Some(_)) => (0, 0),
            (Some((phase, number)), ..) => (phase + 1, number),
            _ => (4, 0),
        }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let dev = |version: &Self| version.dev.unwrap_or(u64::MAX);
        let post = |version: &Self| version.post.map_or(0, |post| post.saturating_add(1));
        self.base()
            .cmp(&other.base())
            .then_with(|| self.phase().cmp(&other.phase()))
            .then_with(|| post(self).cmp(&post(other)))
            .then_with(|| dev(self).cmp(&dev(other)))
            .then_with(|| self.local.cmp(&other.local))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn digits(rest: &mut &str) -> Option<u64> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected answers are those of Python's `packaging`.
    #[test]
    fn requirements_hold_as_packaging_says() {
        for (requirement, version, expected) in [
            ("x", "1.0", Some(true)),
            ("x==1.0", "1.0.0", Some(true)),
            ("x==1.0", "1.0+local", Some(true)),
            ("x==1.*", "1.9.2", Some(true)),
            ("x!=1.*", "1.9.2", Some(false)),
            ("x>=1.10", "1.9", Some(false)),
            ("x>=1.0,<2", "1.99", Some(true)),
            ("x<2", "2.0rc1", Some(false)),
            ("x<2rc2", "2.0rc1", Some(true)),
            ("x>1.0", "1.0.post1", Some(false)),
            ("x>1.0", "1.0.1", Some(true)),
            ("x~=1.4.2", "1.4.9", Some(true)),
            ("x~=1.4.2", "1.5.0", Some(false)),
            ("x~=1.4", "1.9", Some(true)),
            ("x>=1.0", "1.0.dev3", Some(false)),
            ("x>=1.0a1", "1.0b1", Some(true)),
            ("x===weird", "weird", Some(true)),
            ("x==1!1.0", "1.0", Some(false)),
            ("x==1.0-1", "1.0.post1", Some(true)),
            ("x>=1", "unknown", None),
        ] {
            let read = Requirement::read(requirement).unwrap();
            assert_eq!(read.holds(version), expected, "{requirement} {version}");
        }
    }

    #[test]
    fn names_are_canonical_and_what_is_no_requirement_is_not_read() {
        let read = Requirement::read(" Foo_._Bar [a,b] >= 1 , <2 ").unwrap();
        assert_eq!(read.name, "foo-bar");
        assert!(read.has_extras);
        assert_eq!(read.clauses.len(), 2);
        for text in [
            "git+https://x/y",
            "./dir",
            "x; python_version < '3'",
            "x @ https://y",
            "-e",
            "",
            "x >",
            "x,<2",
        ] {
            assert_eq!(Requirement::read(text), None, "{text}");
        }
    }
}
