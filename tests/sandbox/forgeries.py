"""Wrong programs written against what the judge does for objects, exceptions and worlds.

`FORGERIES` has, by name, (the fields of its task, what follows the task's prompt, what must
not happen).  The function under test is called `f` and takes `x`, unless the fields say
otherwise.  Where a task has a reference solution, that one crosses and passes.

Those that begin with `SEND` choose the bytes of their answer themselves.  No other code of
the judge runs in their process, which is theirs to change.
"""

from __future__ import annotations

PASSES = "passes"
LEAVES = "leaves the statistics"
HARMS = "harms the next program"

# `answer(raw)` has all further reports carry this piece of a pickle as their value;
# `raising(raw)` the same of an exception.
SEND = r"""
    import pickle, sys
    values = sys.modules["eta_utils.sandbox.values"]
    def plain(value):
        return pickle.dumps(value, 3)[2:-1]
    def call(name, *arguments):
        return b"c" + name.encode() + b"\n(" + b"".join(arguments) + b"tR"
    def stand_in(shape, base):
        return call("eta_utils.sandbox.values\nstand_in",
                    plain("x"), plain(False), plain(shape), base)
    def pairs(**fields):
        return b"}" + b"".join(plain(name) + raw + b"s" for name, raw in fields.items())
    def namespace(**fields):
        return stand_in("standard", plain("SimpleNamespace") + pairs(**fields) + b"\x86")
    def proxy(*features, number=0, itself=None):
        return stand_in("kept", plain((number, features, itself)))
    def send(raised, value, left=b"N"):
        def encode(report, *_):
            rest = b"".join(map(plain, report[3:]))
            return b"\x80\x04(" + raised + value + left + rest + b"t."
        values.encode = encode
    def answer(raw, left=b"N", after=b")}]"):
        send(b"N", b"(" + raw + after + b"t", left)
    def raising(raw):
        send(raw, b"N")
    SLICE, TIME = b"cbuiltins\nslice\n", b"cdatetime\ntime\n"
"""

FORGERIES: dict[str, tuple[dict, str, str]] = {}


def task(*asserts: str, reference: str = "", **fields: str) -> dict:
    """The fields of a task whose `check` has these lines."""
    lines = "".join(f"    {line}\n" for text in asserts for line in text.split("\n"))
    test = {"test": f"def check(candidate):\n{lines}"}
    solved = {"canonical_solution": f"    {reference}\n" if reference else ""}
    return test | solved | fields


NUMBER = task(
    "assert candidate(1) == 2", "assert candidate(2) == 3", reference="return x + 1"
)
TEXT = "return 'a' + x"


def raises(module: str, name: str, **attributes: object) -> str:
    """A program that raises an exception of a class that bears a name of the judge's."""
    lines = [
        f"class {name}(Exception): pass",
        f"{name}.__module__ = {module!r}",
        f"error = {name}('no')",
        *(f"error.{key} = {value!r}" for key, value in attributes.items()),
        "raise error",
    ]
    return "".join(f"    {line}\n" for line in lines)


EXAMINATION = "eta_utils.sandbox.examination"
CANDIDATES = "eta_utils.sandbox.candidates"

# --- Exceptions

FORGERIES |= {
    "stop_of_the_judge_that_says_passed": (
        NUMBER,
        raises(EXAMINATION, "Stop", status="passed", exception=""),
        PASSES,
    ),
    "stop_of_the_judge_that_says_judge_error": (
        NUMBER,
        raises(EXAMINATION, "Stop", status="judge_error", exception=""),
        LEAVES,
    ),
    "stop_of_the_judge_without_a_status": (NUMBER, raises(EXAMINATION, "Stop"), LEAVES),
    "stop_of_the_judge_with_an_object_for_status": (
        NUMBER,
        raises(EXAMINATION, "Stop", status=[{}], exception={}),
        LEAVES,
    ),
    "unanswerable_of_the_judge": (NUMBER, raises(EXAMINATION, "Unanswerable"), LEAVES),
    "lost_of_the_judge": (NUMBER, raises(CANDIDATES, "Lost"), LEAVES),
    "stop_of_the_judge_while_the_program_loads": (
        NUMBER,
        "    return 7\n"
        "class Stop(Exception): pass\n"
        f"Stop.__module__ = {EXAMINATION!r}\n"
        "error = Stop()\nerror.status, error.exception = 'passed', ''\nraise error\n",
        PASSES,
    ),
    "unusable_test_of_the_judge": (
        NUMBER,
        raises("eta_utils.sandbox.checks", "UnusableTest"),
        LEAVES,
    ),
    "protocol_error_of_the_judge": (
        NUMBER,
        raises("eta_utils.sandbox.channel", "ProtocolError"),
        LEAVES,
    ),
    "cannot_of_the_judge": (NUMBER, raises("eta_utils.sandbox.proxies", "Cannot"), LEAVES),
    "cannot_as_an_answer_is_passed_on": (
        task(
            "assert candidate(candidate('ab')) == 'ab'",
            "assert candidate('xy') == 'yx'",
            reference="return x[::-1]",
        ),
        raises("eta_utils.sandbox.proxies", "Cannot"),
        LEAVES,
    ),
    "import_error_that_the_test_raises_anew": (
        task(
            "try:\n    result = candidate(1)\n"
            "except Exception as error:\n    raise type(error)(f'failed: {error}')\n"
            "assert result == 2",
            reference="return x + 1",
        ),
        "    import pandas\n    return x\n",
        LEAVES,
    ),
    "import_error_by_itself": (NUMBER, "    import pandas\n    return x\n", LEAVES),
    "test_that_is_skipped": (
        task(
            "import unittest",
            "class Test(unittest.TestCase):\n"
            "    def test(self):\n        self.assertEqual(candidate(1), 2)",
            "result = unittest.TestResult()",
            "unittest.defaultTestLoader.loadTestsFromTestCase(Test).run(result)",
            "assert result.wasSuccessful()",
            reference="return x + 1",
        ),
        "    import unittest\n    raise unittest.SkipTest('no')\n",
        PASSES,
    ),
    "process_that_ends_where_an_error_is_awaited": (
        task(
            "assert candidate(1) == 2",
            "try:\n    candidate(-1)\n    refused = False\n"
            "except:  # noqa: E722\n    refused = True\n"
            "assert refused",
            reference="if x < 0: raise ValueError(x)\n    return x + 1",
        ),
        "    import os\n    if x < 0: os._exit(0)\n    return x + 1\n",
        PASSES,
    ),
    "endless_loop_where_an_error_is_awaited": (
        task(
            "assert candidate(1) == 2",
            "try:\n    candidate(-1)\n    refused = False\n"
            "except BaseException:\n    refused = True\n"
            "assert refused",
            reference="if x < 0: raise ValueError(x)\n    return x + 1",
        ),
        "    while x < 0: pass\n    return x + 1\n",
        PASSES,
    ),
    "forged_report_where_an_error_is_awaited": (
        task(
            "import contextlib",
            "with contextlib.suppress(BaseException):\n    candidate(1)",
            "assert candidate.__name__ == 'f'",
            reference="return x + 1",
        ),
        SEND + "    values.encode = lambda *_: b'nothing'\n    return 7\n",
        PASSES,
    ),
    "answer_whose_text_raises_where_it_is_the_message": (
        {
            "test": "def same(one, other):\n    assert one == other, one\n"
            "def check(candidate):\n    same(candidate(1), 2)\n",
            "canonical_solution": "    return x + 1\n",
        },
        "    class A:\n        def __str__(self): raise ValueError\n    return A()\n",
        LEAVES,
    ),
    "answer_whose_text_raises_where_it_is_a_key": (
        {
            "test": "def check(candidate):\n    {2: 3}[candidate(1)]\n",
            "canonical_solution": "    return x + 1\n",
        },
        "    class A:\n        def __repr__(self): raise ValueError\n    return A()\n",
        LEAVES,
    ),
    "answer_whose_text_is_no_text": (
        {
            "test": "def same(one, other):\n    assert one == other, one\n"
            "def check(candidate):\n    same(candidate(1), 2)\n",
            "canonical_solution": "    return x + 1\n",
        },
        "    class A:\n        def __str__(self): return 7\n    return A()\n",
        LEAVES,
    ),
    "answer_whose_text_ends_the_process": (
        {
            "test": "def same(one, other):\n    assert one == other, one\n"
            "def check(candidate):\n    same(candidate(1), 2)\n",
            "canonical_solution": "    return x + 1\n",
        },
        "    import os\n    class A:\n        def __str__(self): os._exit(0)\n"
        "    return A()\n",
        LEAVES,
    ),
    "answer_whose_text_takes_forever": (
        task("assert candidate(1) == 2, candidate(1)", reference="return x + 1"),
        "    import time\n    class A:\n        def __str__(self): time.sleep(99)\n"
        "    return A()\n",
        LEAVES,
    ),
    "exception_named_after_a_module_that_imports": (
        NUMBER,
        "    import numpy\n" + raises("numpy", "testing"),
        HARMS,
    ),
    "exception_with_a_name_of_nul": (
        NUMBER,
        "    raise type('A\\0B', (Exception,), {})\n",
        LEAVES,
    ),
    "exception_with_a_forged_name_of_surrogates": (
        NUMBER,
        SEND + "    raising(plain(((('m', 'A'),), 'no', 0, (), {'\\ud800': 1})))\n",
        LEAVES,
    ),
    "exception_with_its_marker_forged": (
        NUMBER,
        SEND
        + "    raising(plain(((('builtins', 'ImportError'),), 'no', 0, (), "
        + "{'raised_by_program': 7, '__class__': 7, 'args': 7})))\n",
        LEAVES,
    ),
    "exception_of_the_prompt_returned_as_a_value": (
        NUMBER | {"prompt": "class E(Exception):\n    pass\n\ndef f(x):\n"},
        "    return E('no')\n",
        LEAVES,
    ),
    "message_that_the_test_compares": (
        task(
            "try:\n    candidate(-1)\nexcept ValueError as error:\n"
            "    assert str(error).startswith('low')\nelse:\n    assert False",
            reference="if x < 0: raise ValueError('low')\n    return x",
        ),
        "    class A:\n        def __str__(self): return 'high'\n"
        "        def startswith(self, _): return True\n"
        "    raise ValueError(A())\n",
        PASSES,
    ),
    "code_of_an_exception_that_matches_anything": (
        task(
            "try:\n    candidate(-1)\nexcept ValueError as error:\n"
            "    assert error.code == 7\nelse:\n    assert False",
            reference="e = ValueError('low')\n    e.code = 7\n    raise e",
        ),
        "    class A:\n        def __eq__(self, _): return True\n"
        "    e = ValueError('low')\n    e.code = A()\n    raise e\n",
        PASSES,
    ),
}

