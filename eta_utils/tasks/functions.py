"""Programs of other data sets in HumanEval's form: a prompt that a body completes.

>>> prompt, body = in_two(code, "total", "Add up the numbers.")
>>> print(prompt)
def total(nums):
    '''
    Add up the numbers.
    '''
>>> test = as_check("assert total([1, 2]) == 3", "total")    # defines check(candidate)

What else a program defines (imports, helpers) goes into the body.  So a completion holds
everything that there is to write, and may be cut where the function ends.  Comments are
lost, since the texts are generated from the syntax tree.

`sets` says which data set has which fields.
"""

from __future__ import annotations

import ast
import textwrap
import warnings

_INDENT = "    "


def in_two(code: str, entry_point: str, docstring: str) -> tuple[str, str]:
    """(Prompt, body) of the function `entry_point` that a program defines.

    `docstring` is the text that the prompt gets, in place of the function's own.

    Raises ValueError where the program does not define it, SyntaxError where it does not
    compile.
    """
    tree = _parsed(code)
    function = _function(tree, entry_point)
    arguments = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    # A global variable of an argument's name would, in the body, replace the argument.
    others = [
        node
        for node in tree.body
        if node is not function and not _assigned(node) & arguments
    ]
    # Two kinds must stand before the function: `from x import *`, which Python does not
    # allow inside, and what the signature names, in annotations and defaults.
    signed = (*ast.walk(function.args), *ast.walk(function.returns or ast.Pass()))
    wanted = {node.id for node in signed if isinstance(node, ast.Name)}
    outside = [
        node for node in others if _imports_everything(node) or _binds(node) & wanted
    ]
    inside = [node for node in others if node not in outside]
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]  # the prompt has the docstring
    body = "\n".join(ast.unparse(node) for node in (*inside, *function.body))
    head = "".join(f"{ast.unparse(node)}\n" for node in outside)
    prompt = f"{head}{_signature(function)}{_documented(docstring)}"
    return prompt, f"{textwrap.indent(body, _INDENT)}\n"


def entry_point_of(code: str, script: str) -> str:
    """The function of a program that the first assert of a script calls.

    Raises ValueError where there is none.
    """
    defined = {node.name for node in _parsed(code).body if _is_function(node)}
    for statement in _parsed(script).body:
        if isinstance(statement, ast.Assert):
            # Walked, because the call may stand within others: `set(total(xs)) == ...`.
            for node in ast.walk(statement.test):
                name = getattr(getattr(node, "func", None), "id", None)
                if name in defined:
                    return name
    raise ValueError("none of its asserts calls a function of the program")


def last_signature(prompt: str) -> str:
    """The `def` line of the function that a prompt leaves to be completed.

    Raises ValueError for a prompt that does not end in a function.
    """
    tree = _parsed(f"{prompt}\n{_INDENT}pass\n")  # or it might lack a body
    if not (tree.body and isinstance(tree.body[-1], ast.FunctionDef)):
        raise ValueError("the prompt does not end in a function")
    return _signature(tree.body[-1])


def as_check(script: str, entry_point: str, code: str = "") -> str:
    """A script of asserts as a test that defines `check(candidate)`.

    `check` begins at the first statement that asserts, loops or calls.  What stands before
    it in the script is set up once, at the module level.  So are the imports and classes of
    the reference's `code`, since some scripts use them.

    The call of a function that the script itself defines becomes an assert, so that the
    judge counts it.

    Raises ValueError where the script tests nothing, SyntaxError where it does not compile.
    """
    body = _parsed(script).body
    tests = (ast.Assert, ast.For, ast.Expr)
    start = next((i for i, node in enumerate(body) if isinstance(node, tests)), None)
    if start is None:
        raise ValueError("its test asserts nothing")
    # Not its functions: where a test calls one, it means that of the program under test.
    shared = (ast.ClassDef, ast.Import, ast.ImportFrom)
    before = [node for node in _parsed(code).body if isinstance(node, shared)]
    own = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    renamed = _CandidateNamed(entry_point)
    asserts = [renamed.visit(_asserted(node, own)) for node in body[start:]]
    lines = textwrap.indent("\n".join(map(ast.unparse, asserts)), _INDENT)
    setting = "".join(f"{ast.unparse(node)}\n" for node in (*before, *body[:start]))
    return f"{setting}\n\ndef check(candidate):\n{lines}\n"


class _CandidateNamed(ast.NodeTransformer):
    """Renames the function under test to `candidate`: its own name might be `check`."""

    def __init__(self, entry_point: str) -> None:
        self.entry_point = entry_point

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("candidate", node.ctx) if node.id == self.entry_point else node


def _asserted(node: ast.stmt, own: set[str]) -> ast.stmt:
    """The statement `test1()` as `assert test1() is None`; any other statement as it is."""
    call = node.value if isinstance(node, ast.Expr) else None
    if getattr(getattr(call, "func", None), "id", None) in own:
        return ast.Assert(ast.Compare(call, [ast.Is()], [ast.Constant(None)]))
    return node


def _assigned(node: ast.stmt) -> set[str]:
    """The variables that an assignment gives a value; none for another statement."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _parsed(text: str) -> ast.Module:
    # Python warns of wrong escapes, which other people's texts are full of.
    with warnings.catch_warnings(action="ignore"):
        return ast.parse(text)


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    """The function of this name that is in force at the end of a program."""
    functions = [node for node in tree.body if _is_function(node) and node.name == name]
    if not functions:
        raise ValueError(f"it does not define a function {name}")
    return functions[-1]


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef)


def _imports_everything(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _binds(node: ast.stmt) -> set[str]:
    """The names that a statement gives a meaning: by import, assignment or definition."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return _assigned(node) | {getattr(node, "name", "")}


def _signature(function: ast.FunctionDef) -> str:
    """The `def` line, with annotations and defaults."""
    arguments = ast.unparse(function.args)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"def {function.name}({arguments}){returns}:\n"


def _documented(docstring: str) -> str:
    """The lines of a docstring, indented."""
    quotes = f'{_INDENT}"""\n'
    # The text must read as it is: what looks like an escape must not become one, and
    # quotes must not end it.
    text = docstring.strip().replace("\\", "\\\\").replace('"""', "'''")
    return f"{quotes}{textwrap.indent(text, _INDENT)}\n{quotes}"
