//! Real keys on a real terminal: each case starts this program again on a pseudo-terminal of its
//! own, presses keys and looks at the screen that a terminal would show.
//!
//! Run one case with `cargo test --test console_pty -- PART_OF_ITS_NAME`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "console_pty/child.rs"]
mod child;
#[path = "support/pty.rs"]
mod pty;

use std::ffi::OsStr;
use std::io::Write;
use std::process::ExitCode;

use pty::Pty;

type Case = (&'static str, fn());

const CASES: [Case; 17] = [
    ("one_key_runs_a_task", one_key_runs_a_task),
    ("enter_does_nothing", enter_does_nothing),
    ("skipping_asks_why", skipping_asks_why),
    (
        "keys_from_before_the_prompt_are_no_answer",
        keys_from_before_the_prompt_are_no_answer,
    ),
    ("the_whole_diff_is_shown", the_whole_diff_is_shown),
    ("hosts_are_chosen", hosts_are_chosen),
    (
        "a_point_of_no_return_takes_a_typed_word",
        a_point_of_no_return_takes_a_typed_word,
    ),
    ("a_pasted_word_does_not_count", a_pasted_word_does_not_count),
    ("a_password_is_not_shown", a_password_is_not_shown),
    ("keys_work_while_tasks_run", keys_work_while_tasks_run),
    (
        "the_interrupt_key_leaves_the_terminal_as_it_was",
        the_interrupt_key_leaves_the_terminal_as_it_was,
    ),
    (
        "closing_amid_a_run_leaves_the_terminal_as_it_was",
        closing_amid_a_run_leaves_the_terminal_as_it_was,
    ),
    (
        "a_panic_leaves_the_terminal_as_it_was",
        a_panic_leaves_the_terminal_as_it_was,
    ),
    (
        "a_dumb_terminal_gets_plain_lines",
        a_dumb_terminal_gets_plain_lines,
    ),
    (
        "a_change_is_stepped_through_by_keys",
        a_change_is_stepped_through_by_keys,
    ),
    ("yes_shows_and_does_not_ask", yes_shows_and_does_not_ask),
    (
        "a_running_command_is_cancelled_from_the_pause_screen",
        a_running_command_is_cancelled_from_the_pause_screen,
    ),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, scenario] = args.as_slice()
        && role == "child"
    {
        child::play(scenario);
        return ExitCode::SUCCESS;
    }
    let wanted = args.iter().find(|a| !a.starts_with('-'));
    let cases: Vec<Case> = CASES
        .into_iter()
        .filter(|(name, _)| wanted.is_none_or(|w| name.contains(w.as_str())))
        .collect();
    say(&format!("\nrunning {} tests", cases.len()));
    let mut failed = 0;
    for (name, case) in &cases {
        let result = std::panic::catch_unwind(case);
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        failed += usize::from(result.is_err());
        say(&format!("test {name} ... {word}"));
    }
    let passed = cases.len() - failed;
    let left_out = CASES.len() - cases.len();
    let word = if failed == 0 { "ok" } else { "FAILED" };
    say(&format!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {left_out} filtered out"
    ));
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Starts a scenario of this program on a terminal of its own.
fn start(scenario: &str, env: &[(&str, &OsStr)]) -> Pty {
    let program = std::env::current_exe().unwrap();
    Pty::start(&program, &["child", scenario], env)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A playbook that makes two files, and the folder with it.
fn two_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let task = |name: &str| {
        format!("    - name: make {name}\n      copy: {{content: '{name}', dest: {at}/{name}}}\n")
    };
    let head = "- hosts: localhost\n  gather_facts: false\n  tasks:\n";
    let text = format!("{head}{}{}", task("first"), task("second"));
    std::fs::write(folder.path().join("site.yml"), text).unwrap();
    folder
}

fn switchback_on(folder: &tempfile::TempDir, options: &[&str]) -> Pty {
    let playbook = folder.path().join("site.yml");
    let mut args = vec![OsStr::new("run"), playbook.as_os_str()];
    args.extend(options.iter().map(OsStr::new));
    let runs = folder.path().join("runs").display().to_string();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_switchback"));
    let place = folder.path().join("place");
    let env = [
        ("SWITCHBACK_RUNS", OsStr::new(&runs)),
        ("SWITCHBACK_ROOT", place.as_os_str()),
    ];
    Pty::start(program, &args, &env)
}

fn a_change_is_stepped_through_by_keys() {
    let folder = two_files();
    let mut pty = switchback_on(&folder, &[]);
    pty.wait_for("make first");
    pty.wait_for("t1>");
    assert!(!folder.path().join("first").exists(), "not yet decided");
    pty.press("n");
    pty.wait_for("why");
    pty.press("it is there\r");
    pty.wait_for("make second");
    pty.wait_for("t2>");
    pty.press("y");
    pty.wait_for("exit code 0");
    pty.ends_as_it_began();
    assert!(!folder.path().join("first").exists(), "it was left out");
    assert!(folder.path().join("second").exists(), "it was run");
}