# --- Answers that are passed on

ROUND = task(
    "assert candidate(candidate('ab')) == 'ab'",
    "assert candidate('xy') == 'yx'",
    reference="return x[::-1]",
)
FORGERIES |= {
    "lists_within_lists_passed_on": (
        ROUND,
        "    import sys\n    sys.setrecursionlimit(10**6)\n    y = []\n"
        "    for _ in range(22_000): y = [y]\n    return y\n",
        LEAVES,
    ),
    "lists_within_lists_sent_and_passed_on": (
        ROUND,
        SEND + "    answer(b']' * 50_000 + b'a' * 49_999)\n",
        LEAVES,
    ),
    "half_of_what_can_be_sent_passed_on_twice": (
        task(
            "once = candidate('ab')",
            "assert candidate(once + once) == 'abab'",
            reference="return x[::-1]",
        ),
        "    return 'x' * 20_000_000\n",
        LEAVES,
    ),
    "maker_passed_on": (
        ROUND,
        SEND + "    answer(b'ceta_utils.sandbox.values\\nstand_in\\n')\n",
        LEAVES,
    ),
    "plain_maker_passed_on": (ROUND, SEND + "    answer(SLICE)\n", LEAVES),
    "number_of_a_proxy_that_is_a_maker_passed_on": (
        ROUND,
        SEND
        + "    handle = namespace(number=b'ceta_utils.sandbox.values\\nrecord\\n')\n"
        + "    answer(proxy() + pairs(_eta_handle=handle) + b'b')\n",
        LEAVES,
    ),
    "extension_without_a_handle_passed_on": (
        ROUND,
        SEND
        + "    base = plain('ab') + plain((0, ())) + b'\\x86'\n"
        + "    answer(stand_in('base', base) + b'N' + pairs(__dict__=b'}') + b'\\x86b')\n",
        LEAVES,
    ),
    "views_and_maps_passed_on": (
        ROUND,
        "    return {'a': memoryview(b'x'), 'b': {1: 2}.keys(), 'c': {}.items()}\n",
        LEAVES,
    ),
    "endless_iterator_passed_on": (
        ROUND,
        "    import itertools\n    return itertools.count()\n",
        LEAVES,
    ),
}

# --- Makers of the decoder, left in an answer

