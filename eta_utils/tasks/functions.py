"""Programs of other data sets in HumanEval's form: a prompt that a body completes.

>>> prompt, body = in_two(code, "total", "Add up the numbers.")
>>> print(prompt)
def total(nums):
    '''
    Add up the numbers.
    '''
>>> test = as_check("assert total([1, 2]) == 3", "total")    # defines check(candidate)

What else a program defines (imports, helpers) goes into the body, so that a body says all
that there is to write, and may be cut where the function ends.  Comments are lost.

Leaves out: which data set has which fields (see `sets`).
"""

from __future__ import annotations

import ast
import textwrap
import warnings

_INDENT = "    "


def in_two(code: str, entry_point: str, docstring: str) -> tuple[str, str]:
    """(Prompt, body) of the function `entry_point` that a program defines.

    Raises ValueError where the program does not define it, SyntaxError where it does not
    compile.
    """
    tree = _parsed(code)
    function = _function(tree, entry_point)
    given = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
    others = [
        node
        for node in tree.body
        if node is not function and not _assigned(node) & given  # or it would hide them
    ]
    # Not allowed inside, or needed before: what the signature names.
    signed = (*ast.walk(function.args), *ast.walk(function.returns or ast.Pass()))
    wanted = {node.id for node in signed if isinstance(node, ast.Name)}
    outside = [
        node for node in others if _imports_everything(node) or _binds(node) & wanted
    ]
    inside = [node for node in others if node not in outside]
    if ast.get_docstring(function) is not None:
        function.body = function.body[1:]
    body = "\n".join(ast.unparse(node) for node in (*inside, *function.body))
    head = "".join(f"{ast.unparse(node)}\n" for node in outside)
    prompt = f"{head}{_signature(function)}{_documented(docstring)}"
    return prompt, f"{textwrap.indent(body, _INDENT)}\n"


def entry_point_of(code: str, script: str) -> str:
    """The function of a program that the first assert of a script calls.

    Raises ValueError where there is none.
    """
    defined = {node.name for node in _parsed(code).body if _defines(node)}
    for statement in _parsed(script).body:
        if isinstance(statement, ast.Assert):
            for node in ast.walk(statement.test):
                name = getattr(getattr(node, "func", None), "id", None)
                if name in defined:
                    return name
    raise ValueError("none of its asserts calls a function of the program")


def last_signature(prompt: str) -> str:
    """The `def` line of the function that a prompt leaves to be completed.

    Raises ValueError for a prompt that does not end in a function.
    """
    tree = _parsed(f"{prompt}\n{_INDENT}pass\n")
    if not (tree.body and isinstance(tree.body[-1], ast.FunctionDef)):
        raise ValueError("the prompt does not end in a function")
    return _signature(tree.body[-1])


def as_check(script: str, entry_point: str, code: str = "") -> str:
    """A script of asserts as a test that defines `check(candidate)`.

    It begins at the first statement that asserts, loops or calls; what stands before is
    set up once, and so is what the reference's `code` imports and the classes it defines,
    since some scripts use these.  The call of a function of the script's own becomes an
    assert.  Raises ValueError where the script tests nothing, SyntaxError where it does not
    compile.
    """
    body = _parsed(script).body
    tests = (ast.Assert, ast.For, ast.Expr)
    start = next((k for k, node in enumerate(body) if isinstance(node, tests)), None)
    if start is None:
        raise ValueError("its test asserts nothing")
    shared = (ast.ClassDef, ast.Import, ast.ImportFrom)
    before = [node for node in _parsed(code).body if isinstance(node, shared)]
    own = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    asserts = [_Asked(entry_point).visit(_asserted(node, own)) for node in body[start:]]
    lines = textwrap.indent("\n".join(map(ast.unparse, asserts)), _INDENT)
    setting = "".join(f"{ast.unparse(node)}\n" for node in (*before, *body[:start]))
    return f"{setting}\n\ndef check(candidate):\n{lines}\n"


class _Asked(ast.NodeTransformer):
    """Calls the function under test `candidate`: its own name might be `check`."""

    def __init__(self, entry_point: str) -> None:
        self.entry_point = entry_point

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name("candidate", node.ctx) if node.id == self.entry_point else node


def _asserted(node: ast.stmt, own: set[str]) -> ast.stmt:
    call = node.value if isinstance(node, ast.Expr) else None
    if getattr(getattr(call, "func", None), "id", None) in own:
        return ast.Assert(ast.Compare(call, [ast.Is()], [ast.Constant(None)]))
    return node


def _assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {each.id for each in targets if isinstance(each, ast.Name)}


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings(action="ignore"):  # of escapes in other people's texts
        return ast.parse(text)


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    found = [node for node in tree.body if _defines(node) and node.name == name]
    if not found:
        raise ValueError(f"it does not define a function {name}")
    return found[-1]


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef)


def _imports_everything(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.names[0].name == "*"


def _binds(node: ast.stmt) -> set[str]:
    """The names that a statement gives a meaning."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return {(each.asname or each.name).partition(".")[0] for each in node.names}
    return _assigned(node) | {getattr(node, "name", "")}


def _signature(function: ast.FunctionDef) -> str:
    arguments = ast.unparse(function.args)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    return f"def {function.name}({arguments}){returns}:\n"


def _documented(docstring: str) -> str:
    quotes = f'{_INDENT}"""\n'
    # A docstring is told as it is: what looks like an escape must not become one.
    text = docstring.strip().replace("\\", "\\\\").replace('"""', "'''")
    return f"{quotes}{textwrap.indent(text, _INDENT)}\n{quotes}"