fn yes_shows_and_does_not_ask() {
    let folder = two_files();
    let mut pty = switchback_on(&folder, &["--yes"]);
    pty.wait_for("---- TASK make first");
    pty.wait_for("CHANGED");
    pty.wait_for("exit code 0");
    assert!(!pty.seen().contains("[y]run"), "{}", pty.screen());
    pty.ends_as_it_began();
    assert!(folder.path().join("first").exists(), "it was run");
}

fn one_key_runs_a_task() {
    let mut pty = start("task", &[]);
    pty.wait_for("t9>");
    let screen = pty.screen();
    for part in [
        "t9  Copy postgresql.conf",
        "db1  db2",
        "[y]run",
        "undo    restore",
    ] {
        assert!(screen.contains(part), "{part} in:\n{screen}");
    }
    pty.press("y");
    pty.wait_for("ANSWER Run");
    pty.ends_as_it_began();
}

fn enter_does_nothing() {
    let mut pty = start("task", &[]);
    pty.wait_for("t9>");
    for _ in 0..3 {
        pty.press("\r");
        pty.wait_for("t9>");
    }
    assert!(!pty.screen().contains("ANSWER"), "{}", pty.screen());
    pty.press("q");
    pty.wait_for("ANSWER Stop");
    pty.ends_as_it_began();
}

fn skipping_asks_why() {
    let mut pty = start("task", &[]);
    pty.wait_for("t9>");
    pty.press("n");
    pty.wait_for("skip `Copy postgresql.conf`, why");
    pty.press("\r");
    pty.wait_for("no reason");
    pty.wait_for("t9>");
    pty.press("n");
    pty.wait_for(", why");
    pty.press("done by hand\r");
    pty.wait_for("ANSWER Skip { reason: \"done by hand\" }");
    pty.ends_as_it_began();
}

fn keys_from_before_the_prompt_are_no_answer() {
    let mut pty = start("late", &[]);
    pty.wait_for("about to ask");
    // Typed too early, and again in the first instant of the prompt.
    pty.press("yyy\r");
    pty.wait_for("[y]run");
    pty.press("y");
    pty.wait_for("t9>");
    Pty::rest();
    assert!(!pty.screen().contains("ANSWER"), "{}", pty.screen());
    pty.press("q");
    pty.wait_for("ANSWER Stop");
    pty.ends_as_it_began();
}

fn the_whole_diff_is_shown() {
    let mut pty = start("task", &[]);
    pty.wait_for("t9>");
    assert!(pty.screen().contains("more lines"), "{}", pty.screen());
    assert!(!pty.screen().contains("+setting 19"), "{}", pty.screen());
    pty.press("d");
    pty.wait_for("+setting 19");
    pty.wait_for("t9>");
    pty.press("y");
    pty.wait_for("ANSWER Run");
    pty.ends_as_it_began();
}

fn hosts_are_chosen() {
    let mut pty = start("task", &[]);
    pty.wait_for("t9>");
    pty.press("h");
    pty.wait_for("run on");
    pty.press(" ");
    pty.press("\r");
    pty.wait_for("skip on db1, why");
    pty.press("disk swap\r");
    pty.wait_for("ANSWER SkipHosts { hosts: [\"db1\"], reason: \"disk swap\" }");
    pty.ends_as_it_began();
}

fn a_point_of_no_return_takes_a_typed_word() {
    let mut pty = start("gate", &[]);
    pty.wait_for("type `orders` to go on");
    pty.press("ordexx\x7f\x7frs\r");
    pty.wait_for("ANSWER Run");
    pty.ends_as_it_began();

    let mut pty = start("gate", &[]);
    pty.wait_for("type `orders` to go on");
    pty.press("yes\r");
    pty.wait_for("that is not the word");
    pty.press("\x1b");
    pty.wait_for("ANSWER Pause");
    pty.ends_as_it_began();
}

fn a_pasted_word_does_not_count() {
    let mut pty = start("gate", &[]);
    pty.wait_for("type `orders` to go on");
    pty.press("\x1b[200~orders\r\x1b[201~");
    pty.wait_for("only when typed by hand");
    assert!(!pty.screen().contains("ANSWER"), "{}", pty.screen());
    pty.press("\r");
    pty.wait_for("ANSWER Pause");
    pty.ends_as_it_began();
}