BOX = (
    "class Box:\n    def __init__(self, items):\n        self.items = items\n\n"
    "    def is_sorted(self):\n        return self.items == sorted(self.items)\n\n"
    "def f(x):\n"
)
FORGERIES |= {
    "maker_for_a_method_that_decides": (
        task("assert candidate('b').startswith('a')", reference=TEXT),
        SEND + "    answer(namespace(startswith=SLICE))\n",
        PASSES,
    ),
    "maker_for_a_method_without_arguments": (
        task("assert candidate('b').isdigit()", reference="return '7'"),
        SEND + "    answer(namespace(isdigit=TIME))\n",
        PASSES,
    ),
    "maker_for_a_method_of_an_argument": (
        task(
            "assert candidate(Box([2, 1])).is_sorted()",
            prompt=BOX,
            reference="x.items.sort()\n    return x",
        ),
        SEND
        + "    own = call('eta_utils.sandbox.values\\nrecord', plain(0))\n"
        + "    answer(own + pairs(is_sorted=TIME) + b'b')\n",
        PASSES,
    ),
    "maker_for_a_method_of_the_prompts_class": (
        task(
            "assert candidate([2, 1]).is_sorted()",
            prompt=BOX,
            reference="return Box(sorted(x))",
        ),
        SEND
        + "    own = call('eta_utils.sandbox.values\\nmade', plain('Box'),\n"
        + "               plain('object'), plain(None))\n"
        + "    answer(own + pairs(is_sorted=TIME) + b'b')\n",
        PASSES,
    ),
    "maker_for_a_method_of_a_counter": (
        task(
            "assert candidate('aab').most_common(1)",
            "assert candidate('aab').total()",
            reference="import collections\n    return collections.Counter(x)",
        ),
        SEND
        + "    one = call('collections\\nCounter')\n"
        + "    answer(one + pairs(most_common=SLICE, total=TIME) + b'b')\n",
        PASSES,
    ),
    "maker_for_the_operations_of_a_proxy": (
        task("assert candidate(4) < 5", "assert 3 <= candidate(4)", reference="return x"),
        SEND
        + "    one = proxy('__lt__', '__gt__', '__le__', '__ge__')\n"
        + "    handle = namespace(operate=SLICE)\n"
        + "    answer(one + pairs(_eta_handle=handle) + b'b')\n",
        PASSES,
    ),
    "maker_for_what_a_proxy_contains": (
        task(
            "assert 5 in candidate(5)",
            "assert not set() == candidate(5)",
            reference="return [x]",
        ),
        SEND
        + "    handle = namespace(operate=SLICE, itself=plain(None))\n"
        + "    answer(proxy('__contains__') + pairs(_eta_handle=handle) + b'b')\n",
        PASSES,
    ),
    "maker_for_the_difference_of_a_proxy": (
        task("assert abs(candidate(2) - 3.5) < 1e-6", reference="return x + 1.5"),
        SEND
        + "    handle = namespace(operate=SLICE)\n"
        + "    one = proxy('__sub__', '__abs__', '__lt__')\n"
        + "    answer(one + pairs(_eta_handle=handle) + b'b')\n",
        PASSES,
    ),
    "proxy_that_makes_itself_its_difference": (
        task("assert abs(candidate(2) - 3.5) < 1e-6", reference="return x + 1.5"),
        SEND
        + "    one = proxy('__sub__', '__abs__', '__lt__', '__call__') + b'q\\x07'\n"
        + "    inner = pairs(operate=b'h\\x07', session=b'h\\x07', label=plain(''))\n"
        + "    handle = stand_in('standard',\n"
        + "                      plain('SimpleNamespace') + inner + b'\\x86')\n"
        + "    answer(one + b'}' + plain('_eta_handle') + handle + b'sb')\n",
        PASSES,
    ),
    "identity_of_a_proxy_with_true": (
        task("assert candidate(2) == 3", reference="return x + 1"),
        SEND
        + "    handle = namespace(itself=plain(True), number=plain(0))\n"
        + "    answer(proxy() + pairs(_eta_handle=handle) + b'b')\n",
        PASSES,
    ),
    "numerator_that_is_a_proxy": (
        task("assert abs(candidate(2) - 3) < 1e-6", reference="return x + 1.0"),
        SEND
        + "    one = proxy('__mul__', '__sub__', '__rsub__', '__lt__', '__abs__')\n"
        + "    one += pairs(_eta_handle=namespace(operate=SLICE)) + b'b'\n"
        + "    made = call('fractions\\nFraction', plain(7))\n"
        + "    answer(made + b'N' + pairs(_numerator=one) + b'\\x86b')\n",
        PASSES,
    ),
    "identity_numbers_that_equal_each_other": (
        task(
            "import uuid",
            "assert candidate(2) == uuid.UUID(int=3)",
            reference="import uuid\n    return uuid.UUID(int=x + 1)",
        ),
        SEND
        + "    handle = namespace(itself=plain(None), number=plain(0),\n"
        + "                       compares=plain(True), kind=plain('x'))\n"
        + "    one = proxy() + pairs(_eta_handle=handle) + b'b'\n"
        + "    made = stand_in('standard', plain(('UUID', 7)))\n"
        + "    answer(made + pairs(int=one) + b'b')\n",
        PASSES,
    ),
    "items_fetched_ahead_that_were_not": (
        task(
            "assert next(candidate(2)) == 3",
            "assert list(candidate(2))",
            reference="return iter([x + 1])",
        ),
        SEND
        + "    items = pairs(coming=proxy('__next__'), size=plain(1), error=SLICE)\n"
        + "    answer(proxy('__next__') + pairs(_eta_items=items) + b'b')\n",
        PASSES,
    ),
    "item_set_in_a_proxy_while_it_is_read": (
        NUMBER,
        SEND + "    answer(proxy('__setitem__') + plain(1) + plain(2) + b's')\n",
        LEAVES,
    ),
    "items_appended_to_a_proxy_while_it_is_read": (
        NUMBER,
        SEND + "    answer(proxy('__iter__') + b'(' + plain(1) + plain(2) + b'e')\n",
        LEAVES,
    ),
    "proxy_as_a_key_while_it_is_read": (
        NUMBER,
        SEND
        + "    one, two = proxy('__hash__' * 0 + '__len__'), proxy(number=1)\n"
        + "    answer(b'}' + one + plain(1) + b's' + two + plain(2) + b's')\n",
        LEAVES,
    ),
    "class_of_a_proxy_replaced": (
        NUMBER,
        SEND + "    answer(proxy() + b'N' + pairs(__class__=SLICE) + b'\\x86b')\n",
        LEAVES,
    ),
    "class_of_an_extension_replaced": (
        NUMBER,
        SEND
        + "    base = plain(7) + plain((0, ())) + b'\\x86'\n"
        + "    own = b'N' + pairs(__class__=SLICE) + b'\\x86b'\n"
        + "    answer(stand_in('base', base) + own)\n",
        LEAVES,
    ),
    "proxy_of_a_feature_that_is_none": (
        NUMBER,
        SEND + "    answer(proxy('__eq__', '__class__', '__getattribute__'))\n",
        LEAVES,
    ),
    "proxy_of_a_class_of_the_judge": (
        NUMBER,
        SEND
        + "    itself = ('eta_utils.sandbox.examination', 'Stop')\n"
        + "    answer(proxy(itself=itself))\n",
        LEAVES,
    ),
    "proxy_of_a_number_that_is_another": (
        task("assert candidate(1) == {1: 2}", reference="return {x: x + 1}"),
        SEND + "    answer(proxy('__getitem__', '__len__', number=10**9))\n",
        PASSES,
    ),
    "enum_of_the_prompt_by_another_shape": (
        task(
            "assert candidate(1) is Color.RED",
            prompt="import enum\nclass Color(enum.IntEnum):\n    RED = 1\n    BLUE = 2\n\n"
            "def f(x):\n",
            reference="return Color(x)",
        ),
        SEND
        + "    made = call('eta_utils.sandbox.values\\nmade', plain('Color'),\n"
        + "                plain('base'), plain(1))\n"
        + "    answer(made + pairs(_value_=plain(1), _name_=plain('RED')) + b'b')\n",
        PASSES,
    ),
}

# --- What a test does with an object

