//! What `apt-get --simulate` says it would do, package names and versions as Debian sees them, and
//! the way back from a transaction.
//!
//! Pure. Versions compare as in `deb-version(7)`.

use std::cmp::Ordering;

use crate::script::quote;

/// One package as the user names it: `nginx`, `nginx=1.2*`, `nginx>=1.2`, `libc6:i386`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// The name, a pattern of names, or `name:architecture`.
    pub(super) name: String,
    /// What the version has to be.
    pub(super) version: Option<Wanted>,
}

/// What a version has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It matches this pattern.
    Like(String),
    /// It is this one or a later one.
    AtLeast(String),
}

impl Spec {
    /// Reads one item of `name`.
    ///
    /// # Errors
    /// Why it cannot be the name of a package.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, version) = match text.find('=') {
            None => (text, None),
            Some(at) => {
                let version = &text[at + 1..];
                if version.is_empty() || version.contains('=') {
                    return Err(format!("invalid package spec: {text}"));
                }
                match text[..at].strip_suffix('>') {
                    Some(name) => (name, Some(Wanted::AtLeast(version.to_owned()))),
                    None => (&text[..at], Some(Wanted::Like(version.to_owned()))),
                }
            }
        };
        let is_name = name.starts_with(|c: char| c.is_ascii_alphanumeric() || "*?[".contains(c))
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+.:_-*?[]!".contains(c))
            // apt would take a last `-` for `remove this`.
            && !name.ends_with('-');
        if !is_name {
            return Err(format!("invalid package spec: {text}"));
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }

    /// Whether the name is a pattern.
    pub(super) fn is_pattern(&self) -> bool {
        self.name.contains(['*', '?', '[', ']', '!'])
    }

    /// How apt-get is told of it.
    pub(super) fn for_apt(&self) -> String {
        match &self.version {
            Some(Wanted::Like(version)) => format!("{}={version}", self.name),
            _ => self.name.clone(),
        }
    }

    /// Whether an installed version is what is wanted.
    pub(super) fn accepts(&self, version: &str) -> bool {
        match &self.version {
            None => true,
            Some(Wanted::Like(pattern)) => like(pattern, version),
            Some(Wanted::AtLeast(least)) => compare(version, least) != Ordering::Less,
        }
    }
}

/// Whether a text matches a pattern of the shell's kind, as Python's `fnmatch` does.
pub(super) fn like(pattern: &str, text: &str) -> bool {
    globset::GlobBuilder::new(pattern)
        .build()
        .is_ok_and(|glob| glob.compile_matcher().is_match(text))
}

/// Compares two versions of Debian packages.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    fn parts(version: &str) -> (u64, &str, &str) {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch.parse().unwrap_or_default(), upstream, revision)
    }
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0)
        .then_with(|| compare_part(a.1, b.1))
        .then_with(|| compare_part(a.2, b.2))
}

fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    fn weight(c: Option<char>) -> i32 {
        match c {
            Some('~') => -1,
            None => 0,
            Some(c) if c.is_ascii_alphabetic() => i32::from(c as u8),
            Some(c) => 256 + i32::try_from(u32::from(c)).unwrap_or(i32::MAX - 256),
        }
    }
    fn cut(text: &str, is_digits: bool) -> (&str, &str) {
        let end = text
            .find(|c: char| c.is_ascii_digit() != is_digits)
            .unwrap_or(text.len());
        text.split_at(end)
    }
    while !a.is_empty() || !b.is_empty() {
        let ((word_a, rest_a), (word_b, rest_b)) = (cut(a, false), cut(b, false));
        let (mut left, mut right) = (word_a.chars(), word_b.chars());
        loop {
            let (x, y) = (left.next(), right.next());
            match weight(x).cmp(&weight(y)) {
                Ordering::Equal if x.is_none() && y.is_none() => break,
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        let ((digits_a, rest_a), (digits_b, rest_b)) = (cut(rest_a, true), cut(rest_b, true));
        let (digits_a, digits_b) = (
            digits_a.trim_start_matches('0'),
            digits_b.trim_start_matches('0'),
        );
        let order = digits_a
            .len()
            .cmp(&digits_b.len())
            .then_with(|| digits_a.cmp(digits_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// One package that a transaction touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The name, with an architecture where it is a foreign one.
    pub(super) name: String,
    /// The version before; `None` where it was not installed.
    pub(super) before: Option<String>,
    /// The version after; `None` where it is removed.
    pub(super) after: Option<String>,
}

/// Reads the `Inst`, `Remv` and `Purg` lines of a simulation.
pub(super) fn simulated(output: &str) -> Vec<Step> {
    output
        .lines()
        .filter_map(|line| {
            let (verb, rest) = line.split_once(' ')?;
            let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
            let before = rest
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'))
                .map(|(version, _)| version.to_owned());
            let after = match verb {
                "Inst" => {
                    let (_, inner) = rest.split_once('(')?;
                    Some(inner.split([' ', ')']).next()?.to_owned())
                }
                "Remv" | "Purg" => None,
                _ => return None,
            };
            Some(Step {
                name: name.to_owned(),
                before,
                after,
            })
        })
        .collect()
}

/// The steps as a person reads them.
pub(super) fn described(steps: &[Step]) -> (String, String) {
    let side = |version: fn(&Step) -> &Option<String>| {
        steps
            .iter()
            .filter_map(|step| Some(format!("{} {}\n", step.name, version(step).as_ref()?)))
            .collect::<String>()
    };
    (side(|step| &step.before), side(|step| &step.after))
}

/// One line on what a transaction does.
pub(super) fn summary(steps: &[Step]) -> String {
    let mut parts: Vec<String> = steps
        .iter()
        .take(6)
        .map(|step| match (&step.before, &step.after) {
            (None, Some(after)) => format!("install {} {after}", step.name),
            (Some(before), Some(after)) => format!("{} {before} -> {after}", step.name),
            (_, None) => format!("remove {}", step.name),
        })
        .collect();
    if steps.len() > 6 {
        parts.push(format!("and {} more", steps.len() - 6));
    }
    parts.join(", ")
}

/// sh that writes what a transaction would do as `NAME VERSION-BEFORE` lines, from the output of a
/// simulation on its standard input.
pub(super) const RECORD: &str = r#"sb_record() {
  while read -r SB_verb SB_name SB_old SB_rest; do
    case $SB_verb in
    Inst | Remv | Purg) ;;
    *) continue ;;
    esac
    case $SB_old in
    '['*) SB_old=${SB_old#[} SB_old=${SB_old%%]*} ;;
    *) SB_old=- ;;
    esac
    printf '%s %s\n' "$SB_name" "$SB_old"
  done
}
"#;

