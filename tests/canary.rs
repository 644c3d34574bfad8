//! The secret canary: a run at the highest verbosity over a real sshd, with a secret in every place
//! where a playbook can hold one, its resume, its rollback and what is told of it later. None of
//! the secrets is in anything that was written or shown, in clear or encoded, nor on a command line
//! or in an environment while it ran.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/sshd.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
mod sshd;
#[path = "support/world.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use sshd::Sshd;
use world::{World, read_tree, said};

/// Where a secret is held; each has a text of its own.
const PLACES: &[&str] = &[
    "become", "sshpass", "prompt", "cli", "env", "file", "header", "urlpw", "user", "copy",
    "loop1", "loop2", "fail", "handler", "undo", "fact", "register", "included", "pause", "block",
    "vars",
];

/// Those that a process may have in its environment: the operator put one there, and a task of his
/// the other.
const IN_ENVIRONMENT: &[&str] = &["env", "prompt"];

/// What every form of a place's secret holds.
fn mark(place: &str) -> String {
    format!("CNRY{}-{place}-", std::process::id())
}

fn secret(place: &str) -> String {
    format!("{}a\"b'c $d/é", mark(place))
}

/// The mark, and what it is in base64 wherever it stands in what was encoded, and in hex.
fn forms(place: &str) -> Vec<String> {
    let mark = mark(place);
    let mut forms = vec![mark.clone()];
    for (shift, first) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [&[0; 2][..shift], mark.as_bytes()].concat();
        let text = STANDARD_NO_PAD.encode(&bytes);
        forms.push(text[first..bytes.len() * 8 / 6].to_owned());
    }
    forms.push(hex(&mark));
    forms
}

fn hex(text: &str) -> String {
    let digits: Vec<String> = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn contains(bytes: &[u8], needle: &str) -> bool {
    let mut windows = bytes.windows(needle.len());
    windows.any(|window| window == needle.as_bytes())
}

/// All places whose secret is in these bytes.
fn found_in(bytes: &[u8]) -> Vec<&'static str> {
    static FORMS: OnceLock<(AhoCorasick, Vec<&str>)> = OnceLock::new();
    let (finder, places) = FORMS.get_or_init(|| {
        let all: Vec<_> = PLACES
            .iter()
            .flat_map(|place| forms(place).into_iter().map(|form| (form, *place)))
            .collect();
        let finder = AhoCorasick::new(all.iter().map(|(form, _)| form)).unwrap();
        (finder, all.into_iter().map(|(_, place)| place).collect())
    });
    let mut found: Vec<&str> = finder
        .find_iter(bytes)
        .map(|found| places[found.pattern().as_usize()])
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// One test at a time: each sees the processes of the other.
static ALONE: Mutex<()> = Mutex::new(());

/// Looks at the command lines and environments of all processes until it is stopped.
struct Sampler {
    is_over: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<Vec<String>>,
}

impl Sampler {
    fn start() -> Self {
        let (is_over, looks) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let (over, counted) = (Arc::clone(&is_over), Arc::clone(&looks));
        let thread = std::thread::spawn(move || {
            let mut found = Vec::new();
            while !over.load(Ordering::Relaxed) {
                look_at_processes(&mut found);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            found
        });
        Self {
            is_over,
            looks,
            thread,
        }
    }

    fn stop(self) -> Vec<String> {
        self.is_over.store(true, Ordering::Relaxed);
        assert!(self.looks.load(Ordering::Relaxed) > 10);
        self.thread.join().unwrap()
    }
}

fn look_at_processes(found: &mut Vec<String>) {
    for entry in fs::read_dir("/proc").unwrap() {
        let Ok(entry) = entry else { continue };
        let is_process = entry.file_name().as_encoded_bytes()[0].is_ascii_digit();
        if !is_process {
            continue;
        }
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let program = words.split(|b| *b == 0).next().unwrap_or_default();
        // What the operator types is his; what we start is not.
        if !program.ends_with(b"/switchback") {
            for place in found_in(&words) {
                let words = String::from_utf8_lossy(&words).into_owned();
                found.push(format!("{place} on a command line: {words:?}"));
            }
        }
        let words = fs::read(entry.path().join("environ")).unwrap_or_default();
        let places = found_in(&words);
        let places = places.iter().filter(|p| !IN_ENVIRONMENT.contains(p));
        found.extend(places.map(|place| format!("{place} in an environment")));
    }
}

/// An HTTP server that answers with the headers that it was sent.
fn echo_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while !contains(&request, "\r\n\r\n") {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-Echo: none\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                request.len()
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&request).unwrap();
        }
    });
    port
}