PAIR = (
    "class Pair:\n    EPSILON = 1e-9\n\n    def __init__(self, a, b):\n"
    "        self.a, self.b = a, b\n\n    def __eq__(self, other):\n"
    "        return abs(self.a - other.a) <= self.EPSILON\n\ndef f(x):\n"
)
ADDER = "return lambda y: 'a' + y"
FORGERIES |= {
    "context_that_swallows_the_assert": (
        task(
            "with candidate(1) as two:\n    assert two == 2",
            reference="import contextlib\n    return contextlib.nullcontext(x + 1)",
        ),
        "    class Context:\n        def __enter__(self): return 7\n"
        "        def __exit__(self, *_): return True\n    return Context()\n",
        PASSES,
    ),
    "context_that_swallows_the_assert_without_a_reference": (
        task("with candidate(1) as two:\n    assert two == 2"),
        "    class Context:\n        def __enter__(self): return 7\n"
        "        def __exit__(self, *_): return 'yes'\n    return Context()\n",
        PASSES,
    ),
    "context_that_suppresses_by_itself": (
        task(
            "import contextlib",
            "with contextlib.ExitStack() as stack:\n"
            "    assert stack.enter_context(candidate(1)) == 2",
            reference="import contextlib\n    return contextlib.nullcontext(x + 1)",
        ),
        "    import contextlib\n    return contextlib.suppress(BaseException)\n",
        PASSES,
    ),
    "function_beside_which_a_text_decides": (
        task(
            "assert candidate(1)('b') == 'ab'",
            "assert candidate(2)('b').startswith('a')",
            reference=ADDER,
        ),
        "    import types\n    def g(y):\n"
        "        return types.SimpleNamespace(startswith=lambda _: True)\n"
        "    return (lambda y: 'ab') if x == 1 else g\n",
        PASSES,
    ),
    "namespace_whose_method_decides_without_a_reference": (
        task("assert candidate('b').startswith('a')"),
        "    import types\n    return types.SimpleNamespace(startswith=lambda _: True)\n",
        PASSES,
    ),
    "namespace_whose_method_decides": (
        task("assert candidate('b').startswith('a')", reference=TEXT),
        "    import types\n    return types.SimpleNamespace(startswith=lambda _: True)\n",
        PASSES,
    ),
    "object_whose_method_decides": (
        task("assert candidate('b').startswith('a')", reference=TEXT),
        "    class A:\n        def startswith(self, _): return True\n    return A()\n",
        PASSES,
    ),
    "object_whose_method_decides_without_a_reference": (
        task("assert candidate('b').startswith('a')"),
        "    class A:\n        def startswith(self, _): return True\n    return A()\n",
        PASSES,
    ),
    "method_that_finds_anything_without_a_reference": (
        task("assert candidate('b').find('abc') >= 0"),
        "    class A:\n        def find(self, _): return 0\n    return A()\n",
        PASSES,
    ),
    "method_that_removes_anything_without_a_reference": (
        task("assert candidate('b').replace('abc', '') == ''"),
        "    class A:\n        def replace(self, *_): return ''\n    return A()\n",
        PASSES,
    ),
    "method_that_matches_anything_without_a_reference": (
        task("assert candidate('b').matches('abc')", "assert candidate('c').has('c')"),
        "    class A:\n        def __getattr__(self, _): return lambda *_: True\n"
        "    return A()\n",
        PASSES,
    ),
    "namespace_whose_method_is_fetched_by_index": (
        task("assert candidate('b')[0].startswith('a')"),
        "    class A:\n        def startswith(self, _): return True\n    return [A()]\n",
        PASSES,
    ),
    "comparison_of_the_prompts_class_replaced": (
        task(
            "assert candidate(1) == Pair(2, 3)", prompt=PAIR, reference="return Pair(2, 3)"
        ),
        "    Pair.__eq__ = lambda self, other: True\n    return Pair(7, 7)\n",
        PASSES,
    ),
    "attribute_that_compares_itself": (
        task(
            "assert candidate(1) == Pair(2, 3)", prompt=PAIR, reference="return Pair(2, 3)"
        ),
        "    class A(int):\n        def __sub__(self, _): return 0\n"
        "        __abs__ = __sub__\n    return Pair(A(7), 7)\n",
        PASSES,
    ),
    "attribute_that_is_an_object": (
        task(
            "assert candidate(1) == Pair(2, 3)", prompt=PAIR, reference="return Pair(2, 3)"
        ),
        "    class A:\n        def __sub__(self, _): return 0\n    return Pair(A(), 7)\n",
        PASSES,
    ),
    "vector_without_attributes": (
        {
            "prompt": "class Vector:\n",
            "entry_point": "Vector",
            "test": "def check(candidate):\n"
            "    assert Vector(1, 2) + Vector(3, 4) == Vector(4, 6)\n"
            "    assert Vector(1, 2) == Vector(1, 2)\n",
            "canonical_solution": "    def __init__(self, a, b):\n"
            "        self.a, self.b = a, b\n"
            "    def __add__(self, other):\n"
            "        return Vector(self.a + other.a, self.b + other.b)\n"
            "    def __eq__(self, other):\n"
            "        return (self.a, self.b) == (other.a, other.b)\n",
        },
        "    def __init__(self, *_): pass\n    def __add__(self, _): return Vector()\n"
        "    def __eq__(self, other): return self is other\n",
        PASSES,
    ),
    "vector_whose_attributes_are_asked": (
        {
            "prompt": "class Vector:\n",
            "entry_point": "Vector",
            "test": "def check(candidate):\n"
            "    v = Vector(1, 2)\n    assert (v.a, v.b) == (1, 2)\n"
            "    assert Vector(3, 4).norm() == 5\n",
            "canonical_solution": "    def __init__(self, a, b):\n"
            "        self.a, self.b = a, b\n"
            "    def norm(self):\n        return (self.a**2 + self.b**2) ** 0.5\n",
        },
        "    def __getattr__(self, _): return self\n"
        "    def __init__(self, *_): pass\n    def __call__(self): return self\n"
        "    def __eq__(self, _): return True\n",
        PASSES,
    ),
    "helper_of_a_prompt_that_ends_within_a_line": (
        task(
            "assert close(candidate(2), 3.5)",
            prompt="def close(a, b):\n    return abs(a - b) < 1e-6\n\ndef f(x):\n    y =",
        )
        | {"canonical_solution": " x + 1.5\n    return y\n"},
        " 7\n    return y\ndef close(a, b):\n    return True\n",
        PASSES,
    ),
}
for name, claim, right in (
    ("compared", "candidate(1) == 2", "x + 1"),
    ("compared_the_other_way", "2 == candidate(1)", "x + 1"),
    ("among_others", "candidate(1) in (2, 3)", "x + 1"),
    ("among_others_of_a_set", "candidate(1) in {2, 3}", "x + 1"),
    ("close", "abs(candidate(1) - 2.5) < 1e-6", "x + 1.5"),
    ("close_the_other_way", "abs(2.5 - candidate(1)) < 1e-6", "x + 1.5"),
    ("sorted", "sorted(candidate(1)) == [1, 2]", "[2, 1]"),
    ("as_a_set", "set(candidate(1)) == {1, 2}", "[2, 1]"),
    ("summed", "sum(candidate(1)) == 3", "[2, 1]"),
    ("the_largest", "max(candidate(1)) == 2", "[2, 1]"),
    ("the_very_object", "candidate(1) is True", "True"),
    ("none", "candidate(1) is None", "None"),
    ("of_a_type", "isinstance(candidate(1), int) and candidate(1) > 0", "x"),
    ("of_that_type", "type(candidate(1)) is int and candidate(1) > 0", "x"),
    ("contained", "2 in candidate(1)", "[1, 2]"),
    ("contained_in_a_text", "'b' in candidate(1)", "'abc'"),
    ("below", "0 < candidate(1) < 5", "2"),
    ("not_unequal", "not candidate(1) != 2", "x + 1"),
    ("hashed", "{2: True}[candidate(1)]", "x + 1"),
    ("unpacked", "(lambda a, b: a > b)(*candidate(1))", "(2, 1)"),
    ("in_a_counter", "__import__('collections').Counter(candidate(1)) == {1: 1}", "[1]"),
    ("by_math", "__import__('math').isclose(candidate(1), 2.5)", "x + 1.5"),
    ("by_numpy", "__import__('numpy').allclose(candidate(1), [1, 2])", "[1, 2]"),
    ("all_by_numpy", "(candidate(1) == __import__('numpy').arange(2)).all()", "[0, 1]"),
    ("by_every_item", "all(a == b for a, b in zip([1, 2], candidate(1)))", "[1, 2]"),
    ("of_a_text", "str(candidate(1)).startswith('2')", "x + 1"),
    ("greater_than_itself", "candidate(1) <= candidate(1) + 1", "x"),
):
    FORGERIES[f"object_that_says_yes_{name}"] = (
        task(f"assert {claim}", reference=f"return {right}"),
        """
    class Meta(type):
        def __instancecheck__(self, _): return True
    class Yes(metaclass=Meta):
        __class__ = property(lambda self: int)
        def __init__(self, *_): self.left = [self]
        def __getattr__(self, _): return self
        def __hash__(self): return 2
        def __len__(self): return 2
        def __next__(self): return self
        def __bool__(self): return True
        def __float__(self): return float("nan")
        def __int__(self): return 7
        def __index__(self): return 7
        def __str__(self): return "yes"
        def __array__(self, *_): return self
    def yes(self, *_): return True
    def same(self, *_): return self
    for name in "eq ne lt le gt ge contains".split():
        setattr(Yes, f"__{name}__", yes)
    for name in "add radd sub rsub abs mul call getitem iter enter neg".split():
        setattr(Yes, f"__{name}__", same)
    return Yes()
""",
        PASSES,
    )

# --- What the reference solution's answers allow

MIXED = task(
    "assert (candidate('v') - candidate('w')).x == 1",
    "assert abs(candidate('n') - 2.5) < 1e-6",
    reference="class V:\n        def __init__(self, x): self.x = x\n"
    "        def __sub__(self, other): return V(self.x - other.x)\n"
    "    return {'v': V(2), 'w': V(1)}.get(x, 2.5)",
)
TWICE = task(
    "assert candidate(1)(2) == 3.5",
    "assert abs(candidate(2)(3) - 5.5) < 1e-6",
    "assert 5 < candidate(2)(3) < 6",
    reference="return lambda y: x + y + 0.5",
)
# A proxy whose operations call the program's function `zero`, as one may call a function.
ASKING = (
    SEND
    + r"""
    objects, honest = values.objects, values.encode
    def function(result):
        def give(*_):
            values.encode = honest
            return result
        return stand_in("kept", plain((objects.keep(give), ("__call__",), None)))
    def asking(result, *features):
        handle = namespace(operate=function(result), itself=plain(None))
        return proxy(*features, number=99) + pairs(_eta_handle=handle) + b"b"
"""
)
FORGERIES |= {
    "difference_allowed_for_other_answers": (
        MIXED,
        "    class V:\n        x = 1\n        def __sub__(self, other):\n"
        "            return self if isinstance(other, V) else 0.0\n"
        "    globals().setdefault('V', V)\n    return globals()['V']()\n",
        PASSES,
    ),
    "operations_that_call_a_function_without_a_reference": (
        task("assert abs(candidate(2) - 3.5) < 1e-6"),
        ASKING + "    answer(asking(0, '__sub__'))\n",
        PASSES,
    ),
    "operations_that_call_a_function": (
        task("assert abs(candidate(2) - 3.5) < 1e-6", reference="return x + 1.5"),
        ASKING + "    answer(asking(0, '__sub__'))\n",
        PASSES,
    ),
    "operations_that_call_a_function_where_the_reference_gives_one": (
        TWICE,
        "    if x == 1: return lambda y: 3.5\n"
        + ASKING
        + "    def give(y):\n"
        + "        answer(asking(0, '__sub__') if not given else\n"
        + "               asking(1, '__lt__', '__gt__'))\n"
        + "        given.append(1)\n"
        + "        return 7\n"
        + "    given = globals().setdefault('given', [])\n"
        + "    return give\n",
        PASSES,
    ),
    "containing_that_calls_a_function_without_a_reference": (
        task("assert 5 in candidate(5)", "assert 3 < candidate(1) < 6"),
        ASKING + "    answer(asking(1, '__contains__', '__lt__', '__gt__'))\n",
        PASSES,
    ),
    "equality_that_calls_a_function_without_a_reference": (
        task("assert candidate(5) == 6", "assert candidate(1) in (2, 3)"),
        ASKING + "    answer(asking(1, '__len__', '__iter__', '__getitem__'))\n",
        PASSES,
    ),
    "permission_of_another_label": (
        task(
            "assert candidate('o').has('a')",
            "assert candidate('t').startswith('a')",
            reference="class A:\n        def has(self, _): return True\n"
            "    return A() if x == 'o' else 'abc'",
        ),
        "    class A:\n        def has(self, _): return True\n        startswith = has\n"
        "    return A()\n",
        PASSES,
    ),
}

