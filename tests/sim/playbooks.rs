//! What the simulation runs.

use crate::world::World;

/// Loops, blocks, handlers flushed twice, batches, `run_once`, delegates and a loop of includes.
/// Every step that may run only once leaves a line in a log, so that a second run shows.
const SITE: &str = r#"
- name: batches
  hosts: all
  gather_facts: false
  serial: [1, 2]
  handlers:
    - name: restart
      shell: echo restart >> {{ root }}/log
      undo: [{shell: "echo undo restart >> {{ root }}/log"}]
    - name: reload
      listen: changed
      shell: echo reload >> {{ root }}/log
      undo: [{shell: "echo undo reload >> {{ root }}/log"}]
  tasks:
    - name: folder
      file: {path: "{{ root }}/etc", state: directory, mode: "0750"}
    - name: config
      copy: {content: "one\n", dest: "{{ root }}/etc/conf", mode: "0640"}
      notify: restart
    - meta: flush_handlers
    - name: line
      lineinfile: {path: "{{ root }}/etc/conf", line: two}
      notify: restart
    - name: steps
      shell: echo step {{ item }} >> {{ root }}/log; echo out {{ item }}
      loop: [x, y]
      register: steps
      notify: changed
      undo: [{shell: "echo undo step {{ item }} >> {{ root }}/log"}]
    - block:
        - name: breaks
          command: test -e {{ root }}/nothing
          reads: true
        - name: never reached
          shell: echo never >> {{ root }}/log
      rescue:
        - name: rescued
          shell: echo rescued >> {{ root }}/log
          undo: [{shell: "echo undo rescued >> {{ root }}/log"}]
      always:
        - name: always
          copy: {content: always, dest: "{{ root }}/etc/always", mode: "0600"}
    - name: parts
      include_tasks: part.yml
      loop: [p, q]
      loop_control: {loop_var: part}
    - name: once
      shell: echo once for {{ inventory_hostname }} >> {{ hostvars['c'].root }}/once
      run_once: true
      delegate_to: c
      undo: [{shell: "echo undo once >> {{ hostvars['c'].root }}/once"}]
    - name: elsewhere
      shell: echo from {{ inventory_hostname }} >> {{ hostvars['a'].root }}/from.{{ inventory_hostname }}
      delegate_to: a
      undo: [{shell: "echo undo >> {{ hostvars['a'].root }}/from.{{ inventory_hostname }}"}]
- name: after
  hosts: b
  gather_facts: false
  tasks:
    - name: known
      set_fact: {known: "{{ steps.results | map(attribute='changed') | list }}"}
    - name: told
      copy: {content: "{{ known | to_json }}", dest: "{{ root }}/told", mode: "0600"}
    - name: ignored
      command: test -e {{ root }}/nothing
      reads: true
      ignore_errors: true
      register: looked
    - name: last
      shell: echo last {{ looked.rc }} >> {{ root }}/log
      undo: [{shell: "echo undo last >> {{ root }}/log"}]
"#;

const PART: &str = r#"
- name: part
  shell: echo part {{ part }} >> {{ root }}/log
  when: part == 'p' or inventory_hostname != 'b'
  undo: [{shell: "echo undo part {{ part }} >> {{ root }}/log"}]
- name: part file
  copy: {content: "{{ part }}", dest: "{{ root }}/etc/{{ part }}", mode: "0600"}
  notify: restart
"#;

pub(crate) fn site() -> World {
    World::new(&[("site.yml", SITE), ("part.yml", PART)])
}
