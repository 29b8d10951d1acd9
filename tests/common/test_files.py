"""Files are read with clear errors and written whole or not at all."""

from __future__ import annotations

import gzip
import os

import pytest

from eta_utils.common.errors import BadInput
from eta_utils.common.files import read_jsonl, write_jsonl


def written(path, rows=({"a": 1},)):
    with write_jsonl(path) as write:
        for row in rows:
            write(row)
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_what_is_written_is_read_back(tmp_path, name):
    rows = [{"text": "é\n\ud800", "n": None}, {}]
    path = written(tmp_path / name, rows)
    assert [row for _, row in read_jsonl(path)] == rows


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = written(tmp_path / "rows.jsonl")
    with pytest.raises(RuntimeError), write_jsonl(path) as write:
        write({"b": 2})
        raise RuntimeError
    assert path.read_text() == '{"a": 1}\n'
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_the_same_rows_give_the_same_bytes_whenever_and_wherever_they_are_written(
    tmp_path, monkeypatch
):
    one = written(tmp_path / "one.jsonl.gz").read_bytes()
    monkeypatch.setattr("time.time", lambda: 10**9)
    assert written(tmp_path / "two.jsonl.gz").read_bytes() == one
    assert gzip.decompress(one) == b'{"a": 1}\n'


def test_blank_lines_are_skipped_and_lines_keep_their_numbers(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('\n{"a": 1}\n\n{"a": 2}\n')
    assert list(read_jsonl(path)) == [(2, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: is not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: a JSON object is needed, not a list"),
        ("a.jsonl", b'{"a": 1}\n\xff\n', "not UTF-8"),
        ("a.jsonl", b"[" * 100_000, "is not JSON"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 9999, mtime=0)[:-20], "gzip data ends"),
        ("a.jsonl.gz", b'{"a": 1}\n', "not a gzip file"),
    ],
)
def test_broken_files_are_named_with_the_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        list(read_jsonl(path))
    assert str(path) in str(caught.value)


def test_files_that_are_not_there_or_not_files_are_named(tmp_path):
    with pytest.raises(BadInput, match="no such file"):
        list(read_jsonl(tmp_path / "missing.jsonl"))
    with pytest.raises(BadInput, match="is a folder"):
        list(read_jsonl(tmp_path))
    with pytest.raises(BadInput, match="cannot be written"):
        written(tmp_path / "missing" / "rows.jsonl")
    with pytest.raises(BadInput, match="is a folder"):
        written(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(BadInput, match="pipe: is a device or a pipe"):
        written(pipe)
    assert pipe.is_fifo()