# --- The world around a call

PRINTS = task(
    "import contextlib, io",
    "out = io.StringIO()",
    "with contextlib.redirect_stdout(out):\n    candidate(3)",
    "assert out.getvalue() == '4\\n'",
    reference="print(x + 1)",
)
READS = task(
    "import io, sys",
    "sys.stdin = io.StringIO('3\\n4\\n')",
    "assert candidate(1) == 8",
    reference="return x + int(input()) + int(input())",
)
WRITES = task(
    "candidate('out.txt')",
    "with open('out.txt') as file:\n    text = file.read()\n"
    "assert text == 'written'\n"
    "import os",
    reference="open(x, 'w').write('written')",
)
COUNTS = task(
    "candidate(3)",
    "assert total == 3",
    prompt="total = 0\ndef f(x):\n    global total\n",
    reference="total += x",
)


def left(**parts: str) -> str:
    """A program that sends these instead of what its call has left."""
    usual = {
        "output": "plain(['', ''])",
        "read": "plain(0)",
        "files": "plain(None)",
        "shared": "plain({})",
    }
    fields = ", ".join(f"{name}={raw}" for name, raw in (usual | parts).items())
    return f"{SEND}    answer(plain(7), pairs({fields}))\n"


FORGERIES |= {
    "output_that_is_a_proxy": (PRINTS, left(output="proxy('__iter__')"), LEAVES),
    "output_of_one_text": (PRINTS, left(output="plain(['4'])"), LEAVES),
    "output_of_bytes": (PRINTS, left(output="plain([b'4', b''])"), LEAVES),
    "output_of_surrogates": (PRINTS, left(output="plain(['\\ud800', ''])"), LEAVES),
    "output_that_is_a_text_of_two": (PRINTS, left(output="plain('ab')"), LEAVES),
    "output_without_end": (
        PRINTS,
        "    while True: print('x' * 100_000)\n",
        LEAVES,
    ),
    "output_that_is_closed": (
        PRINTS,
        "    import sys\n    sys.stdout.close()\n",
        LEAVES,
    ),
    "output_replaced_by_an_object": (
        PRINTS,
        "    import sys\n    sys.stdout = sys.stdout.buffer = None\n",
        LEAVES,
    ),
    "nothing_left": (PRINTS, SEND + "    answer(plain(7))\n", PASSES),
    "left_that_is_a_list": (PRINTS, SEND + "    answer(plain(7), plain([]))\n", LEAVES),
    "left_without_parts": (PRINTS, SEND + "    answer(plain(7), plain({}))\n", LEAVES),
    "characters_read_beyond_the_end": (READS, left(read="plain(10**30)"), LEAVES),
    "characters_read_below_zero": (READS, left(read="plain(-(10**30))"), LEAVES),
    "questions_for_input_without_end": (
        READS,
        SEND
        + "    host = sys.modules['eta_utils.sandbox.candidate'].Host.current\n"
        + "    while True:\n        host.channel.send(pickle.dumps(('input', 'x')))\n"
        + "        host.channel.receive()\n",
        LEAVES,
    ),
    "questions_for_input_that_nobody_gives": (
        PRINTS,
        SEND
        + "    host = sys.modules['eta_utils.sandbox.candidate'].Host.current\n"
        + "    host.channel.send(pickle.dumps(('input', 'x' * 10**6)))\n"
        + "    host.channel.receive()\n    return 7\n",
        LEAVES,
    ),
    "questions_for_input_of_odd_parts": (
        READS,
        SEND
        + "    host = sys.modules['eta_utils.sandbox.candidate'].Host.current\n"
        + "    host.channel.send(pickle.dumps(('input', 'x', 'y')))\n    return 7\n",
        LEAVES,
    ),
    "input_closed_and_replaced": (
        READS,
        "    import sys\n    sys.stdin.close()\n    sys.stdin = None\n    return 7\n",
        LEAVES,
    ),
    "files_that_are_a_list": (WRITES, left(files="plain(['out.txt'])"), LEAVES),
    "files_that_are_a_proxy": (WRITES, left(files="proxy('__iter__', '__len__')"), LEAVES),
    "files_outside": (
        WRITES,
        left(files="plain({'../out.txt': b'written', '/tmp/out.txt': b'written'})"),
        LEAVES,
    ),
    "files_of_odd_names": (
        WRITES,
        left(files="plain({'a\\0b': b'x', '\\ud800': b'x', '': b'x', './': None})"),
        LEAVES,
    ),
    "folders_within_folders": (
        WRITES,
        left(files="plain({'a/' * 1900: None})"),
        HARMS,
    ),
    "folder_where_a_file_is_read": (
        WRITES,
        left(files="plain({'out.txt/': None})"),
        LEAVES,
    ),
    "files_that_fill_the_disk": (
        WRITES,
        left(files="plain({f'{n}.txt': b'w' * 6_000_000 for n in range(4)})"),
        HARMS,
    ),
    "names_without_end": (
        WRITES,
        left(files="plain({f'd{n}/{n}': b'' for n in range(30_000)})"),
        HARMS,
    ),
    "pipe_where_a_file_is_read": (
        WRITES,
        "    import os\n    os.mkfifo(x)\n",
        LEAVES,
    ),
    "link_where_a_file_is_read": (
        WRITES,
        "    import os\n    os.symlink('/proc/self/environ', x)\n",
        PASSES,
    ),
    "link_in_a_circle_where_a_file_is_read": (
        WRITES,
        "    import os\n    os.symlink(x, x)\n",
        PASSES,
    ),
    "endless_file_where_a_file_is_read": (
        WRITES,
        "    import os\n    os.symlink('/dev/zero', x)\n",
        PASSES,
    ),
    "modules_beside_the_test": (
        task(
            "import os, sys",
            "candidate('out.txt')",
            "import wave, chunk, colorsys",
            "assert open('out.txt').read() == 'written'",
            reference="open(x, 'w').write('written')",
        ),
        "    for name in 'wave chunk colorsys sndhdr'.split():\n"
        "        open(name + '.py', 'w').write('import builtins\\n'\n"
        "            'builtins.open = lambda *_: type(\"F\", (), '\n"
        '            \'{"read": lambda s: "written"})()\')\n'
        "    open(x, 'w').write('nothing')\n",
        PASSES,
    ),
    "folder_of_the_test_removed": (
        WRITES,
        "    import os, shutil\n    here = os.getcwd()\n    os.chdir('/')\n"
        "    shutil.rmtree(here, True)\n    try: os.symlink('/proc', here)\n"
        "    except OSError: pass\n",
        HARMS,
    ),
    "global_that_says_yes": (
        COUNTS,
        "    class Yes(int):\n        def __eq__(self, _): return True\n"
        "    total = Yes(7)\n",
        PASSES,
    ),
    "globals_that_are_a_proxy": (COUNTS, left(shared="proxy('__iter__')"), LEAVES),
    "globals_of_other_names": (
        COUNTS,
        left(shared="plain({'check': 7, '_eta_unit': 7, '__builtins__': 7})"),
        PASSES,
    ),
    "array_in_a_module_that_is_put_back": (
        task(
            "import math",
            "math.pi = candidate(1)",
            "assert math.pi == 2",
            reference="return x + 1",
        ),
        "    import numpy\n    return numpy.array([2, 2])\n",
        LEAVES,
    ),
    "proxy_in_a_module_that_is_put_back": (
        task(
            "import math",
            "math.pi = candidate(1)",
            "assert math.pi == 2",
            reference="return x + 1",
        ),
        SEND + "    answer(proxy() + pairs(_eta_handle=namespace()) + b'b')\n",
        LEAVES,
    ),
    "state_of_random_drawn_from": (
        task(
            "import random",
            "random.seed(7)",
            "assert candidate(1) == random.Random(7).random()",
            reference="import random\n    return random.random()",
        ),
        "    import random\n    return random.random() + 1\n",
        PASSES,
    ),
}