/// Asks for a password as `sudo -S` does, whatever it is, and stays who it is.
const SUDO: &str = "#!/bin/sh
while [ \"$1\" != -- ]; do [ \"$1\" = -p ] && prompt=$2; shift; done
shift
printf %s \"$prompt\" >&2
IFS= read -r word
exec \"$@\"
";

/// Takes an account's data as its namesakes do, and makes no account.
const ACCOUNTS: &str = "#!/bin/sh\n[ -t 0 ] || cat >>DIR/accounts\necho \"$@\" >>DIR/accounts\n";

/// `SECRET(x)` is the secret of a place, in YAML.
const PLAYBOOK: &str = "\
- hosts: all
  gather_facts: false
  vars_prompt:
    - {name: prompted, prompt: the password, private: true}
  vars:
    in_vars: SECRET(vars)
  handlers:
    - name: a handler
      command: {argv: [tee, TARGET/handler], stdin: SECRET(handler)}
      no_log: true
  tasks:
    - name: as another user
      command: {argv: [tee, TARGET/become], stdin: arrived}
      become: true
    - name: printed on both streams, and encoded
      shell: {cmd: 'cat; printf \"%s\" \"$TOKEN\" | tee TARGET/env | base64 -w0 >&2', stdin: '{{ prompted }}'}
      environment: {TOKEN: '{{ prompted }}'}
    - name: live output in two pieces
      shell:
        cmd: 'read -r x; printf %s \"${x%????????}\"; sleep 0.2; printf \"%s\\n\" \"${x#\"${x%????????}\"}\"'
        stdin: '{{ prompted }}'
    - name: in hex
      shell: {cmd: 'od -An -tx1 -v | tr -d \" \\n\"', stdin: '{{ prompted }}'}
    - name: the variable itself
      debug: {var: prompted}
    - name: made of it
      debug: {msg: 'x{{ prompted | b64encode }} {{ prompted | upper | lower }} {{ prompted | urlencode }}'}
    - name: all that a host knows
      debug: {var: hostvars}
    - name: labels
      debug: {msg: nothing}
      loop: ['{{ prompted }}', plain]
    - name: the name of a task with {{ prompted }}
      debug: {msg: nothing}
    - name: what the condition says
      debug: {msg: nothing}
      when: prompted == 'another'
    - name: an assertion
      assert: {that: prompted == 'x', fail_msg: 'no {{ prompted }}'}
      ignore_errors: true
    - name: a failure
      fail: {msg: 'because of {{ prompted }}'}
      ignore_errors: true
    - name: a failing command that prints it
      shell: {cmd: 'cat; cat >&2; exit 3', stdin: '{{ prompted }}'}
      ignore_errors: true
    - name: a bad argument
      copy: {content: x, dest: TARGET/never, mode: '{{ prompted }}'}
      ignore_errors: true
    - name: an undefined part
      debug: {msg: '{{ prompted ~ nothing_of_that_name }}'}
      ignore_errors: true
    - name: a template with a diff
      template: {src: typed.j2, dest: TARGET/typed}
    - name: a changed line with a diff
      lineinfile: {path: TARGET/typed, line: 'more={{ prompted }}'}
    - name: hidden from the environment
      copy: {content: '{{ lookup(\"env\", \"CANARY_ENV\") }}', dest: TARGET/env_hidden}
      no_log: true
    - name: hidden from a file of several lines
      copy: {content: '{{ lookup(\"file\", \"secret.txt\") }}', dest: TARGET/file}
      no_log: true
    - name: hidden template
      template: {src: hidden.j2, dest: TARGET/hidden}
      no_log: true
      notify: a handler
    - name: hidden content
      copy: {content: SECRET(copy), dest: TARGET/copy}
      no_log: true
    - name: given on the command line
      copy: {content: '{{ cli }}', dest: TARGET/cli}
      no_log: true
    - name: hidden items
      command: {argv: [tee, '-a', TARGET/loop], stdin: '{{ item.pw }}'}
      loop: [{pw: SECRET(loop1)}, {pw: SECRET(loop2)}]
      register: items
      no_log: true
    - debug: {var: items}
    - name: hidden failure
      command: {argv: [sh, -c, 'cat; cat TARGET/none; exit 4'], stdin: SECRET(fail)}
      no_log: true
      ignore_errors: true
      register: failed
    - debug: {msg: '{{ failed.stdout }} {{ failed.rc }}'}
    - name: a hidden fact
      set_fact: {fact: SECRET(fact)}
      no_log: true
    - debug: {var: fact}
    - name: a hidden register
      command: {argv: [cat], stdin: SECRET(register)}
      register: hidden
      no_log: true
    - debug: {var: hidden}
    - debug: {msg: '{{ hidden.stdout_lines }}'}
    - name: printed again by a host
      command: {argv: [cat], stdin: 'again {{ hidden.stdout }}'}
    - name: included
      include_vars: more.yml
      no_log: true
    - debug: {var: included}
    - name: asked for
      pause: {prompt: another word, echo: false}
      register: asked
    - debug: {var: asked}
    - name: a request
      uri:
        url: http://127.0.0.1:PORT/
        headers: {Authorization: SECRET(header)}
        return_content: true
    - name: a request with a password
      uri:
        url: http://127.0.0.1:PORT/
        url_username: me
        url_password: SECRET(urlpw)
        force_basic_auth: true
        return_content: true
    - name: an account
      user: {name: sbcanary, password: SECRET(user)}
      no_log: true
      ignore_errors: true
    - block:
        - name: fails in a block
          command: {argv: [sh, -c, 'cat >&2; exit 5'], stdin: SECRET(block)}
          no_log: true
      rescue:
        - debug: {var: ansible_failed_result}
        - debug: {var: ansible_failed_task}
    - name: with its own way back
      command: {argv: [tee, TARGET/undo], stdin: '{{ in_vars }}'}
      no_log: true
      undo:
        - command: {argv: [tee, TARGET/undone], stdin: '{{ in_vars }} SECRET(undo)'}
          no_log: true
        - copy: {content: SECRET(undo), dest: TARGET/undone_too}
          no_log: true
    - meta: flush_handlers
    - name: not ready yet
      command: {argv: [test, '-e', TARGET/ready]}
    - name: known after a resume
      copy: {content: '{{ hidden.stdout }} {{ fact }} {{ prompted }} {{ failed.stdout }}', dest: TARGET/all}
      no_log: true
";

struct Canary {
    world: World,
    sshd: Sshd,
}

impl Canary {
    fn new() -> Self {
        let sshd = Sshd::start("");
        sshd.script("bin/sudo", SUDO);
        let accounts = ACCOUNTS.replace("DIR", sshd.dir.path().to_str().unwrap());
        for name in ["useradd", "usermod", "chpasswd", "chage", "passwd"] {
            sshd.script(&format!("bin/{name}"), &accounts);
        }
        let mut playbook = PLAYBOOK.replace("PORT", &echo_server().to_string());
        for place in PLACES {
            let quoted = serde_json::to_string(&secret(place)).unwrap();
            // Within a quoted text the secret alone, else a text of its own.
            playbook = playbook
                .replace(
                    &format!("}}}} SECRET({place})'"),
                    &format!("}}}} {}'", mark(place)),
                )
                .replace(&format!("SECRET({place})"), &quoted);
        }
        let world = World::with_playbook(&playbook);
        world.write("playbook.yml", &playbook);
        let words: Vec<String> = sshd.words();
        world.write(
            "hosts.yml",
            &format!(
                "all: {{hosts: {{web1: {{ansible_host: 127.0.0.1, ansible_port: {}, \
                 ansible_ssh_private_key_file: {}, ansible_ssh_common_args: {:?}, \
                 ansible_password: {}, ansible_become_password: {}}}}}}}\n",
                sshd.port,
                sshd.path("key").display(),
                words.join(" "),
                serde_json::to_string(&secret("sshpass")).unwrap(),
                serde_json::to_string(&secret("become")).unwrap(),
            ),
        );
        world.write("more.yml", &format!("included: {:?}\n", secret("included")));
        world.write("typed.j2", "password={{ prompted }}\nplain\n");
        world.write("hidden.j2", "{{ lookup('file', 'secret.txt') }}\n");
        let lines = format!("{}\nsecond {}\n", secret("file"), secret("file"));
        world.write("secret.txt", &lines);
        for folder in ["tmp", "runtime", "reports"] {
            fs::create_dir(world.path(folder)).unwrap();
        }
        Self { world, sshd }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.world.command(args);
        command
            .env("CANARY_ENV", secret("env"))
            .env("TMPDIR", self.world.path("tmp"))
            .env("XDG_RUNTIME_DIR", self.world.path("runtime"))
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LOG", "trace");
        command
    }

    /// Runs a command; what it said, in one text, must hold no secret.
    fn quiet(&self, args: &[&str]) -> (i32, String) {
        let (code, text) = said(&self.command(args).output().unwrap());
        let found = found_in(text.as_bytes());
        assert!(found.is_empty(), "{args:?} shows {found:?}:\n{text}");
        (code, text)
    }

    /// What is left in switchback's place on the target. Before-images are left out: they are files
    /// of the host as they were, for their user only. The files of an attempt go a moment after its
    /// result is known, when those of the next one are on disk; they are waited for.
    fn spool(&self, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        let limit = Instant::now() + Duration::from_secs(20);
        let is_of = |path: &PathBuf, part: &str| path.to_string_lossy().contains(part);
        loop {
            let mut all = BTreeMap::new();
            read_tree(&self.sshd.path("place"), &mut all);
            assert!(!all.is_empty(), "the target has no place of switchback's");
            let has_attempts = all.keys().any(|path| is_of(path, "/a/"));
            if !has_attempts || Instant::now() > limit {
                files.extend(all.into_iter().filter(|(path, _)| !is_of(path, "/keep/")));
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Everything that a run leaves anywhere, but for what it was told to make.
    fn assert_nothing_is_left(&self) {
        let mut files = BTreeMap::new();
        for folder in ["runs", "keys", "tmp", "runtime", "reports"] {
            read_tree(&self.world.path(folder), &mut files);
        }
        read_tree(&self.sshd.path("home"), &mut files);
        read_tree(&self.sshd.path("c"), &mut files);
        let log = self.sshd.path("sshd.log");
        files.insert(log.clone(), fs::read(log).unwrap());
        self.spool(&mut files);
        assert!(files.len() > 5, "{:?}", files.keys());
        for (name, bytes) in files {
            let found = found_in(&bytes);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(
                found.is_empty(),
                "{} holds {found:?}:\n{text}",
                name.display()
            );
        }
    }
}

#[test]
fn no_secret_is_in_anything_that_a_run_writes_shows_or_starts() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let canary = Canary::new();
    let world = &canary.world;
    let cli = format!("cli={}", serde_json::to_string(&secret("cli")).unwrap());
    let prompt = format!("the password={}", secret("prompt"));
    let pause = format!("another word={}", secret("pause"));
    let start = [
        "playbook.yml",
        "-i",
        "hosts.yml",
        "-vvvv",
        "--diff",
        "-e",
        &cli,
        "--answer",
        &prompt,
        "--answer",
        &pause,
        "--junit",
        "reports/junit.xml",
        "--events",
        "reports/events.ndjson",
    ];
    let sampler = Sampler::start();
    let checked = canary.quiet(&[&["check"][..], &start].concat());
    assert!(checked.0 < 3, "{}", checked.1);
    let (code, text) = canary.quiet(&[&["run", "--yes"][..], &start].concat());
    assert_eq!(code, 2, "{text}");
    canary.assert_nothing_is_left();
    // The secrets were really there: they arrived where they were sent.
    let made = |name: &str| world.made(name);
    assert_eq!(made("become"), "arrived\n", "{text}");
    for (file, place) in [
        ("env", "prompt"),
        ("env_hidden", "env"),
        ("file", "file"),
        ("hidden", "file"),
        ("typed", "prompt"),
        ("copy", "copy"),
        ("loop", "loop1"),
        ("loop", "loop2"),
        ("handler", "handler"),
        ("undo", "vars"),
        ("cli", "cli"),
    ] {
        assert!(
            made(file).contains(&secret(place)),
            "{place} is not in {file}\n{text}"
        );
    }
    assert!(text.matches("********").count() > 10, "{text}");

    fs::write(world.target().join("ready"), "").unwrap();
    let (code, text) = canary.quiet(&["resume", "--yes"]);
    assert_eq!(code, 0, "{text}");
    let all = ["register", "fact", "prompt", "fail"].map(secret).join(" ");
    assert_eq!(made("all"), all);
    for words in [
        &["runs"][..],
        &["runs", "show"],
        &["runs", "verify"],
        &["runs", "output", "latest"],
        &["rollback", "--yes", "--way", "undo"],
        &["runs", "show"],
    ] {
        canary.quiet(words);
    }
    assert_eq!(
        made("undone_too"),
        secret("undo"),
        "{}",
        canary.quiet(&["runs", "show"]).1
    );
    assert!(made("undone").starts_with(&secret("vars")));
    canary.assert_nothing_is_left();
    let found = sampler.stop();
    assert!(found.is_empty(), "{found:#?}");
}

/// The test itself sees a secret on a command line, in a file, in base64 and in hex.
#[test]
fn the_canary_is_seen_where_it_is() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let secret = secret("copy");
    let sampler = Sampler::start();
    let mut child = Command::new("sh")
        .args(["-c", "read x", &secret])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let limit = Instant::now() + Duration::from_secs(20);
    while sampler.looks.load(Ordering::Relaxed) < 12 && Instant::now() < limit {
        std::thread::yield_now();
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    assert!(!sampler.stop().is_empty());
    let encoded = STANDARD_NO_PAD.encode(format!("x:{secret}"));
    let hex = hex(&secret);
    for text in [secret.clone(), encoded, hex] {
        assert_eq!(found_in(text.as_bytes()), ["copy"], "{text}");
    }
}
