//! From connection variables and keywords to a [`Target`].
//!
//! Source of names and precedence: ansible-core 2.19, `playbook/play_context.py` and the documented
//! options of the `ssh`, `sudo`, `su` connection and become plugins: variables beat keywords,
//! keywords beat the command line.

use super::controller::{Problem, View};
use super::frame::Frame;
use super::run::{Run, plain_text};
use crate::model::Field;
use crate::transport::{Become, BecomeMethod, Connection, SecretText, Target};
use crate::value::Value;

/// Reads the connection of `host` from `view`.
struct Reader<'a> {
    run: &'a Run,
    view: &'a View,
}

impl Reader<'_> {
    /// The first of these variables that is set.
    fn variable(&self, names: &[&str]) -> Result<Option<Value>, Problem> {
        for name in names {
            if let Some(raw) = self.view.scope.get(name) {
                match self.run.controller.render(raw, self.view)? {
                    None | Some(Value::Null) => {}
                    found => return Ok(found),
                }
            }
        }
        Ok(None)
    }

    fn text(&self, names: &[&str], keyword: Option<&Field>) -> Result<Option<String>, Problem> {
        match self.variable(names)? {
            Some(value) => plain_text(&value)
                .map(Some)
                .ok_or_else(|| Problem::new(format!("`{}` must be a string", names[0]))),
            None => self.run.text(keyword, self.view),
        }
    }

    fn flag(&self, names: &[&str], keyword: Option<&Field>) -> Result<Option<bool>, Problem> {
        match self.variable(names)? {
            Some(value) => value
                .to_bool()
                .map(Some)
                .ok_or_else(|| Problem::new(format!("`{}` must be a boolean", names[0]))),
            None if keyword.is_none() => Ok(None),
            None => self.run.flag(keyword, self.view, false).map(Some),
        }
    }

    fn words(&self, names: &[&str]) -> Result<Vec<String>, Problem> {
        let Some(text) = self.text(names, None)? else {
            return Ok(Vec::new());
        };
        shlex::split(&text)
            .ok_or_else(|| Problem::new(format!("`{}` has an unclosed quote: {text}", names[0])))
    }
}

impl Run {
    /// Where a task acts and as whom. `view` is that of the host it acts on, so that a delegate's
    /// own connection variables count; `frame` gives the keywords.
    pub(crate) fn target(&self, host: &str, view: &View, frame: &Frame) -> Result<Target, Problem> {
        let reader = Reader { run: self, view };
        let kind = reader.text(
            &["ansible_connection"],
            frame.keyword(|k| k.connection.as_ref()),
        )?;
        let is_implicit_local = kind.is_none() && self.is_implicit_localhost(host);
        let connection = match kind.as_deref() {
            Some("local") => Connection::Local,
            _ if is_implicit_local => Connection::Local,
            None | Some("ssh" | "smart" | "ansible.builtin.ssh" | "paramiko") => {
                ssh(&reader, host, frame)?
            }
            Some(other) => {
                return Err(Problem::new(format!(
                    "connection `{other}` is not supported; use `ssh` or `local`"
                )));
            }
        };
        Ok(Target {
            host: host.to_owned(),
            connection,
            become_user: become_of(&reader, frame)?,
        })
    }
}

fn ssh(reader: &Reader<'_>, host: &str, frame: &Frame) -> Result<Connection, Problem> {
    let port = match reader.text(
        &["ansible_port", "ansible_ssh_port"],
        frame.keyword(|k| k.port.as_ref()),
    )? {
        None => None,
        Some(text) => Some(text.trim().parse().map_err(|_| {
            Problem::new(format!(
                "`ansible_port` must be a port number, found `{text}`"
            ))
        })?),
    };
    let mut args = reader.words(&["ansible_ssh_args"])?;
    args.extend(reader.words(&["ansible_ssh_common_args"])?);
    args.extend(reader.words(&["ansible_ssh_extra_args"])?);
    let timeout_s = reader
        .text(&["ansible_timeout", "ansible_ssh_timeout"], None)?
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(10);
    let checks_host_key = reader
        .flag(
            &["ansible_host_key_checking", "ansible_ssh_host_key_checking"],
            None,
        )?
        .unwrap_or(true);
    Ok(Connection::Ssh {
        address: reader
            .text(&["ansible_host", "ansible_ssh_host"], None)?
            .unwrap_or_else(|| host.to_owned()),
        port,
        user: reader.text(
            &["ansible_user", "ansible_ssh_user"],
            frame.keyword(|k| k.remote_user.as_ref()),
        )?,
        key: reader
            .text(
                &["ansible_private_key_file", "ansible_ssh_private_key_file"],
                None,
            )?
            .map(|path| expand_home(&path).into()),
        args,
        password: reader
            .text(
                &[
                    "ansible_password",
                    "ansible_ssh_pass",
                    "ansible_ssh_password",
                ],
                None,
            )?
            .map(SecretText),
        timeout_s,
        accepts_any_host_key: !checks_host_key,
    })
}

fn become_of(reader: &Reader<'_>, frame: &Frame) -> Result<Option<Become>, Problem> {
    let wanted = reader.flag(&["ansible_become"], frame.keyword(|k| k.r#become.as_ref()))?;
    if wanted != Some(true) {
        return Ok(None);
    }
    let method = match reader
        .text(
            &["ansible_become_method"],
            frame.keyword(|k| k.become_method.as_ref()),
        )?
        .as_deref()
        .map(|name| name.rsplit('.').next().unwrap_or(name))
    {
        None | Some("sudo") => BecomeMethod::Sudo,
        Some("su") => BecomeMethod::Su,
        Some("doas") => BecomeMethod::Doas,
        Some(other) => {
            return Err(Problem::new(format!(
                "become method `{other}` is not supported; use `sudo`, `su` or `doas`"
            )));
        }
    };
    let flags = reader
        .text(
            &["ansible_become_flags"],
            frame.keyword(|k| k.become_flags.as_ref()),
        )?
        .map(|text| {
            shlex::split(&text).ok_or_else(|| {
                Problem::new(format!("`become_flags` has an unclosed quote: {text}"))
            })
        })
        .transpose()?;
    Ok(Some(Become {
        user: reader
            .text(
                &["ansible_become_user"],
                frame.keyword(|k| k.become_user.as_ref()),
            )?
            .unwrap_or_else(|| "root".to_owned()),
        method,
        flags,
        password: reader
            .text(&["ansible_become_password", "ansible_become_pass"], None)?
            .map(SecretText),
    }))
}

fn expand_home(path: &str) -> String {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest).display().to_string(),
        _ => path.to_owned(),
    }
}