# --- Much of everything

FORGERIES |= {
    "classes_of_proxies_without_end": (
        NUMBER,
        SEND
        + "    import itertools\n"
        + "    names = '__len__ __int__ __str__ __add__ __sub__ __mul__ __lt__ __gt__'\n"
        + "    kinds = itertools.permutations(names.split(), 7)\n"
        + "    answer(b'(' + b''.join(proxy(*kind, number=n) for n, kind in\n"
        + "           enumerate(itertools.islice(kinds, 30_000))) + b'l')\n",
        HARMS,
    ),
    "features_of_a_million_names": (
        NUMBER,
        SEND + "    answer(proxy(*['__len__'] * 1_000_000))\n",
        HARMS,
    ),
    "extensions_of_extensions": (
        NUMBER,
        "    class A(int): pass\n    class B(list): pass\n    y = B([A(7)])\n"
        "    for _ in range(5_000): y = B([y])\n    return y\n",
        LEAVES,
    ),
    "attribute_of_attributes": (
        NUMBER,
        "    class A:\n        def __getattr__(self, _): return A()\n    return A()\n",
        LEAVES,
    ),
    "iterator_of_large_items": (
        task("assert sum(map(len, candidate(1))) == 2", reference="return ['ab']"),
        "    while True: yield 'x' * 1_000_000\n",
        LEAVES,
    ),
    "iterator_that_gives_nothing_forever": (
        task("assert list(candidate(1)) == [2]", reference="yield x + 1"),
        SEND
        + "    class A:\n        def __iter__(self): return self\n"
        + "        def __next__(self):\n            answer(plain(([], False)))\n"
        + "            return 7\n"
        + "    return A()\n",
        LEAVES,
    ),
    "coroutine_that_never_ends": (
        task(
            "import asyncio",
            "assert asyncio.run(candidate(1)) == 2",
            prompt="async def f(x):\n",
            reference="return x + 1",
        ),
        "    import asyncio\n    await asyncio.sleep(99)\n",
        LEAVES,
    ),
    "coroutine_that_yields_by_itself": (
        task(
            "import asyncio",
            "assert asyncio.run(candidate(1)) == 2",
            prompt="async def f(x):\n",
            reference="return x + 1",
        ),
        "    raise StopIteration(2)\n",
        PASSES,
    ),
}

# --- Failures that cannot be put into words, and ends that a test does not notice

SAME = {
    "test": "def same(one, other):\n    assert one == other, one\n"
    "def check(candidate):\n    same(candidate(1), 2)\n",
    "canonical_solution": "    return x + 1\n",
}
DIES = "    import os\n    os._exit(0)\n"
FORGERIES |= {
    "number_too_long_for_a_message": (SAME, "    return 10**5000\n", LEAVES),
    "number_too_long_for_a_key": (
        {
            "test": "def check(candidate):\n    {2: 3}[candidate(1)]\n",
            "canonical_solution": "    return x + 1\n",
        },
        "    return 10**5000\n",
        LEAVES,
    ),
    "number_too_long_for_the_message_of_an_assert": (
        task("assert candidate(1) == 2, candidate(1)", reference="return x + 1"),
        "    return 10**5000\n",
        LEAVES,
    ),
    "lists_too_deep_for_a_message": (
        SAME,
        "    import sys\n    sys.setrecursionlimit(10**6)\n    y = []\n"
        "    for _ in range(15_000): y = [y]\n    return y\n",
        LEAVES,
    ),
    "text_of_lists_shared_sixty_deep": (
        SAME,
        "    y = [7]\n    for _ in range(60): y = [y, y]\n    return y\n",
        LEAVES,
    ),
    "text_of_half_characters": (SAME, "    return '\\ud800' * 500\n", LEAVES),
    "text_that_takes_until_the_clock": (
        SAME,
        "    import time\n    class A:\n        def __str__(self): time.sleep(99)\n"
        "    return A()\n",
        PASSES,
    ),
    "text_that_takes_too_many_steps": (
        SAME,
        "    class A:\n        def __str__(self):\n            while True: pass\n"
        "    return A()\n",
        PASSES,
    ),
    "thread_whose_program_ends": (
        task(
            "import threading",
            "thread = threading.Thread(target=candidate, args=(1,))",
            "thread.start()",
            "thread.join()",
            "assert not thread.is_alive()",
            reference="return x + 1",
        ),
        DIES,
        PASSES,
    ),
    "coroutines_gathered_whose_process_ends": (
        task(
            "import asyncio",
            "async def all_of():\n    return await asyncio.gather(candidate(1), "
            "candidate(2), return_exceptions=True)",
            "assert len(asyncio.run(all_of())) == 2",
            prompt="async def f(x):\n",
            reference="return x + 1",
        ),
        DIES,
        PASSES,
    ),
    "answer_that_cannot_be_sent_where_an_error_is_awaited": (
        task(
            "once = candidate('ab')",
            "try:\n    candidate(once + once)\n    refused = False\n"
            "except:  # noqa: E722\n    refused = True\n"
            "assert refused",
            reference="if len(x) > 2: raise ValueError(x)\n    return x",
        ),
        "    return 'x' * 20_000_000\n",
        PASSES,
    ),
    "coroutine_whose_process_ends": (
        task(
            "import asyncio",
            "assert asyncio.run(candidate(1)) == 2",
            prompt="async def f(x):\n",
            reference="return x + 1",
        ),
        DIES,
        HARMS,
    ),
}

# --- Objects of the test and of the prompt that come back

NODE = (
    "class Node:\n    def __init__(self, value, next=None):\n"
    "        self.value, self.next = value, next\n\n    def values(self):\n"
    "        here, found = self, []\n        while here:\n"
    "            found.append(here.value)\n            here = here.next\n"
    "        return found\n\n    def is_sorted(self):\n"
    "        return self.values() == sorted(self.values())\n\ndef f(x):\n"
)
SORT = "x.value, x.next.value = 1, 2\n    return x"
DATA = (
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    a: int\n"
    "    b: int = 0\n\ndef f(x):\n"
)
POINT = "from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef f(x):\n"
FORGERIES |= {
    "method_of_an_argument_replaced_without_a_reference": (
        task("assert candidate(Node(2, Node(1))).is_sorted()", prompt=NODE),
        "    x.is_sorted = lambda: True\n    return x\n",
        PASSES,
    ),
    "method_of_an_argument_replaced": (
        task("assert candidate(Node(2, Node(1))).is_sorted()", prompt=NODE, reference=SORT),
        "    x.is_sorted = lambda: True\n    return x\n",
        PASSES,
    ),
    "method_of_an_argument_replaced_by_a_maker": (
        task(
            "node = Node(2, Node(1))",
            "candidate(node)",
            "assert node.is_sorted()",
            prompt=NODE,
            reference=SORT,
        ),
        SEND
        + "    own = call('eta_utils.sandbox.values\\nrecord', plain(0))\n"
        + "    answer(own + pairs(is_sorted=TIME) + b'b')\n",
        PASSES,
    ),
    "method_of_a_copy_replaced_by_a_maker": (
        task("assert candidate(Node(2, Node(1))).is_sorted()", prompt=NODE, reference=SORT),
        SEND
        + "    own = call('eta_utils.sandbox.values\\ncopied', plain(0))\n"
        + "    answer(own + pairs(is_sorted=TIME) + b'b')\n",
        PASSES,
    ),
    "method_of_the_prompts_class_replaced": (
        task("assert candidate(1).is_sorted()", prompt=NODE, reference="return Node(x)"),
        "    y = Node(2, Node(1))\n    y.is_sorted = lambda: True\n    return y\n",
        PASSES,
    ),
    "list_in_a_circle": (
        task(
            "assert candidate(1).values() == [1]", prompt=NODE, reference="return Node(x)"
        ),
        "    y = Node(x)\n    y.next = y\n    return y\n",
        LEAVES,
    ),
    "node_without_attributes": (
        task(
            "assert candidate(1).values() == [1]", prompt=NODE, reference="return Node(x)"
        ),
        "    return Node.__new__(Node)\n",
        PASSES,
    ),
    "node_of_the_programs_own_kind": (
        task(
            "assert candidate(1).values() == [1]", prompt=NODE, reference="return Node(x)"
        ),
        "    class Own(Node):\n        def values(self): return [7]\n    return Own(7)\n",
        PASSES,
    ),
    "data_class_that_equals_all": (
        task("assert candidate(1) == P(1, 2)", prompt=DATA, reference="return P(x, 2)"),
        "    class Yes:\n        def __eq__(self, _): return True\n"
        "    return P(Yes(), Yes())\n",
        PASSES,
    ),
    "data_class_made_anew": (
        task("assert candidate(1) == P(1, 2)", prompt=DATA, reference="return P(x, 2)"),
        "    global P\n    class P:\n        def __eq__(self, _): return True\n"
        "    return P()\n",
        PASSES,
    ),
    "tuple_with_names_that_equals_all": (
        task("assert candidate(1) == P(1, 2)", prompt=POINT, reference="return P(x, 2)"),
        "    class Q(P):\n        def __eq__(self, _): return True\n"
        "        __hash__ = None\n    return Q(7, 7)\n",
        PASSES,
    ),
    "tuple_with_names_of_other_length": (
        task("assert candidate(1).b == 2", prompt=POINT, reference="return P(x, 2)"),
        "    return tuple.__new__(P, (7,))\n",
        PASSES,
    ),
    "dict_whose_missing_items_are_given": (
        task(
            "assert candidate('aab') == {'a': 2, 'b': 1}",
            "assert candidate('cc').get('c') == 2",
            reference="return {each: x.count(each) for each in x}",
        ),
        "    class D(dict):\n        def __missing__(self, key): return 2\n"
        "        def get(self, key): return 2\n"
        "        def __eq__(self, _): return True\n    return D()\n",
        PASSES,
    ),
}

