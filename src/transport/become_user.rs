//! Becoming another user: how a `sh` of a login user turns into a `sh` of another one.
//!
//! Invariants: a password is written only after a prompt that carries our nonce was seen, and at
//! most once; nothing else is written until the new `sh` has said that it is there, since a second
//! prompt would read it as a password.

use std::time::Duration;

use super::frame::position;
use super::session::{Session, one_line};
use super::{Become, BecomeMethod, Failed, Stream};
use crate::script::quote;

/// How much of what a user switch says is kept.
const SAID_BYTES_MAX: usize = 16 * 1024;

/// The words by which a user switch is followed; each holds a nonce.
struct Words {
    /// The first line, which a login file may have eaten.
    whole: String,
    /// Said by the new `sh`.
    arrived: String,
    /// Said by the login `sh` if the first line did not arrive.
    eaten: String,
    /// The prompt.
    prompt: String,
}

impl Words {
    fn new(nonce: &str) -> Self {
        Self {
            whole: format!("{nonce}w"),
            arrived: format!("{nonce}a"),
            eaten: format!("{nonce}x"),
            prompt: format!("{nonce}p"),
        }
    }
}

/// Turns the fresh `sh` of `session` into one of `to`.
///
/// # Errors
/// [`Failed::Unreachable`] with what the program said.
pub(super) async fn switch(
    session: &mut Session,
    to: &Become,
    nonce: &str,
    limit: Duration,
) -> Result<(), Failed> {
    let words = Words::new(nonce);
    let program = name(to.method);
    let command = command(to, &words)?;
    let Words { whole, eaten, .. } = &words;
    let text =
        format!("SB0={whole}\ncase $SB0 in {whole}) exec {command} ;; *) echo {eaten} ;; esac\n");
    if session.say(text.as_bytes()).await.is_err() {
        return Err(refused(program, "the channel closed at once", None));
    }
    let talk = tokio::time::timeout(limit, follow(session, to, &words)).await;
    talk.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", limit.as_secs());
        Err(refused(program, &reason, None))
    })
}

/// Reads until the new `sh` is there, and answers the prompt.
async fn follow(session: &mut Session, to: &Become, words: &Words) -> Result<(), Failed> {
    let program = name(to.method);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut has_answered = false;
    loop {
        let Some(chunk) = session.listen().await else {
            return Err(explain(to, &out, &err, words));
        };
        let said = match chunk.stream {
            Stream::Out => &mut out,
            Stream::Err => &mut err,
        };
        said.extend_from_slice(&chunk.bytes);
        let excess = said.len().saturating_sub(SAID_BYTES_MAX);
        said.drain(..excess);
        if position(&out, words.arrived.as_bytes()).is_some() {
            return Ok(());
        }
        if position(&out, words.eaten.as_bytes()).is_some() {
            let reason = "a login file on the host reads standard input and ate what was sent";
            return Err(refused(program, reason, None));
        }
        if let Some(at) = position(&err, words.prompt.as_bytes()) {
            let Some(password) = to.password.as_ref().filter(|_| !has_answered) else {
                return Err(wrong_password(to));
            };
            err.drain(..at + words.prompt.len());
            has_answered = true;
            let line = format!("{}\n", password.0);
            if session.say(line.as_bytes()).await.is_err() {
                return Err(explain(to, &out, &err, words));
            }
        }
        if to.method == BecomeMethod::Su && position(&err, b"assword:").is_some() {
            return Err(su_wants_a_terminal());
        }
    }
}

/// The program and its arguments, as one line of sh.
fn command(to: &Become, words: &Words) -> Result<String, Failed> {
    let user = quote(&to.user);
    let shell = quote(&format!("echo {}; exec /bin/sh", words.arrived));
    let flags = |default: &str, without: &str| match &to.flags {
        None => default.to_owned(),
        Some(flags) => flags
            .iter()
            .filter(|flag| *flag != without)
            .map(|flag| quote(flag))
            .collect::<Vec<_>>()
            .join(" "),
    };
    Ok(match (to.method, &to.password) {
        (BecomeMethod::Sudo, None) => {
            format!(
                "sudo {} -n -u {user} -- /bin/sh -c {shell}",
                flags("-H", "")
            )
        }
        (BecomeMethod::Sudo, Some(_)) => {
            let prompt = &words.prompt;
            // `-n` among the user's flags would forbid the prompt.
            let flags = flags("-H", "-n");
            format!("sudo {flags} -S -p {prompt} -u {user} -- /bin/sh -c {shell}")
        }
        (BecomeMethod::Su, None) => format!("su {} {user} -c {shell}", flags("", "")),
        (BecomeMethod::Doas, None) => {
            format!("doas {} -n -u {user} -- /bin/sh -c {shell}", flags("", ""))
        }
        (BecomeMethod::Su, Some(_)) => return Err(su_wants_a_terminal()),
        (BecomeMethod::Doas, Some(_)) => {
            return Err(refused(
                "doas",
                "it asks for a password only on a terminal, and there is none",
                Some("allow it with `nopass` in `doas.conf`, or use `become_method: sudo`"),
            ));
        }
    })
}

