//! The terminal, the listeners and the connections of what a command runs, and a run that is there
//! as the scene of a command.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, mpsc};

use super::args::{OnFailure, Output, RunArgs};
use super::exit;
use super::session::{Loaded, load, look, operator};
use super::start::tell;
use crate::console::{self, Console, Policy};
use crate::event::Event;
use crate::exec::ask::{Answer, Question, TextQuestion};
use crate::exec::{Driver, LocalFuture, Machine, Settings, Terminal};
use crate::journal::Writer;
use crate::report::{
    Ansible, AnsibleOptions, Human, Junit, Look, Minimal, Ndjson, Plain, Relay, Reporter,
};
use crate::transport::{Pool, Settings as PoolSettings};
use crate::value::{Text, Value};

/// A run that is there, for a command that works on it.
pub(super) struct Scene<'a> {
    /// Its id.
    pub(super) run: &'a str,
    /// Its folder.
    pub(super) folder: &'a Path,
    /// Its journal; none where another process writes it, whose connections are its own.
    pub(super) writer: Option<Writer>,
}

/// Plays what `start` makes of the run's own playbook, inventory and variables, and returns the exit
/// code.
pub(super) async fn play(
    args: &RunArgs,
    scene: Scene<'_>,
    listeners: Vec<Box<dyn Reporter>>,
    start: impl FnOnce(Loaded) -> Machine,
) -> u8 {
    let mut loaded = match load(args) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let told = |why: String| {
        tell(&format!("error: {why}"));
        exit::ERROR
    };
    let mut stage = match Stage::new(args, listeners) {
        Ok(stage) => stage,
        Err(why) => return told(why),
    };
    let sockets = scene.writer.is_some().then_some(scene.folder);
    let mut driver = match stage.driver(scene.writer, sockets) {
        Ok(driver) => driver,
        Err(why) => return told(why),
    };
    if let Err(code) = stage.ask_passwords(args, &mut loaded.settings).await {
        return code;
    }
    scene.run.clone_into(&mut loaded.settings.run);
    loaded.settings.journal = Some(scene.folder.display().to_string());
    let ended = driver.drive(start(loaded)).await;
    driver.pool.close().await;
    stage.told().await;
    ended.exit_code
}

/// The terminal of a run, with what shows its events.
pub(super) struct Stage {
    terminal: Rc<StageTerminal>,
    console: Option<Console>,
    reporters: Vec<Box<dyn Reporter>>,
    relay: Arc<Relay>,
}

struct StageTerminal {
    console: Option<console::Handle>,
    /// Whether a person answers; with `--yes` only where one has asked for the pause.
    asks: bool,
    policy: RefCell<Policy>,
    operator: String,
    pauses: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Terminal for StageTerminal {
    fn ask(&self, question: Question) -> LocalFuture<'_, (Answer, String)> {
        Box::pin(async move {
            match &self.console {
                Some(console) if self.asks || matches!(question, Question::Pause(_)) => {
                    (console.ask_async(question).await, self.operator.clone())
                }
                _ => (
                    self.policy.borrow_mut().answer(&question),
                    "policy".to_owned(),
                ),
            }
        })
    }

    fn pause_wanted(&self) -> LocalFuture<'_, String> {
        Box::pin(async move {
            match self.pauses.lock().await.recv().await {
                Some(why) => why,
                None => std::future::pending().await,
            }
        })
    }
}

impl Stage {
    /// A stage for these options.
    ///
    /// # Errors
    /// A report that cannot be written.
    pub(super) fn new(args: &RunArgs, listeners: Vec<Box<dyn Reporter>>) -> Result<Self, String> {
        let (sender, pauses) = mpsc::unbounded_channel();
        let is_interactive = console::is_interactive();
        let look = look(args.verbose, args.diff);
        let mut reporters = listeners;
        let mut console = None;
        let relay = Relay::new().map_err(|error| format!("the output: {error}"))?;
        let relay = Arc::new(relay);
        let stream = matches!(args.events.as_deref(), Some(path) if path == Path::new("-"));
        if is_interactive && args.output != Output::Plain {
            let requests = sender.clone();
            let options = console::Options::stdout(look, move |request| {
                if request == console::Request::Pause {
                    // A run that has ended needs no pause.
                    drop(requests.send("asked for by key".to_owned()));
                }
            });
            console =
                Some(Console::new(options).map_err(|error| format!("the terminal: {error}"))?);
        } else {
            reporters.push(shown(args, &relay, look, stream));
        }
        if let Some(path) = &args.junit {
            reporters.push(Box::new(Junit::new(create(path)?)));
        }
        if let Some(path) = &args.events {
            let to: Box<dyn Write + Send> = if stream {
                Box::new(relay.end(false))
            } else {
                Box::new(create(path)?)
            };
            reporters.push(Box::new(Ndjson::new(to, Box::new(chrono::Utc::now))));
        }
        let terminal = StageTerminal {
            console: console.as_ref().map(Console::handle),
            asks: !args.yes,
            policy: RefCell::new(policy(args)),
            operator: operator(),
            pauses: Mutex::new(pauses),
        };
        super::signals::watch(sender, terminal.console.clone(), relay.clone());
        Ok(Self {
            terminal: Rc::new(terminal),
            console,
            reporters,
            relay,
        })
    }