fn a_password_is_not_shown() {
    let mut pty = start("secret", &[]);
    pty.wait_for("vault password");
    pty.press("hunter2\r");
    pty.wait_for("again, to confirm");
    pty.press("hunter3\r");
    pty.wait_for("the two differ");
    pty.press("hunter2\r");
    pty.wait_for("again, to confirm");
    pty.press("hunter2\r");
    pty.wait_for("ANSWER 7 letters");
    assert!(!pty.seen().contains("hunter"), "{}", pty.seen());
    pty.ends_as_it_began();

    let mut pty = start("secret", &[]);
    pty.wait_for("vault password");
    pty.press("hunt\x03");
    pty.wait_for("ANSWER Stop");
    pty.ends_as_it_began();
}

fn keys_work_while_tasks_run() {
    let mut pty = start("run", &[]);
    pty.wait_for("RUN");
    pty.wait_for("34%");
    let screen = pty.screen();
    let line = |host: &str| {
        let found = screen.lines().find(|l| l.contains(&format!("RUN  {host}")));
        found
            .unwrap_or_else(|| panic!("no line for {host} in:\n{screen}"))
            .to_owned()
    };
    assert!(
        line("db1").contains("Copying user relation files"),
        "{screen}"
    );
    assert!(line("db2").contains("[######"), "{screen}");
    pty.press("o");
    pty.wait_for("output is shown");
    pty.press("t");
    pty.wait_for("2 hosts at work");
    pty.wait_for("db1 | Setting next OID");
    pty.press("p");
    pty.wait_for("pause after the running task");
    pty.wait_for("RUN 0197");
    pty.wait_for("REQUEST Pause");
    let screen = pty.screen();
    assert!(screen.contains("CHANGED     db1"), "{screen}");
    assert!(
        !screen.contains("[t]status"),
        "the live region is gone:\n{screen}"
    );
    pty.ends_as_it_began();
}

fn the_interrupt_key_leaves_the_terminal_as_it_was() {
    // While a task runs it is a signal, which the run answers with the pause screen; there it is a
    // key, and the second one stops.
    let mut pty = start("interrupt", &[]);
    pty.wait_for("RUN");
    pty.press("\x03");
    pty.wait_for("paused>");
    pty.press("\x03");
    pty.wait_for("ANSWER Stop");
    pty.ends_as_it_began();
}

/// A command in step mode: Ctrl-C opens the pause screen beside it, a key and a word end it.
fn a_running_command_is_cancelled_from_the_pause_screen() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let text = format!(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n    - name: slow\n      shell: echo \
         begun >> {at}/log; until [ -e {at}/go ]; do sleep 0.1; done; echo ended >> {at}/log\n"
    );
    std::fs::write(folder.path().join("site.yml"), text).unwrap();
    let mut pty = switchback_on(&folder, &[]);
    pty.wait_for("t1>");
    pty.press("y");
    pty.wait_for("RUN");
    pty.press("\x03");
    pty.wait_for("nothing was killed");
    pty.wait_for("` runs");
    pty.wait_for("paused>");
    pty.press("x");
    pty.wait_for("to end it");
    pty.press("cancel\r");
    pty.wait_for("cancelled by ");
    pty.wait_for("failed>");
    pty.press("q");
    pty.ends_as_it_began();
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(log, "begun\n");
}

fn closing_amid_a_run_leaves_the_terminal_as_it_was() {
    let mut pty = start("closed", &[]);
    pty.wait_for("CLOSED");
    pty.ends_as_it_began();
}

fn a_panic_leaves_the_terminal_as_it_was() {
    let mut pty = start("panic", &[]);
    pty.wait_for("a bug");
    pty.ends_as_it_began();
}

fn a_dumb_terminal_gets_plain_lines() {
    let mut pty = start("run", &[("TERM", OsStr::new("dumb"))]);
    pty.wait_for("TASK pg_upgrade");
    pty.press("p");
    pty.wait_for("RUN 0197");
    pty.wait_for("REQUEST Pause");
    assert!(!pty.seen().contains('\u{1b}'), "{:?}", pty.seen());
    pty.ends_as_it_began();

    let mut pty = start("task", &[("TERM", OsStr::new("dumb"))]);
    pty.wait_for("t9>");
    pty.press("h");
    pty.wait_for("numbers to leave out");
    pty.press("2\r");
    pty.wait_for("skip on db2, why");
    pty.press("disk swap\r");
    pty.wait_for("ANSWER SkipHosts { hosts: [\"db2\"]");
    assert!(!pty.seen().contains('\u{1b}'), "{:?}", pty.seen());
    pty.ends_as_it_began();

    let mut pty = start("gate", &[("TERM", OsStr::new("dumb"))]);
    pty.wait_for("type `orders` to go on");
    pty.press("orders\r");
    pty.wait_for("ANSWER Run");
    assert!(!pty.seen().contains('\u{1b}'), "{:?}", pty.seen());
    pty.ends_as_it_began();
}
