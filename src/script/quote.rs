//! One word of sh from any text.

/// Quotes `text` so that a POSIX shell reads it back as exactly one word. NUL cannot be in a word
/// and is dropped.
pub fn quote(text: &str) -> String {
    let is_plain = !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./:@%+,=".contains(&b))
        && !text.starts_with('=');
    if is_plain {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\0', "").replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn hostile_words_come_back_from_a_real_sh() {
        for word in [
            "", "it's", "a b\nc", "-n", "$(id)", "`id`", "\\", "*", "~", "a'b'c\"d", "=x",
        ] {
            let output = std::process::Command::new("/bin/sh")
                .args(["-c", &format!("printf %s {}", quote(word))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        }
    }
}
