//! Hostile targets, hostile data, hostile places: for each class of flaw that Ansible has had a
//! CVE for, a run that would be fooled if switchback had it too. The table of classes is in
//! `docs/reliability.md`.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "support/world.rs"]
#[expect(dead_code, reason = "each test uses a part of it")]
mod world;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use world::{World, said};

/// What a host may send to be taken for a template; none of it may become 8640247.
const TEMPLATES: &[&str] = &[
    "{{7777*1111}}",
    "{{ 7777*1111 }}",
    "{% if true %}{{7777*1111}}{% endif %}",
    "{# gone #}",
    "a {{ lookup('pipe', 'touch TARGET/pwned') }} b",
    "{{ lookup(\"file\", \"/etc/hostname\") }}",
    "{{ undefined_thing }}",
    "{{ ''.__class__.__mro__ }}",
    "{{",
    "}}",
    "{%",
    "!unsafe {{7777*1111}}",
    "{{'{{7777*1111}}'}}",
];

/// Words that a shell, a parser of `k=v` or an option parser may trip over.
const WORDS: &[&str] = &[
    "a b",
    "a'b",
    "a\"b",
    "a\\b",
    "a$HOME",
    "a`id`",
    "a$(touch TARGET/pwned)",
    "a;touch TARGET/pwned",
    "a|b&c",
    "a\nb",
    "-n",
    "--help",
    "a mode=0777",
    "x=y",
    "*",
    "~",
    "é\u{202e}x",
    "#a",
    "!a",
    "%s%n",
];

fn json(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap()
}

fn of_target(world: &World, texts: &[&str]) -> Vec<String> {
    let target = world.target().display().to_string();
    texts
        .iter()
        .map(|text| text.replace("TARGET", &target))
        .collect()
}

fn ok(world: &World, more: &[&str]) -> String {
    let (code, text) = said(&world.run(more));
    assert_eq!(code, 0, "{text}");
    assert!(!world.target().join("pwned").exists(), "{text}");
    text
}

/// A world with files `text0`, `text1`, … that a command reads, one at a time, as `said`.
fn reading(texts: &[&str], tasks: &str) -> (World, Vec<String>) {
    let head = format!(
        "\
- command: cat TARGET/text{{{{ item }}}}
  register: said
  loop: \"{{{{ range({}) | list }}}}\"
  changed_when: false
",
        texts.len()
    );
    let world = World::new(&(head + tasks));
    let texts = of_target(&world, texts);
    for (index, text) in texts.iter().enumerate() {
        fs::write(world.target().join(format!("text{index}")), text).unwrap();
    }
    (world, texts)
}

/// CVE-2014-4966, 2016-8628, 2016-9587, 2017-7466.
#[test]
fn s1_what_a_host_says_is_never_a_template() {
    let (world, texts) = reading(
        TEMPLATES,
        "\
- debug: {msg: '{{ item.stdout }}'}
  loop: '{{ said.results }}'
- copy: {content: '{{ said.results | map(attribute=\"stdout\") | list | to_json }}', dest: TARGET/all}
- template: {src: all.j2, dest: TARGET/rendered}
",
    );
    world.write(
        "all.j2",
        "{% for r in said.results %}{{ r.stdout }}\n{% endfor %}",
    );
    let text = ok(&world, &["-vv"]);
    assert!(!text.contains("8640247"), "{text}");
    assert_eq!(
        serde_json::from_str::<Vec<String>>(&world.made("all")).unwrap(),
        texts
    );
    assert_eq!(world.made("rendered"), texts.join("\n") + "\n");
}

