//! A `sh` on this machine.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::session::Pipes;

/// Starts a `sh` in a session of its own, so that keys at the terminal do not reach it and it has
/// no terminal to ask at.
///
/// # Errors
/// It cannot be started.
pub(super) fn spawn(env: &[(OsString, OsString)], umask: Option<u32>) -> std::io::Result<Pipes> {
    match umask {
        None => spawn_shell(&["/bin/sh"], env),
        Some(umask) => {
            let start = format!("umask {umask:04o}; exec /bin/sh");
            spawn_shell(&["/bin/sh", "-c", &start], env)
        }
    }
}

/// Like [`spawn`], with a shell of choice.
pub(super) fn spawn_shell(argv: &[&str], env: &[(OsString, OsString)]) -> std::io::Result<Pipes> {
    let mut child = spawn_detached(argv, env, |command| {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    })?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(std::io::ErrorKind::BrokenPipe.into());
    };
    Ok(Pipes {
        stdin: Box::new(stdin),
        stdout: Box::new(stdout),
        stderr: Box::new(stderr),
        exit: Box::pin(async move {
            // How it ended does not matter: a `sh` that is gone gives no reply.
            drop(child.wait().await);
        }),
        exit_keeps_output: true,
        master: None,
    })
}

/// Starts a program away from our terminal: by `setsid` where there is one, else in a process
/// group of its own.
pub(super) fn spawn_detached(
    argv: &[&str],
    env: &[(OsString, OsString)],
    set: impl Fn(&mut Command),
) -> std::io::Result<Child> {
    let start = |words: &[&str], is_group: bool| {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        command.envs(env.iter().map(|(name, value)| (name, value)));
        if is_group {
            command.process_group(0);
        }
        set(&mut command);
        command.spawn()
    };
    // `setsid` does not fork where it does not lead a process group, so the process id stays.
    match start(&[&["setsid"], argv].concat(), false) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => start(argv, true),
        result => result,
    }
}
