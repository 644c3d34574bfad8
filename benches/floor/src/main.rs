//! The floor: what the same remote work costs with nothing around it.
//!
//! `floor SSH_CONFIG TASKS HOST...` connects to every host at once by a control master, keeps one
//! `sh` on each, and has it run `/bin/true` as often as told, one frame after the other, with
//! marked ends on standard output and standard error. `floor SSH_CONFIG put FILE PATH HOST...`
//! streams a file to each host instead, with no check of what arrived.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use futures_util::future::try_join_all;
use openssh::{Session, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(run(&words)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(words: &[String]) -> Outcome<()> {
    match words {
        [config, put, file, path, hosts @ ..] if put == "put" => {
            let hosts = hosts.iter().map(|host| stream(config, host, file, path));
            try_join_all(hosts).await?;
        }
        [config, tasks, hosts @ ..] => {
            let tasks: usize = tasks.parse()?;
            let hosts = hosts.iter().map(|host| frames(config, host, tasks));
            try_join_all(hosts).await?;
        }
        _ => return Err("usage: floor SSH_CONFIG TASKS HOST...".into()),
    }
    Ok(())
}

/// Logs in: `ssh` detaches once the login is done.
async fn connect(config: &str, host: &str) -> Outcome<Session> {
    let socket = Path::new(config).with_file_name(format!("f{}-{host}", std::process::id()));
    let status = Command::new("ssh")
        .args([
            "-F",
            config,
            "-o",
            "ControlMaster=yes",
            "-o",
            "ControlPersist=60",
        ])
        .arg("-o")
        .arg(format!("ControlPath={}", socket.display()))
        .args(["-N", host])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .await?;
    if !status.success() {
        return Err(format!("no login on {host}: {status}").into());
    }
    Ok(Session::resume_mux(socket.into(), None))
}

async fn frames(config: &str, host: &str, tasks: usize) -> Outcome<()> {
    let session = connect(config, host).await?;
    let mut sh = session
        .raw_command("/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .await?;
    let lost = "the channel has no streams";
    let mut stdin = sh.stdin().take().ok_or(lost)?;
    let mut stdout = BufReader::new(sh.stdout().take().ok_or(lost)?);
    let mut stderr = BufReader::new(sh.stderr().take().ok_or(lost)?);
    let (mut out, mut err) = (String::new(), String::new());
    for task in 0..tasks {
        let request =
            format!("( /bin/true ) </dev/null; echo \"end {task} $?\"; echo 'end {task}' >&2\n");
        stdin.write_all(request.as_bytes()).await?;
        out.clear();
        err.clear();
        stdout.read_line(&mut out).await?;
        stderr.read_line(&mut err).await?;
        if out != format!("end {task} 0\n") || err != format!("end {task}\n") {
            return Err(format!("{host} said `{out}` and `{err}`").into());
        }
    }
    drop(stdin);
    sh.wait().await?;
    session.close().await?;
    Ok(())
}

async fn stream(config: &str, host: &str, file: &str, path: &str) -> Outcome<()> {
    let session = connect(config, host).await?;
    let mut cat = session
        .raw_command(format!("cat >{path}.{host}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .await?;
    let mut stdin = cat.stdin().take().ok_or("the channel has no streams")?;
    // The whole file at once: the floor may hold it in memory.
    stdin.write_all(&std::fs::read(file)?).await?;
    drop(stdin);
    cat.wait().await?;
    session.close().await?;
    Ok(())
}