/// CVE-2017-7481, 2019-10156, 2021-3583, 2023-5764, 2024-11079: the mark must not get lost.
#[test]
fn s1b_what_a_template_gave_is_never_rendered_again() {
    let forms = [
        "{{ x }}",
        "{{ [x] | first }}",
        "{{ {'k': x}.k }}",
        "{{ x | default('d') }}",
        "{{ nothing | default(x) }}",
        "{{ hostvars[inventory_hostname].fact }}",
        "{{ hostvars['one']['fact'] }}",
        "{{ vars_of.deep[0].x }}",
        "{{ indirect }}",
        "{{ x if true else '' }}",
        "{{ (x ~ '') }}",
        "{{ x | string }}",
        "{{ [x, x] | unique | join('') }}",
        "{{ {'a': x} | dict2items | map(attribute='value') | first }}",
        "{% set y = x %}{{ y }}",
        "{% for z in [x] %}{{ z }}{% endfor %}",
    ];
    let (world, texts) = reading(
        TEMPLATES,
        &format!(
            "\
- set_fact: {{fact: '{{{{ item.stdout }}}}'}}
  loop: '{{{{ said.results }}}}'
- include_tasks: one.yml
  loop: '{{{{ said.results | map(attribute=\"stdout\") | list }}}}'
  loop_control: {{loop_var: x, index_var: i}}
  vars: {{indirect: '{{{{ x }}}}', vars_of: {{deep: [{{x: '{{{{ x }}}}'}}]}}, forms: {}}}
",
            json(forms)
        ),
    );
    world.write(
        "one.yml",
        "\
- set_fact: {fact: '{{ x }}'}
- copy: {content: '{{ forms | to_json }}', dest: 'TARGET/forms{{ i }}'}
- debug: {msg: yes}
  when: x == fact and x != 'no'
- assert: {that: ['x == forms[0]', 'x in [x]']}
",
    );
    let text = ok(&world, &["-vv"]);
    assert!(!text.contains("8640247"), "{text}");
    for (index, hostile) in texts.iter().enumerate() {
        let made: Vec<String> =
            serde_json::from_str(&world.made(&format!("forms{index}"))).unwrap();
        for (form, made) in forms.iter().zip(made) {
            assert_eq!(&made, hostile, "{form}");
        }
    }
}

/// CVE-2019-10206.
#[test]
fn s1c_what_is_typed_at_a_prompt_is_never_a_template() {
    let world = World::with_playbook(
        "\
- hosts: all
  gather_facts: false
  vars_prompt:
    - {name: shown, prompt: shown, private: false}
    - {name: hidden, prompt: hidden}
  tasks:
    - copy: {content: '{{ shown }} {{ hidden }}', dest: TARGET/all}
",
    );
    let (one, two) = ("shown={{ 7777*1111 }}", "hidden={{ lookup('pipe', 'id') }}");
    ok(&world, &["--answer", one, "--answer", two]);
    assert_eq!(
        world.made("all"),
        "{{ 7777*1111 }} {{ lookup('pipe', 'id') }}"
    );
}

/// CVE-2014-4657, 2014-4678, 2014-2686: there is no Python behind an expression.
#[test]
fn expressions_reach_nothing_but_values() {
    let escapes = [
        "''.__class__.__mro__[1].__subclasses__()",
        "().__class__.__bases__[0]",
        "cycler.__init__.__globals__.os.popen('touch TARGET/pwned').read()",
        "self.__init__.__globals__",
        "namespace.__init__.__globals__",
        "lipsum.__globals__['os']",
        "joiner.__init__.__globals__",
        "__import__('os').system('touch TARGET/pwned')",
        "'%c' | attr('__class__')",
        "x.__getattribute__('y')",
    ];
    for escape in escapes {
        let world = World::new("- copy: {content: PLACE, dest: TARGET/made}\n");
        let quoted = json(format!("{{{{ {escape} }}}}"));
        let playbook = fs::read_to_string(world.path("playbook.yml")).unwrap();
        world.write("playbook.yml", &playbook.replace("PLACE", &quoted));
        let (code, text) = said(&world.run(&[]));
        assert!(code == 2 || code == 3, "{escape}: {code}\n{text}");
        assert!(!world.target().join("pwned").exists() && world.made("made").is_empty());
    }
}

