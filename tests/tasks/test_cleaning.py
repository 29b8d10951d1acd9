"""The program in what a model wrote is found, and a program is left as it is."""

from __future__ import annotations

import time

import pytest

from eta_utils.tasks import Task
from eta_utils.tasks.cleaning import LONGEST, clean

HEAD = "import math\n\n\n"
PROMPT = f'{HEAD}def area(r):\n    """The area of a circle."""\n'
TASK = Task("t", PROMPT, "area", "")
BODY = "    return math.pi * r**2\n"
WHOLE = f"def area(r):\n{BODY}"


def of_completion(text):
    return clean(TASK, {"task_id": "t", "completion": text})


def of_solution(text):
    return clean(TASK, {"task_id": "t", "solution": text})


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        f"\n{BODY}",
        "    return helper(r)\n\n\ndef helper(r):\n    return r\n",
        "    return table[r]\n\ntable = {}\nfor n in range(9):\n    table[n] = n\n",
        "    return area.known[r]\n\narea.known = {1: 2}\n",
        "    '''```python\n    <|endoftext|></s>'''\n    return r\n",
        "    return (\n",
        "Sorry",
        "Sorry, I cannot do that.",
        "```python\nprint(1)\n```",
        "    return r\n\0",
        "    return '\ud83d'",
        "",
    ],
)
def test_a_program_and_what_holds_none_stay_as_they_are(text):
    assert of_completion(text) == PROMPT + text
    solution = PROMPT + text if text[:1].isspace() else text
    assert of_solution(solution) == solution


@pytest.mark.parametrize(
    "text",
    [
        f"{BODY}<|endoftext|>",
        f"{BODY}</s><s>def area(r): return 0",
        f"{BODY}<|im_end|>\n<|im_start|>user\nThanks!",
        f"{BODY}\nThis squares the radius.\nIt's quick.\n",
        f"{BODY}```\n\nThat is it.",
        f"{BODY}\n\nprint(area(1))\nassert area(1) > 3\n",
        f"{BODY}\nif __name__ == '__main__':\n    area(input())\n",
        f"{BODY}\nfrom django import forms\n\nurls = [forms]\n",
        f"{BODY}\n\ndef test_area():\n    assert area(1) ==",
        f"```\n{BODY}```",
        "return math.pi * r**2\n",
    ],
)
def test_a_body_ends_where_the_function_does(text):
    assert of_completion(text).rstrip() == (PROMPT + BODY).rstrip()


def test_a_first_line_that_lost_its_indentation_gets_it_back():
    assert of_completion("r = r**2\n    return math.pi * r\n") == (
        f"{PROMPT}    r = r**2\n    return math.pi * r\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{WHOLE}```",
        f"~~~\n{WHOLE}~~~",
        f"Here you are:\n```py\n{WHOLE}\n```\nUse it so:\n```\nprint(area(1))\n```\n",
        f"Install it:\n```bash\npip install x\n```\nThen:\n```Python3\n{WHOLE}```",
        f"Sure!\n\n```python\n{WHOLE}",
        f"Sure, it's easy:\n\n{WHOLE}\nThis works:\n- it squares\nNote: fast\n",
        f"from what you say I'd write\nimport nothing more\n{WHOLE}",
        f"1. Write\n\n   ```\n   def area(r):\n   {BODY}   ```\n2. Run",
        f"<|im_start|>assistant\n{WHOLE}<|im_end|>",
        f"<think>Is it\n```\ndef area(r):\n    return 0\n```\nNo.</think>{WHOLE}",
        f"```\ndef area(r):\n    '''To do.'''\n```\nSo:\n```\n{WHOLE}```",
    ],
)  # fmt: skip
def test_a_whole_function_is_taken_out_of_what_surrounds_it(text):
    assert of_completion(text).rstrip() == (HEAD + WHOLE).rstrip()
    assert of_solution(text).rstrip() == (HEAD + WHOLE).rstrip()


@pytest.mark.parametrize("text", [WHOLE, PROMPT + BODY, HEAD + WHOLE])
def test_a_completion_that_repeats_the_prompt_is_the_whole_function(text):
    cleaned = of_completion(text)
    assert cleaned.count("def area") == cleaned.count("import math") == 1
    assert cleaned.endswith(BODY)


def test_a_solution_keeps_what_it_imports_and_may_lack_the_prompts_imports():
    assert of_solution(WHOLE) == WHOLE
    future = f"from __future__ import annotations\n\n{WHOLE}"
    assert of_solution(f"```\n{future}```") == future


def test_a_task_may_ask_for_a_class():
    task = Task("t", "", "Circle().area", "")
    program = "class Circle:\n    def area(self, r):\n        return r\n"
    sample = {"task_id": "t", "solution": f"Sure:\n```\n{program}```"}
    assert clean(task, sample) == program


@pytest.mark.parametrize(
    "text",
    [
        "import os\n" * 2_000 + "def area(r):\n    return (\n",
        WHOLE + "a = (\n" * 10_000,
        "```\n" * 20_000,
        " \n" * 40_000,
        f"{WHOLE}{'w' * 2}\n" * 2_000,
        "(" * 90_000,
        "x" * (LONGEST + 1),
        WHOLE + "".join(f"def h{n}(): return h{n + 1}()\n" for n in range(2_000)),
    ],
    ids=len,
)
def test_no_text_takes_long(text):
    start = time.process_time()
    of_completion(text)
    of_solution(text)
    assert time.process_time() - start < 10