    /// Asks for the passwords that `-k` and `-K` promise, as variables below all others.
    ///
    /// # Errors
    /// The exit code, where there is no answer; it was told.
    pub(super) async fn ask_passwords(
        &self,
        args: &RunArgs,
        settings: &mut Settings,
    ) -> Result<(), u8> {
        let wanted = [
            (args.ask_pass, "SSH password", "ansible_password"),
            (
                args.ask_become_pass,
                "BECOME password",
                "ansible_become_password",
            ),
        ];
        for (_, prompt, variable) in wanted.into_iter().filter(|(is_wanted, ..)| *is_wanted) {
            let question = TextQuestion {
                prompt: prompt.to_owned(),
                is_secret: true,
                ..TextQuestion::default()
            };
            let (answer, _) = self.terminal.ask(Question::Text(question)).await;
            let Answer::Text(password) = answer else {
                tell(&format!(
                    "error: there is no {prompt}; `--answer '{prompt}=…'` gives it"
                ));
                return Err(exit::UNDECIDED);
            };
            let password = Value::Str(Text::data(password).into_secret());
            Arc::make_mut(&mut settings.connection_defaults).insert(variable.to_owned(), password);
        }
        Ok(())
    }

    /// Waits until all that the run said is out; signals are heard meanwhile.
    pub(super) async fn told(&self) {
        written(&self.relay).await;
    }

    /// A driver for one machine.
    ///
    /// # Errors
    /// When no connections can be had.
    pub(super) fn driver(
        &mut self,
        journal: Option<Writer>,
        run_folder: Option<&Path>,
    ) -> Result<Driver, String> {
        let mut settings = PoolSettings::new(control_dir(run_folder)?);
        settings.local_umask = super::harden::umask_of_tasks();
        let pool = Pool::new(settings).map_err(|e| e.to_string())?;
        let mut reporters = std::mem::take(&mut self.reporters);
        let console = self.console.as_ref().map(Console::handle);
        let listener = move |event: &Event| {
            if let Some(console) = &console {
                console.show(event);
            }
            for reporter in &mut reporters {
                reporter.on(event);
            }
        };
        Ok(Driver {
            pool,
            journal,
            terminal: self.terminal.clone(),
            listener: Box::new(listener),
            began: Instant::now(),
        })
    }
}

/// Waits until all that was written by now is out.
pub(super) async fn written(relay: &Relay) {
    let (to, from) = tokio::sync::oneshot::channel();
    relay.when_written(move || {
        // Who waited may have given up.
        let _ = to.send(());
    });
    // A relay without its thread has nothing to write any more.
    let _ = from.await;
}

/// What shows a run where there is no console. It writes to standard output, or to standard error
/// where that carries data.
fn shown(args: &RunArgs, relay: &Relay, look: Look, is_data: bool) -> Box<dyn Reporter> {
    let (screen, config) = (relay.end(is_data), &args.config);
    match args.output {
        Output::Ansible => {
            let options = AnsibleOptions {
                shows_skipped: config.flag("display_skipped_hosts", true),
                shows_ok: config.flag("display_ok_hosts", true),
                marks_check_mode: config.flag("check_mode_markers", false),
                shows_custom_stats: config.flag("show_custom_stats", false),
                is_yaml: config.text("result_format") == Some("yaml"),
                is_check: args.check,
                is_debug: config.flag("debug", false),
            };
            Box::new(Ansible::new(screen, relay.end(true), look, options))
        }
        Output::Minimal => Box::new(Minimal::new(screen, relay.end(true), look)),
        Output::Human => Box::new(Human::new(screen, look)),
        _ => Box::new(Plain::new(screen, Box::new(chrono::Utc::now), look)),
    }
}

fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn policy(args: &RunArgs) -> Policy {
    let answers = args
        .answer
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(question, answer)| (question.to_owned(), answer.to_owned()))
        .collect();
    let mut policy = Policy::default();
    policy.yes = true;
    policy.on_failure = Some(match args.on_failure {
        OnFailure::Continue => console::OnFailure::Continue,
        OnFailure::Stop => console::OnFailure::Stop,
        OnFailure::Rollback => console::OnFailure::RollBack,
    });
    policy.on_point_of_no_return = args
        .accept_point_of_no_return
        .then_some(console::Gate::Accept);
    policy.answers = answers;
    policy
}

/// The folder of control sockets: in the run's own folder if its path is short enough for a socket.
fn control_dir(run_folder: Option<&Path>) -> Result<PathBuf, String> {
    const PATH_MAX: usize = 60;
    if let Some(folder) = run_folder
        .map(|f| f.join("ssh"))
        .filter(|f| f.as_os_str().len() <= PATH_MAX)
    {
        return Ok(folder);
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir())
        .or_else(|| std::env::home_dir().map(|home| home.join(".ssh")))
        .ok_or("neither XDG_RUNTIME_DIR nor HOME is set")?;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&base)
        .map_err(|error| format!("{}: {error}", base.display()))?;
    Ok(base.join(format!("sb-{}", std::process::id())))
}