/// CVE-2014-4967: data in a free form adds no argument.
#[test]
fn s2_data_in_free_form_arguments_stays_one_value() {
    let (world, texts) = reading(
        &[
            "plain mode=0777",
            "x state=directory",
            "q' mode='0777",
            "b\" mode=\"0777",
        ],
        "- copy: content={{ item.stdout }} dest=TARGET/made{{ i }} mode=0600\n  \
           loop: '{{ said.results }}'\n  loop_control: {index_var: i}\n",
    );
    ok(&world, &[]);
    for (index, text) in texts.iter().enumerate() {
        let name = format!("made{index}");
        assert_eq!(world.made(&name), *text);
        let mode = fs::metadata(world.target().join(&name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{text}");
    }
}

/// CVE-2020-1734, 2021-4041, 2019-14904, 2019-14905.
#[test]
fn s2_words_and_names_reach_a_command_byte_for_byte() {
    let (world, texts) = reading(
        WORDS,
        "\
- command: {argv: [printf, '%s.', '{{ item.stdout }}'], expand_argument_vars: false}
  loop: '{{ said.results }}'
  register: printed
- shell: 'printf %s. {{ item.stdout | quote }}'
  loop: '{{ said.results }}'
  register: quoted
- file: {path: 'TARGET/names/{{ item.stdout }}', state: touch, mode: '0600'}
  # A path is expanded as Ansible expands it (type `path`).
  when: \"'$HOME' not in item.stdout\"
  loop: '{{ said.results }}'
- find: {paths: TARGET/names, hidden: true}
  register: names
- stat: {path: '{{ item.path }}'}
  loop: '{{ names.files }}'
  register: stats
- assert: {that: \"stats.results | rejectattr('stat.exists') | list == []\"}
- copy: {content: '{{ [printed.results, quoted.results] | map(\"map\", attribute=\"stdout\") | map(\"list\") | list | to_json }}', dest: TARGET/all}
",
    );
    fs::create_dir(world.target().join("names")).unwrap();
    // A name holds no slash.
    for (index, text) in texts.iter().enumerate() {
        let text = text.replace('/', "_");
        fs::write(world.target().join(format!("text{index}")), text).unwrap();
    }
    ok(&world, &[]);
    let names: Vec<String> = texts.iter().map(|text| text.replace('/', "_")).collect();
    let dotted: Vec<String> = names.iter().map(|text| format!("{text}.")).collect();
    let all: Vec<Vec<String>> = serde_json::from_str(&world.made("all")).unwrap();
    assert_eq!(all, [dotted.clone(), dotted]);
    let mut found: Vec<String> = fs::read_dir(world.target().join("names"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut expected = names;
    expected.retain(|name| !name.contains("$HOME"));
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// CVE-2013-4260, 2016-3096, 2020-1733, 2020-10744, 2020-1740: nothing needs a folder that all
/// users share. Both are read-only for this run.
#[test]
fn s5_no_module_needs_a_shared_temporary_folder() {
    let world = World::in_folder(
        Path::new(env!("CARGO_TARGET_TMPDIR")),
        "\
- copy: {content: one, dest: TARGET/copied}
- template: {src: one.j2, dest: TARGET/rendered}
- lineinfile: {path: TARGET/copied, line: two}
- blockinfile: {path: TARGET/copied, block: three}
- replace: {path: TARGET/copied, regexp: two, replace: four}
- script: one.sh
- shell: echo five > TARGET/five
- command: {argv: [cat], stdin: six}
- fetch: {src: TARGET/copied, dest: fetched/}
- slurp: {src: TARGET/copied}
- file: {path: TARGET/folder, state: directory}
- copy: {src: one.sh, dest: TARGET/folder/}
",
    );
    world.write("one.j2", "{{ inventory_hostname }}\n");
    world.write("one.sh", "#!/bin/sh\necho script\n");
    let text = format!(
        // The folder of the test stays writable, also where it lies in one of the two.
        "mount --bind . . || exit 99; \
         for d in /tmp /var/tmp; do \
           mount --rbind $d $d && mount -o remount,bind,ro $d || exit 99; \
           ! touch $d/sb-$$ 2>/dev/null || exit 98; \
         done; cd \"$PWD\" && \
         exec {} run playbook.yml -i hosts.ini --yes",
        env!("CARGO_BIN_EXE_switchback")
    );
    let is_root = rustix::process::geteuid().is_root();
    let output = Command::new("unshare")
        .args(if is_root { &["-m"][..] } else { &["-rm"] })
        .args(["sh", "-c", &text])
        .current_dir(world.path(""))
        .env("SWITCHBACK_RUNS", world.path("runs"))
        .env("SWITCHBACK_KEYS", world.path("keys"))
        .env("SWITCHBACK_ROOT", world.path("place"))
        .env_remove("TMPDIR")
        .env_remove("XDG_RUNTIME_DIR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, 0, "{text}");
}

/// CVE-2020-1736, 2014-4659, 2014-4660: content that was closed is never open, not for an instant:
/// a look at each file that is about to take another's place.
#[test]
fn s6_a_replaced_file_is_never_wider_than_it_was() {
    let world = World::new(
        "\
- lineinfile: {path: TARGET/closed, line: one more}
- blockinfile: {path: TARGET/closed, block: a block}
- replace: {path: TARGET/closed, regexp: more, replace: less}
- copy: {content: new, dest: TARGET/closed}
- template: {src: one.j2, dest: TARGET/closed}
- copy: {content: secret, dest: TARGET/new, mode: '0600'}
- template: {src: one.j2, dest: TARGET/new_too, mode: '0600'}
",
    );
    world.write("one.j2", "rendered\n");
    let closed = world.target().join("closed");
    fs::write(&closed, "secret\n").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(world.path("bin")).unwrap();
    world.write(
        "bin/mv",
        "#!/bin/sh\nfor f; do [ -f \"$f\" ] && stat -c \"%a $PWD/%n\" \"$f\" >>TARGET/../modes; done\nexec /bin/mv \"$@\"\n",
    );
    fs::set_permissions(world.path("bin/mv"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", world.path("bin").display());
    let args = ["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
    let (code, text) = said(&world.command(&args).env("PATH", path).output().unwrap());
    assert_eq!(code, 0, "{text}");
    let modes = fs::read_to_string(world.path("modes")).unwrap();
    // The folder of switchback itself is nobody else's.
    let place = world.path("place").display().to_string();
    let modes: Vec<&str> = modes
        .lines()
        .filter(|line| !line.contains(&place))
        .collect();
    assert!(modes.len() >= 7, "{modes:?}");
    assert!(
        modes.iter().all(|line| line.starts_with("600 ")),
        "{modes:?}"
    );
    for name in ["closed", "new", "new_too"] {
        let mode = fs::metadata(world.target().join(name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

/// CVE-2019-3828, 2020-1735: neither a path nor a host's name leads out of the folder of `fetch`.
#[test]
fn s7_fetch_stays_below_its_folder() {
    let world = World::with_playbook(
        "\
- hosts: one
  gather_facts: false
  tasks:
    - command: cat TARGET/names
      register: said
      changed_when: false
    - add_host: {name: '{{ item }}', groups: [evil], ansible_connection: local}
      loop: '{{ said.stdout_lines }}'
- hosts: one:evil
  gather_facts: false
  tasks:
    - fetch: {src: '{{ item }}', dest: below/fetched/, fail_on_missing: false}
      loop: [TARGET/a/../../outside, TARGET/loot, 'TARGET/a/../loot']
      ignore_errors: true
",
    );
    fs::create_dir(world.target().join("a")).unwrap();
    fs::write(world.target().join("loot"), "loot").unwrap();
    fs::write(world.path("outside"), "loot").unwrap();
    let names = "../../../escaped\n/absolute\n..\nx/../../../../y\n";
    fs::write(world.target().join("names"), names).unwrap();
    let before: Vec<_> = world.files("").into_keys().collect();
    let (_, text) = said(&world.run(&[]));
    let fetched = world.path("below/fetched");
    let kept = ["runs", "keys", "place"].map(|name| world.path(name));
    let mut count = 0;
    for (path, bytes) in world.files("") {
        if path.starts_with(&fetched) {
            count += 1;
        } else if !before.contains(&path) && !kept.iter().any(|k| path.starts_with(k)) {
            panic!("{} was written: {}\n{text}", path.display(), bytes.len());
        }
    }
    assert!(count > 0, "nothing was fetched at all\n{text}");
    assert!(!Path::new("/absolute").exists());
}

/// CVE-2020-1737, 2020-10691, 2023-5115: members of an archive stay below its destination.
#[test]
fn s7_an_archive_stays_below_its_destination() {
    let world = World::new(
        "\
- file: {path: TARGET/to, state: directory}
- unarchive: {src: TARGET/evil.tar, dest: TARGET/to, remote_src: true}
  ignore_errors: true
- unarchive: {src: TARGET/link.tar, dest: TARGET/to, remote_src: true}
  ignore_errors: true
",
    );
    let target = world.target();
    let script = "mkdir -p a/b && echo evil >evil && cd a/b && tar -cPf ../../evil.tar ../../evil && \
                  cd ../.. && rm evil && mkdir l && ln -s .. l/up && tar -cf link.tar -C l up && \
                  rm l/up && mkdir l/up && echo evil >l/up/through && \
                  tar -rf link.tar -C l up/through && rm -r a l";
    let made = Command::new("sh")
        .args(["-ec", script])
        .current_dir(&target)
        .status()
        .unwrap();
    assert!(made.success());
    let (_, text) = said(&world.run(&[]));
    for name in ["evil", "through"] {
        assert!(!target.join(name).exists(), "{name} is outside\n{text}");
    }
    assert!(!world.path("evil").exists(), "{text}");
}

/// CVE-2020-1738, 2020-10684: facts of a host choose neither connection, user nor module.
#[test]
fn s8_facts_do_not_replace_variables() {
    let world = World::new(
        "\
- setup: {fact_path: TARGET/facts, gather_subset: ['!all', local]}
- set_fact: {after: '{{ ansible_connection }} {{ ansible_become | default(\"unset\") }} {{ mine }}'}
  vars: {mine: kept}
- command: id -un
  register: me
- copy: {content: '{{ after }} {{ inventory_hostname }} {{ me.stdout }}', dest: TARGET/all}
- copy: {content: '{{ ansible_local | to_json }}', dest: TARGET/local}
",
    );
    fs::create_dir(world.target().join("facts")).unwrap();
    let fact = r#"{"ansible_connection": "ssh", "ansible_become": true, "mine": "stolen",
        "ansible_become_user": "nobody", "ansible_shell_executable": "/bin/false",
        "ansible_facts": {"ansible_connection": "ssh"}, "inventory_hostname": "other"}"#;
    fs::write(world.target().join("facts/evil.fact"), fact).unwrap();
    ok(&world, &[]);
    let me = Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(me.stdout).unwrap();
    assert_eq!(
        world.made("all"),
        format!("local unset kept one {}", me.trim())
    );
    assert!(
        world.made("local").contains("stolen"),
        "the facts were not even read"
    );
}

/// CVE-2018-10874, 2018-10875: the folder in which the command is given decides nothing.
#[test]
fn s9_nothing_is_taken_from_the_current_folder() {
    let world = World::new(
        "\
- copy: {content: '{{ word | default(\"none\") }}', dest: TARGET/all}
- command: echo one
",
    );
    let cwd = world.path("cwd");
    for folder in [
        "library",
        "filter_plugins",
        "group_vars",
        "host_vars",
        "roles",
        "bin",
    ] {
        fs::create_dir_all(cwd.join(folder)).unwrap();
    }
    fs::set_permissions(&cwd, fs::Permissions::from_mode(0o777)).unwrap();
    let evil = world.target().join("pwned").display().to_string();
    let program = format!("#!/bin/sh\ntouch {evil}\necho '{{}}'\n");
    for name in [
        "library/copy",
        "library/command.py",
        "filter_plugins/x.py",
        "hosts",
        "inventory",
        "bin/sh",
        "sh",
        "ssh",
    ] {
        fs::write(cwd.join(name), &program).unwrap();
        fs::set_permissions(cwd.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(
        cwd.join("ansible.cfg"),
        "[defaults]\ninventory=hosts\nlibrary=library\nfilter_plugins=filter_plugins\n\
         [privilege_escalation]\nbecome=true\nbecome_user=nobody\n",
    )
    .unwrap();
    for name in ["group_vars/all.yml", "host_vars/one.yml"] {
        fs::write(cwd.join(name), "word: stolen\n").unwrap();
    }
    let (playbook, hosts) = (world.path("playbook.yml"), world.path("hosts.ini"));
    let args = [
        "run",
        playbook.to_str().unwrap(),
        "-i",
        hosts.to_str().unwrap(),
        "--yes",
    ];
    let (code, text) = said(&world.command(&args).current_dir(&cwd).output().unwrap());
    assert_eq!(code, 0, "{text}");
    assert!(!world.target().join("pwned").exists(), "{text}");
    assert_eq!(world.made("all"), "none");
}

/// CVE-2020-14365: signatures of packages are checked unless the task itself says otherwise.
#[test]
fn package_signatures_are_checked() {
    let world = World::new("- apt: {name: sb-nothing, state: present}\n");
    fs::create_dir(world.path("bin")).unwrap();
    for name in ["apt-get", "aptitude", "dpkg"] {
        let path = world.path(&format!("bin/{name}"));
        world.write(
            &format!("bin/{name}"),
            "#!/bin/sh\necho \"$0 $*\" >>TARGET/calls\nexit 0\n",
        );
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    world.write(
        "bin/apt-cache",
        "#!/bin/sh\nprintf 'sb-nothing:\\n  Installed: (none)\\n  Candidate: 1\\n  Version table:\\n     1 500\\n'\n",
    );
    fs::set_permissions(
        world.path("bin/apt-cache"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/bin", world.path("bin").display());
    let args = ["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
    let (_, text) = said(&world.command(&args).env("PATH", path).output().unwrap());
    let calls = world.made("calls");
    assert!(calls.contains("sb-nothing"), "{calls}\n{text}");
    for word in [
        "unauthenticated",
        "Unauthenticated",
        "--force-yes",
        "Insecure",
        "nogpg",
    ] {
        assert!(!calls.contains(word), "{calls}");
    }
}

/// CVE-2015-6240, 2024-9902: a link that a user has put in the way leads to nobody else's file.
#[test]
fn s5_a_link_in_the_way_is_not_written_through() {
    let world = World::new(
        "\
- copy: {content: new, dest: TARGET/home/taken, follow: false}
- file: {path: TARGET/home/linked, state: absent}
- file: {path: TARGET/home/folder, state: absent}
- file: {path: TARGET/home/tree, state: directory, recurse: true, mode: '0777', follow: false}
",
    );
    let victim = world.path("victim");
    fs::write(&victim, "kept\n").unwrap();
    fs::create_dir(world.path("victims")).unwrap();
    fs::write(world.path("victims/file"), "kept\n").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let home = world.target().join("home");
    fs::create_dir_all(home.join("tree")).unwrap();
    for name in ["taken", "linked", "tree/up"] {
        symlink(&victim, home.join(name)).unwrap();
    }
    symlink(world.path("victims"), home.join("folder")).unwrap();
    let (_, text) = said(&world.run(&[]));
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept\n", "{text}");
    assert_eq!(
        fs::metadata(&victim).unwrap().mode() & 0o777,
        0o600,
        "{text}"
    );
    assert!(world.path("victims/file").exists(), "{text}");
}

/// CVE-2020-10729: two passwords that are drawn are two.
#[test]
fn drawn_passwords_differ() {
    let world = World::new(
        "\
- copy: {content: \"{{ lookup('password', '/dev/null') }} {{ lookup('password', '/dev/null') }}\", dest: TARGET/all}
- copy: {content: \"{{ lookup('password', '/dev/null') }}\", dest: TARGET/more}
",
    );
    ok(&world, &[]);
    let all = world.made("all");
    let (one, two) = all.split_once(' ').unwrap();
    assert!(
        one.len() >= 20 && one != two && world.made("more") != one,
        "{all}"
    );
}

/// CVE-2014-4658, 2020-10685 and others of their kind: whatever ends a run at any time, there is
/// nothing readable of a secret on the controller's disk.
#[test]
fn a_killed_run_leaves_nothing_to_read() {
    let world = World::new(
        "\
- copy: {content: 'left-behind-word', dest: TARGET/one}
  no_log: true
- command: {argv: [cat], stdin: 'left-behind-word'}
  no_log: true
- shell: {cmd: 'cat >/dev/null; kill -9 $PPID $(pgrep -f TARGET/../runs || true); sleep 5', stdin: 'left-behind-word'}
  no_log: true
",
    );
    fs::create_dir(world.path("tmp")).unwrap();
    let args = ["run", "playbook.yml", "-i", "hosts.ini", "--yes"];
    let mut child = world
        .command(&args)
        .env("TMPDIR", world.path("tmp"))
        .env("XDG_RUNTIME_DIR", world.path("tmp"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let limit = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while world.made("one").is_empty() && std::time::Instant::now() < limit {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(world.made("one"), "left-behind-word");
    for folder in ["runs", "tmp", "keys"] {
        for (name, bytes) in world.files(folder) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(!text.contains("left-behind-word"), "{}", name.display());
        }
    }
}

/// The run store, the keys and the files in them are for their owner, whatever the umask; folders
/// that others can write to are refused before any host is touched (fault 23).
#[test]
fn state_is_private_and_an_open_folder_is_refused() {
    let world = World::new("- command: touch TARGET/ran\n");
    let status = Command::new("sh")
        .args([
            "-c",
            "umask 000; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_switchback"),
        ])
        .args([
            "run",
            "playbook.yml",
            "-i",
            "hosts.ini",
            "--yes",
            "-e",
            "a=b",
        ])
        .args(["--junit", "junit.xml", "--events", "events.ndjson"])
        .current_dir(world.path(""))
        .env("SWITCHBACK_RUNS", world.path("runs"))
        .env("SWITCHBACK_KEYS", world.path("keys"))
        .env("SWITCHBACK_ROOT", world.path("place"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let mut files: Vec<_> = ["runs", "keys"]
        .iter()
        .flat_map(|f| world.files(f))
        .collect();
    files.extend(["junit.xml", "events.ndjson"].map(|f| (world.path(f), Vec::new())));
    for (path, _) in files {
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", path.display());
    }
    // What the task makes is made with the operator's umask.
    let mode = fs::metadata(world.target().join("ran")).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o666);
    for folder in ["runs", "keys"] {
        fs::remove_file(world.target().join("ran")).unwrap_or_default();
        let set = |mode| {
            fs::set_permissions(world.path(folder), fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o777);
        let (code, text) = said(&world.run(&[]));
        assert!(code == 1 && text.contains("not safe"), "{text}");
        assert!(!world.target().join("ran").exists(), "{text}");
        set(0o700);
    }
}
