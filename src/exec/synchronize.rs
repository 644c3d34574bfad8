//! Where `synchronize` runs, and how its other end is reached.
//!
//! Without `delegate_to` it runs on the controller, which reaches the host by an `ssh` of its own;
//! a delegate reaches the host in the same way, unless it is the host. Source: `ansible.posix` 2.0,
//! `plugins/action/synchronize.py`.

use super::controller::Problem;
use super::item::Item;
use super::run::Run;
use crate::transport::{Connection, Target};
use crate::value::{Map, Value};

/// Its name.
pub(super) const SYNCHRONIZE: &str = "synchronize";
/// The host that stands for the controller.
const CONTROLLER: &str = "localhost";

impl Run {
    /// Target and environment of an item with this module.
    pub(super) fn place(
        &self,
        item: &Item,
        module: &str,
        args: &Value,
    ) -> Result<(Target, Vec<(String, String)>), Problem> {
        let (target, environment) = self.where_and_how(item)?;
        let other = match module {
            SYNCHRONIZE => self.synchronize_target(item, args)?,
            _ => None,
        };
        Ok((other.unwrap_or(target), environment))
    }

    /// Adds to the arguments what only the engine knows.
    pub(super) fn complete_synchronize(&self, item: &Item, args: &mut Map) -> Result<(), Problem> {
        let delegate = self.text(item.frame.keyword(|k| k.delegate_to.as_ref()), &item.view)?;
        let own = self.target(&item.host, &item.view, &item.frame)?;
        let Connection::Ssh {
            address,
            port,
            user,
            key,
            args: ssh_args,
            accepts_any_host_key,
            ..
        } = &own.connection
        else {
            self.find_local_ends(item, args);
            return Ok(());
        };
        if delegate.is_none() {
            args.insert("_sync_on".into(), CONTROLLER.into());
            self.find_local_ends(item, args);
        }
        if delegate.is_some_and(|name| name == item.host || name == *address) {
            return Ok(());
        }
        let with_user = args.get("set_remote_user").and_then(Value::to_bool) != Some(false);
        let address = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.clone()
        };
        let host = match user.as_ref().filter(|_| with_user) {
            Some(user) => format!("{user}@{address}"),
            None => address,
        };
        args.insert("_sync_host".into(), host.into());
        if let Some(port) = port {
            args.insert("_sync_port".into(), Value::Int((*port).into()));
        }
        if let Some(key) = key {
            args.entry("private_key".into())
                .or_insert_with(|| key.display().to_string().into());
        }
        if *accepts_any_host_key {
            args.entry("verify_host".into())
                .or_insert(Value::Bool(false));
        }
        if let Some(who) = &own.become_user {
            args.insert("_sync_become".into(), who.user.as_str().into());
        }
        let words: Vec<String> = ssh_args.iter().map(|w| crate::script::quote(w)).collect();
        args.insert("_sync_ssh_args".into(), words.join(" ").into());
        Ok(())
    }

    /// A relative path of the controller is searched as that of any other file.
    fn find_local_ends(&self, item: &Item, args: &mut Map) {
        let end = if args.get("mode").and_then(Value::as_str) == Some("pull") {
            "dest"
        } else {
            "src"
        };
        let Some(path) = args.get(end).and_then(Value::as_str).map(str::to_owned) else {
            return;
        };
        if path.contains(':') || path.starts_with(['/', '~']) {
            return;
        }
        let found = self
            .controller
            .find_file("files", &path, &item.view.search)
            .unwrap_or_else(|_| item.view.search.playbook.join(&path));
        let found = std::path::absolute(&found).unwrap_or(found);
        let mut found = found.display().to_string();
        if path.ends_with('/') && !found.ends_with('/') {
            found.push('/');
        }
        args.insert(end.into(), found.into());
    }

    /// Where it runs, if that is not where any other task would.
    pub(super) fn synchronize_target(
        &self,
        item: &Item,
        args: &Value,
    ) -> Result<Option<Target>, Problem> {
        let is_far = args.get("_sync_host").is_some();
        let mut target = if args.get("_sync_on").is_some() {
            self.target(CONTROLLER, &self.host_view(CONTROLLER), &item.frame)?
        } else if is_far {
            self.where_and_how(item)?.0
        } else {
            return Ok(None);
        };
        // Becoming happens at the other end.
        target.become_user = None;
        Ok(Some(target))
    }
}