fn name(method: BecomeMethod) -> &'static str {
    match method {
        BecomeMethod::Sudo => "sudo",
        BecomeMethod::Su => "su",
        BecomeMethod::Doas => "doas",
    }
}

fn refused(program: &str, reason: &str, help: Option<&str>) -> Failed {
    Failed::Unreachable {
        reason: format!("`{program}`: {reason}"),
        help: help.map(str::to_owned),
    }
}

fn su_wants_a_terminal() -> Failed {
    refused(
        "su",
        "it asks for a password only on a terminal, and there is none",
        Some("log in as root, or use `become_method: sudo`"),
    )
}

fn wrong_password(to: &Become) -> Failed {
    let program = name(to.method);
    match to.password {
        Some(_) => refused(
            program,
            "the password was not accepted (tried once)",
            Some("check `ansible_become_password`"),
        ),
        None => wants_password(program),
    }
}

fn wants_password(program: &str) -> Failed {
    refused(
        program,
        "it wants a password and none is set",
        Some("set `ansible_become_password`, or allow the user without one (`NOPASSWD`)"),
    )
}

/// Makes one line of what was said before the program gave up.
fn explain(to: &Become, out: &[u8], err: &[u8], words: &Words) -> Failed {
    let program = name(to.method);
    let said = [out, b"\n", err].concat();
    let said = String::from_utf8_lossy(&said).replace(&words.prompt, "");
    let has = |text: &str| said.contains(text);
    if has("password is required") || has("a terminal is required") || has("Authentication failed")
    {
        return match to.password {
            Some(_) => wrong_password(to),
            None => wants_password(program),
        };
    }
    if has("incorrect password") || has("Authentication failure") {
        return wrong_password(to);
    }
    // What follows this line only says that sudo gave up because of it.
    if let Some(line) = said.lines().find(|line| line.contains("unknown user")) {
        return refused(program, &one_line(line), Some("check `become_user`"));
    }
    if has("must have a tty") {
        let help = "take `requiretty` out of the sudoers of the host for this user";
        return refused(program, "the host's sudoers require a terminal", Some(help));
    }
    if has("sudoers") || has("not allowed to") || has("Operation not permitted") {
        let help = format!("allow it to become `{}` on the host", to.user);
        return refused(program, &last_line(&said), Some(&help));
    }
    if has("not found") || has("No such file") {
        let help = "install it on the host, or set `become_method`";
        return refused(program, &last_line(&said), Some(help));
    }
    match last_line(&said).as_str() {
        "" => refused(program, "it gave no `sh` and no reason", None),
        line => refused(program, line, None),
    }
}

fn last_line(said: &str) -> String {
    let line = said.lines().rev().find(|line| !line.trim().is_empty());
    one_line(line.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::SecretText;

    fn to(method: BecomeMethod, flags: Option<&[&str]>, password: Option<&str>) -> Become {
        Become {
            user: "db admin".to_owned(),
            method,
            flags: flags.map(|flags| flags.iter().map(|&flag| flag.to_owned()).collect()),
            password: password.map(|word| SecretText(word.to_owned())),
        }
    }

    #[test]
    fn the_command_holds_no_password_and_one_prompt() {
        use BecomeMethod::{Doas, Su, Sudo};
        let words = Words::new("N");
        let shell = "-c 'echo Na; exec /bin/sh'";
        for (to, want) in [
            (
                to(Sudo, None, None),
                format!("sudo -H -n -u 'db admin' -- /bin/sh {shell}"),
            ),
            (
                to(Sudo, None, Some("pw")),
                format!("sudo -H -S -p Np -u 'db admin' -- /bin/sh {shell}"),
            ),
            (
                to(Sudo, Some(&["-n", "-i x"]), Some("pw")),
                format!("sudo '-i x' -S -p Np -u 'db admin' -- /bin/sh {shell}"),
            ),
            (to(Su, None, None), format!("su  'db admin' {shell}")),
            (
                to(Doas, None, None),
                format!("doas  -n -u 'db admin' -- /bin/sh {shell}"),
            ),
        ] {
            assert_eq!(command(&to, &words).unwrap(), want);
        }
        for method in [Su, Doas] {
            assert!(command(&to(method, None, Some("pw")), &words).is_err());
        }
    }

    #[test]
    fn what_was_said_becomes_one_line() {
        for (said, want) in [
            (
                "sudo: a password is required\n",
                "it wants a password and none is set",
            ),
            (
                "lecture\n\nsudo: sorry, you must have a tty to run sudo\n",
                "require a terminal",
            ),
            (
                "sudo: unknown user x\nsudo: error initializing audit plugin sudoers_audit\n",
                "sudo: unknown user x",
            ),
            ("/bin/sh: 2: exec: doas: not found\n", "doas: not found"),
            ("", "it gave no `sh` and no reason"),
        ] {
            let to = to(BecomeMethod::Sudo, None, None);
            let Failed::Unreachable { reason, .. } =
                explain(&to, b"", said.as_bytes(), &Words::new("N"))
            else {
                panic!("{said}");
            };
            assert!(
                reason.contains(want) && !reason.contains('\n'),
                "{said}: {reason}"
            );
        }
    }
}
