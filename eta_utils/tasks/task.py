"""The Task record, and where its prompt ends and a completion begins."""

from __future__ import annotations

from dataclasses import dataclass, replace

# The field of a sample whose program is not its text as it stands (see `cleaning`).
CLEANED = "cleaned_program"


@dataclass(frozen=True)
class Task:
    """One problem, with HumanEval's own fields and a few more.

    `prompt` + a completion is a program that defines `entry_point`.  `test` defines
    `check(candidate)`.  `canonical_solution`, the reference, completes the prompt; it may
    be empty.

    `hidden_test`, where a task has one, is for evaluation only.  `buggy_solution`, where a
    task comes with one, is a completion that fails: what is to be repaired.

    `base_asserts`, where a set adds tests to those of another, says how many asserts of
    `test` are the other's: they come first.  It is 0 where all asserts are of one kind.
    """

    task_id: str
    prompt: str
    entry_point: str
    test: str
    canonical_solution: str = ""
    split: str = ""
    difficulty: int = 0
    hidden_test: str = ""
    buggy_solution: str = ""
    base_asserts: int = 0

    def program(self, sample: dict) -> str:
        """The text to run: a sample's `solution`, or the prompt and its `completion`.

        A sample that was cleaned (see `cleaning`) has the text in the field `CLEANED`.
        Raises KeyError for a sample that has none of these.
        """
        whole = whole_program(sample)
        return self.prompt + sample["completion"] if whole is None else whole

    def hidden(self) -> Task:
        """This task judged by its hidden test; by its only test where it has no other."""
        return replace(self, test=self.hidden_test or self.test)


def whole_program(sample: dict) -> str | None:
    """The program of a sample that has all of it; None for one that has a completion."""
    if sample.get(CLEANED) is not None:
        return sample[CLEANED]
    return sample.get("solution")


def at_token_boundary(prompt: str, completion: str) -> tuple[str, str]:
    """Move the newlines at the prompt's end to the front of the completion.

    A BPE tokenizer may merge a prompt's last newline with the completion's indent when it
    sees both at once.  Generation from the prompt alone would then start from ids that
    training never saw.  With the newlines on the completion's side, the prompt's ids are a
    prefix of the joint ids.
    """
    stem = prompt.rstrip("\n")
    return stem, prompt[len(stem) :] + completion
