"""Callback that writes what tests/differential.rs compares: task by task, host by host."""
import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: differential
type: stdout
short_description: one line per host and task
description: one line per host and task
"""

NOISE = ("changed", "failed", "skipped", "failed_when_result", "attempts", "retries", "unreachable",
         "warnings", "deprecations")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "differential"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.task = None

    def line(self, result, status, label=None):
        task, host, data = result._task, result._host.get_name(), result._result
        if self.task != task._uuid:
            self.task = task._uuid
            print("TASK " + task.get_name().strip().replace("ansible.builtin.", ""))
        text = "  %s: %s" % (host, status)
        if label is not None:
            text += " (%s)" % label
        if task.action.rsplit(".", 1)[-1] in ("debug", "assert", "fail") and status.split()[0] != "skipped":
            if label is not None or "results" not in data:
                shown = {k: v for k, v in data.items() if not k.startswith("_ansible") and k not in NOISE}
                for key in ("item", "ansible_loop_var", "ansible_index_var", "ansible_loop",
                            data.get("ansible_loop_var"), data.get("ansible_index_var")):
                    shown.pop(key, None)
                if status.startswith("failed"):
                    shown = {k: v for k, v in shown.items() if k == "msg"} if task.action.rsplit(".", 1)[-1] != "debug" else {}
                text += " " + json.dumps(shown, sort_keys=True, ensure_ascii=False, default=str)
        print(text)

    def good(self, result):
        return "changed" if result._result.get("changed") else "ok"

    def v2_runner_on_ok(self, result):
        self.line(result, self.good(result))

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.line(result, "failed ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result):
        self.line(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self.line(result, "unreachable ignored" if result._task.ignore_unreachable else "unreachable")

    def label(self, result):
        return str(self._get_item_label(result._result))

    def v2_runner_item_on_ok(self, result):
        self.line(result, self.good(result), self.label(result))

    def v2_runner_item_on_failed(self, result):
        self.line(result, "failed", self.label(result))

    def v2_runner_item_on_skipped(self, result):
        self.line(result, "skipped", self.label(result))

    def v2_playbook_on_play_start(self, play):
        self.task = None
        print("PLAY " + play.get_name().strip())

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            s = stats.summarize(host)
            print("RECAP %s: " % host + " ".join(
                "%s=%s" % (k, s[k]) for k in ("ok", "changed", "unreachable", "failures", "skipped", "rescued", "ignored")))