/// sh that brings the packages named on its standard input (`NAME VERSION-BEFORE`) back to those
/// versions, in one transaction. What is there already is left alone.
pub(super) fn going_back(apt_get: &str) -> String {
    format!(
        "sb_back() {{\n  set --\n  while read -r SB_name SB_old; do\n\
         \x20   SB_now=$(dpkg-query -W -f '${{db:Status-Abbrev}} ${{Version}}' -- \"$SB_name\" 2>/dev/null)\n\
         \x20   case $SB_now in\n    ?i*) SB_now=${{SB_now##* }} ;;\n    *) SB_now=- ;;\n    esac\n\
         \x20   [ \"$SB_now\" = \"$SB_old\" ] && continue\n\
         \x20   if [ \"$SB_old\" = - ]; then set -- \"$@\" \"$SB_name-\"\n\
         \x20   else set -- \"$@\" \"$SB_name=$SB_old\"; fi\n  done\n\
         \x20 [ $# -eq 0 ] || {apt_get} --allow-downgrades --allow-change-held-packages \
         install \"$@\" </dev/null\n}}\n"
    )
}

/// The lines that [`going_back`] reads.
pub(super) fn before_lines(steps: &[Step]) -> String {
    let lines: Vec<String> = steps
        .iter()
        .map(|step| {
            quote(&format!(
                "{} {}",
                step.name,
                step.before.as_deref().unwrap_or("-")
            ))
        })
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_dpkg_compares_them() {
        for (a, b) in [
            ("1.0~rc1-1", "1.0-1"),
            ("1.0", "1.0-1"),
            ("9.0", "10.0"),
            ("1.2", "1:0.1"),
            ("1.0+deb12u1", "1.0+deb12u2"),
            ("1.0a", "1.0+"),
            ("15.13-0+deb12u1", "15.14-0+deb12u1"),
            ("1.0~~", "1.0~"),
        ] {
            let dpkg = std::process::Command::new("dpkg")
                .args(["--compare-versions", a, "lt", b])
                .status()
                .unwrap();
            assert_eq!(dpkg.success(), compare(a, b) == Ordering::Less, "{a} {b}");
            assert_eq!(compare(b, a), compare(a, b).reverse(), "{a} {b}");
        }
        assert_eq!(compare("1.00", "1.0"), Ordering::Equal);
    }

    #[test]
    fn a_simulation_is_read_to_its_steps() {
        let steps = simulated(
            "NOTE: This is only a simulation!\nRemv foo [1.0-1] [bar:amd64 ]\n\
             Inst libx (2.0-1 Debian:12.11/stable [amd64]) []\n\
             Inst curl [7.88.1-10] (7.88.1-10+deb12u12 Debian:12.11/stable [amd64])\n\
             Conf libx (2.0-1 Debian:12.11/stable [amd64])\nPurg baz [3]\n",
        );
        assert_eq!(
            summary(&steps),
            "remove foo, install libx 2.0-1, curl 7.88.1-10 -> 7.88.1-10+deb12u12, remove baz"
        );
        assert_eq!(
            before_lines(&steps),
            "'foo 1.0-1' 'libx -' 'curl 7.88.1-10' 'baz 3'"
        );
    }

    #[test]
    fn specs_are_names_with_versions() {
        assert_eq!(Spec::read("nginx").unwrap().version, None);
        let spec = Spec::read("nginx=1.2*").unwrap();
        assert!(spec.accepts("1.2.3-1") && !spec.accepts("1.3"));
        let spec = Spec::read("nginx>=1.2").unwrap();
        assert_eq!(spec.for_apt(), "nginx");
        assert!(spec.accepts("1.10") && !spec.accepts("1.1"));
        for bad in ["-o", "a b", "a;b", "a=b=c", "x-", "", "a="] {
            assert!(Spec::read(bad).is_err(), "{bad}");
        }
        assert!(Spec::read("libstdc++6:i386").is_ok());
    }
}