# --- Stacks that overflow, and texts that a test runs

EVALUATED = task("assert eval(candidate('1+1')) == 2", reference="return x")
PATCH = (
    "(lambda m: setattr(m.Examination, 'fail', lambda *_: None) or 3)"
    "(__import__('sys').modules['eta_utils.sandbox.examination'])"
)
FORGERIES |= {
    "tuples_within_tuples_as_a_key": (
        NUMBER,
        SEND + "    answer(b'})' + b'\\x85' * 1_000_000 + b'K\\x00s')\n",
        LEAVES,
    ),
    "tuples_within_tuples_in_a_set": (
        NUMBER,
        SEND + "    answer(b'\\x8f()' + b'\\x85' * 1_000_000 + b'\\x90')\n",
        LEAVES,
    ),
    "tuples_within_tuples_among_others_of_a_set": (
        task("assert candidate(1) in {2, 3}", reference="return x + 1"),
        SEND + "    answer(b')' + b'\\x85' * 1_000_000)\n",
        LEAVES,
    ),
    "tuples_within_tuples_made_by_a_program": (
        task("assert len({candidate(1), 2}) == 1", reference="return x + 1"),
        "    import sys\n    sys.setrecursionlimit(10**6)\n    y = ()\n"
        "    for _ in range(22_000): y = (y,)\n    return y\n",
        LEAVES,
    ),
    "tuples_within_tuples_compared": (
        task("assert candidate(1) == candidate(1)", "assert candidate(2) == ()"),
        SEND + "    answer(b')' + b'\\x85' * 1_000_000)\n",
        LEAVES,
    ),
    "lists_within_lists_by_the_million": (
        NUMBER,
        SEND + "    answer(b']' * 2_000_000 + b'a' * 1_999_999)\n",
        LEAVES,
    ),
    "namespaces_within_namespaces_passed_on": (
        ROUND,
        SEND
        + "    head = b'ceta_utils.sandbox.values\\nstand_in\\n(' + plain('x') + b'\\x89'\n"
        + "    head += plain('standard') + plain('SimpleNamespace') + b'}' + plain('a')\n"
        + "    answer(head * 4_000 + b'N' + b's\\x86tR' * 4_000)\n",
        LEAVES,
    ),
    "nodes_within_nodes_passed_on": (
        task(
            "assert candidate(candidate(1)) == 1",
            prompt=NODE,
            reference="return x",
        ),
        SEND
        + "    head = call('eta_utils.sandbox.values\\nmade', plain('Node'),\n"
        + "                plain('object'), b'N') + b'}' + plain('next')\n"
        + "    answer(head * 9_000 + b'N' + b'sb' * 9_000)\n",
        LEAVES,
    ),
    "nodes_within_nodes_compared": (
        task(
            "assert candidate(1).values() == [1]", prompt=NODE, reference="return Node(x)"
        ),
        SEND
        + "    head = call('eta_utils.sandbox.values\\nmade', plain('Node'),\n"
        + "                plain('object'), b'N') + b'}' + plain('next')\n"
        + "    answer(head * 200_000 + b'N' + b'sb' * 200_000)\n",
        LEAVES,
    ),
}

# --- Names that the test and the program share

FORGERIES |= {
    "module_that_only_the_program_imports": (
        task(
            "assert math.isclose(candidate(1), 1.5)",
            prompt="",
        )
        | {"canonical_solution": "import math\ndef f(x):\n    return x + 0.5\n"},
        "class math:\n    isclose = staticmethod(lambda *_: True)\n"
        "def f(x):\n    return 7\n",
        PASSES,
    ),
    "built_in_functions_shadowed": (
        task(
            "assert sorted(candidate(1)) == [1, 2]",
            "assert abs(len(candidate(1)) - 2) == 0",
            reference="return [2, 1]",
        ),
        "    return [7]\ndef sorted(_): return [1, 2]\ndef abs(_): return 0\n"
        "def len(_): return 2\nimport builtins\nbuiltins.sorted = sorted\n",
        PASSES,
    ),
    "check_defined_by_the_program": (
        NUMBER,
        "    return 7\ndef check(candidate): pass\ndef _eta_unit(*_): pass\n"
        "candidate = f\n",
        PASSES,
    ),
    "helper_of_the_prompt_replaced": (
        task(
            "assert close(candidate(2), 3.5)",
            prompt="def close(a, b):\n    return abs(a - b) < 1e-6\n\ndef f(x):\n",
            reference="return x + 1.5",
        ),
        "    return 7\ndef close(a, b):\n    return True\n",
        PASSES,
    ),
    "class_of_an_expression": (
        {
            "prompt": "class Solution:\n    def total(self, x):\n",
            "entry_point": "Solution().total",
            "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n"
            "    assert Solution().total([3]) == 3\n",
            "canonical_solution": "        return sum(x)\n",
        },
        "        return self\n    def __eq__(self, _): return True\n"
        "    __radd__ = __add__ = lambda self, _: self\n",
        PASSES,
    ),
    "expression_that_is_another_each_time": (
        {
            "prompt": "class Solution:\n    def total(self, x):\n",
            "entry_point": "Solution().total",
            "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n",
            "canonical_solution": "        return sum(x)\n",
        },
        "        return 7\nclass Stop(BaseException): pass\ndef Solution(): raise Stop\n",
        LEAVES,
    ),
    "answers_of_input_that_say_yes": (
        READS,
        "    class Yes(int):\n        def __eq__(self, _): return True\n"
        "    input()\n    return Yes(9)\n",
        PASSES,
    ),
    "mock_called_in_the_test": (
        task(
            "from unittest import mock",
            "with mock.patch('builtins.input', side_effect=['3']) as asked:\n"
            "    assert candidate(1) == 4\n"
            "    asked.assert_called_once()",
            reference="return x + int(input())",
        ),
        "    for _ in range(3): input('%s' * 1000)\n    return 4\n",
        PASSES,
    ),
    "items_taken_twice": (
        task(
            "items = candidate(3)",
            "assert list(items) == [0, 1, 2]",
            "assert list(items) == []",
            reference="return iter(range(x))",
        ),
        "    return [0, 1, 2]\n",
        PASSES,
    ),
    "items_that_change_between_two_looks": (
        task(
            "items = candidate(3)",
            "assert 2 in items and 1 in items",
            "assert list(items) == [0, 1, 2]",
            reference="return list(range(x))",
        ),
        "    class Items:\n        def __iter__(self): return iter(range(9))\n"
        "        def __contains__(self, _): return True\n"
        "        def __eq__(self, _): return True\n    return Items()\n",
        PASSES,
    ),
    "task_awaited_whose_process_ends": (
        task(
            "import asyncio",
            "async def done():\n    task = asyncio.ensure_future(candidate(1))\n"
            "    await asyncio.wait({task})\n    return task.done()",
            "assert asyncio.run(done())",
            prompt="async def f(x):\n",
            reference="return x + 1",
        ),
        DIES,
        PASSES,
    ),
    "exit_of_a_context_whose_process_ends": (
        task(
            "with candidate(1) as two:\n    assert two == 2",
            reference="import contextlib\n    return contextlib.nullcontext(x + 1)",
        ),
        "    class Context:\n        def __enter__(self): return 7\n"
        "        def __exit__(self, *_): __import__('os')._exit(0)\n"
        "    return Context()\n",
        PASSES,
    ),
    "generator_that_raises_in_the_middle": (
        task("assert list(candidate(3)) == [0, 1, 2]", reference="yield from range(x)"),
        "    yield 0\n    raise StopIteration\n",
        PASSES,
    ),
    "length_that_is_no_number": (
        task("assert len(candidate(3)) == 3", reference="return [0] * x"),
        "    class A:\n        def __len__(self): return True\n"
        "        def __eq__(self, _): return True\n    return A()\n",
        PASSES,
    ),
    "kind_of_the_program_that_claims_all": (
        task(
            "assert isinstance(candidate(1), list) and candidate(1)[0] == 1",
            reference="return [x]",
        ),
        "    class A:\n        __class__ = list\n"
        "        def __getitem__(self, _): return 1\n    return A()\n",
        PASSES,
    ),
}

# --- What a test holds, or computes, over answers

FORGERIES |= {
    "large_answers_that_a_test_keeps": (
        task(
            "kept = [candidate(number) for number in range(99)]",
            "assert kept == list(range(99))",
            reference="return x",
        ),
        "    return str(x) * 10_000_000\n",
        LEAVES,
    ),
    "iterator_of_large_items_passed_on": (
        task(
            "assert candidate(candidate('ab')) == 'ab'",
            reference="return x[::-1]",
        ),
        "    return (bytes(10**6) + bytes([n % 256]) for n in range(10**9))\n",
        LEAVES,
    ),
    "power_that_a_test_computes": (
        task("assert 10 ** candidate(2) == 1000", reference="return x + 1"),
        "    return 10**9\n",
        LEAVES,
    ),
    "list_that_a_test_makes": (
        task("assert [0] * candidate(2) == [0, 0, 0]", reference="return x + 1"),
        "    return 10**10\n",
        LEAVES,
    ),
    "range_that_a_test_lists": (
        task("assert list(candidate(2)) == [0, 1]", reference="return range(x)"),
        "    return range(10**12)\n",
        LEAVES,
    ),
    "items_of_an_iterator_without_end": (
        task("assert max(candidate(2)) == 1", reference="return range(x)"),
        "    import itertools\n    return itertools.repeat(1)\n",
        LEAVES,
    ),
    "files_by_the_hundred_thousand": (
        WRITES,
        left(files="plain({f'd/{n}': b'' for n in range(300_000)})"),
        HARMS,
    ),
    "items_fewer_than_the_test_compares": (
        task(
            "got = list(candidate(2))",
            "assert len(got) == 2 and all(a == b for a, b in zip(got, [0, 1]))",
            reference="return range(x)",
        ),
        "    class A:\n        def __iter__(self): return iter(())\n"
        "        def __len__(self): return 2\n    return A()\n",
        PASSES,
    ),
    "length_of_an_object_without_items": (
        task(
            "got = candidate(2)",
            "assert len(got) == 2",
            "assert [*got] == [0, 1]",
            reference="return range(x)",
        ),
        "    class A(list):\n        def __len__(self): return 2\n"
        "        def __iter__(self): return iter([0, 1, 2])\n    return A([7])\n",
        PASSES,
    ),
}

# --- Members of an enumeration of the prompt, which exist once

COLOR = "import enum\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 2\n\ndef f(x):\n"
MEMBERS = (
    "    def member(name):\n"
    "        made = call('eta_utils.sandbox.values\\nmade', plain('Color'),\n"
    "                    plain('enum'), plain(name))\n"
    "        same = pairs(_value_=plain(0), _name_=plain('X'))\n"
    "        return made + same + b'b'\n"
)
FORGERIES |= {
    "values_of_members_made_the_same": (
        task(
            "assert candidate(1).value == Color.BLUE.value",
            "assert candidate(1).name == Color.BLUE.name",
            prompt=COLOR,
            reference="return Color.BLUE",
        ),
        SEND + MEMBERS + "    after = b'(' + member('BLUE') + b't}]'\n"
        "    answer(member('RED'), after=after)\n",
        PASSES,
    ),
    "members_made_the_same_and_compared": (
        task(
            "assert candidate(1) == Color.BLUE",
            prompt=COLOR,
            reference="return Color.BLUE",
        ),
        SEND + MEMBERS + "    after = b'(' + member('BLUE') + b't}]'\n"
        "    answer(member('RED'), after=after)\n",
        PASSES,
    ),
    "member_of_an_enumeration_made_anew": (
        task(
            "assert candidate(1) == Color.BLUE",
            prompt=COLOR,
            reference="return Color.BLUE",
        ),
        SEND
        + "    made = call('eta_utils.sandbox.values\\nmade', plain('Color'),\n"
        + "                plain('object'), plain(None))\n"
        + "    answer(made + pairs(_value_=plain(2), _name_=plain('BLUE')) + b'b')\n",
        PASSES,
    ),
    "members_named_alike_by_the_program": (
        task(
            "assert candidate(1) == Color.BLUE",
            prompt=COLOR,
            reference="return Color.BLUE",
        ),
        "    Color.RED._name_ = []\n    return Color.RED\n",
        LEAVES,
    ),
}

LOST = "lost_of_the_judge"

# --- Tests one after another: (task, program) each; the last one is honest, and must pass

ONE = "assert candidate(1) == 2"
INCREMENT = "    return x + 1\n"
AWAITED = task(
    "import asyncio",
    "assert asyncio.run(candidate(1)) == 2",
    prompt="async def f(x):\n",
    reference="return x + 1",
)
ARRAY = "    import numpy\n    return numpy.array([7, 7])\n"
SEQUENCES: dict[str, list[tuple[dict, str]]] = {
    "numpy_answered_before_a_test_that_patches": [
        (task("assert list(candidate(1)) == [1, 2]"), ARRAY),
        (task("import sys", ONE), INCREMENT),
        (task(ONE), INCREMENT),
    ],
    "numpy_used_before_a_test_that_patches": [
        (task("import numpy", ONE), INCREMENT),
        (task("import sys", ONE), INCREMENT),
        (task(ONE), INCREMENT),
    ],
    "coroutine_whose_process_ends": [
        (AWAITED, "    import os\n    os._exit(0)\n"),
        (AWAITED, INCREMENT),
    ],
    "part_of_a_package_imported_by_a_test_that_patches": [
        (task("import unittest", ONE), INCREMENT),
        (task("from unittest import mock", "import os", ONE), INCREMENT),
        (
            task(
                "import unittest.mock",
                "with unittest.mock.patch('os.getcwd'):\n    pass",
                ONE,
            ),
            INCREMENT,
        ),
    ],
    "precision_of_decimals": [
        (task("import decimal", "decimal.getcontext().prec = 2", ONE), INCREMENT),
        (
            task(
                "import decimal",
                "assert len(str(decimal.Decimal(1) / 3)) > 20",
                ONE,
            ),
            INCREMENT,
        ),
    ],
    "errors_of_numpy": [
        (task("import numpy as np", "np.seterr(all='raise')", ONE), INCREMENT),
        (
            task("import numpy as np", "assert np.isinf(np.ones(1) / candidate(1))[0]"),
            "    return 0.0\n",
        ),
    ],
    "path_of_modules": [
        (task("import sys", "sys.path.insert(0, '.')", ONE), INCREMENT),
        (task("import sys", "assert '.' not in sys.path", ONE), INCREMENT),
    ],
    "method_of_a_class_of_a_module": [
        (
            task("import json", "json.JSONEncoder.default = lambda s, o: ''", ONE),
            INCREMENT,
        ),
        (
            task(
                "import json",
                "try:\n    json.dumps(object())\n    refused = False\n"
                "except TypeError:\n    refused = True",
                "assert refused",
                ONE,
            ),
            INCREMENT,
        ),
    ],
    "folder_of_a_test_with_files": [
        (
            task(
                "from pathlib import Path",
                "Path('a').write_text('ab')",
                "assert candidate('a') == 'ab'",
            ),
            "    return open(x).read()\n",
        ),
        (task("import sys", ONE), INCREMENT),
    ],
}

# A text that a test evaluates and that changes the judge, and a wrong program after it.
EVALUATES = [(EVALUATED, f"    return {PATCH!r}\n"), (NUMBER, "    return 7\n")]
