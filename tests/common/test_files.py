"""Files are read with clear errors and written whole or not at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
from concurrent.futures import ThreadPoolExecutor

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
        ("a.jsonl", b'{"a": 1}\n{"a": 1},\n', "line 2: .* follows its end, column 9"),
        ("a.jsonl", b'{"a": ' + b"9" * 5000 + b"}\n", "line 1: .* too many digits"),
        ("a.jsonl", b"PK\x03\x04rest", "a.jsonl: is a zip archive; unpack it first"),
        ("a.jsonl.gz", gzip.compress(b"{}\n" * 9999, mtime=0)[:-20], "data ends or"),
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
def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        written(pipe)
        assert read.result(timeout=20) == '{"a": 1}\n'
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_device_is_written_to_and_stays_a_device(tmp_path):
    null = tmp_path / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.write_text("")
    except PermissionError:
        pytest.skip("only root makes devices, and not everywhere")
    written(null)
    assert null.is_char_device()
    assert os.listdir(tmp_path) == ["null"]


@pytest.mark.parametrize("old", ["old\n", None])
def test_a_link_stays_and_what_it_names_is_replaced(tmp_path, old):
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "real.jsonl", tmp_path / "link.jsonl"
    if old:
        target.write_text(old)
    link.symlink_to("far/real.jsonl")
    written(link)
    assert link.is_symlink() and os.readlink(link) == "far/real.jsonl"
    assert target.read_text() == '{"a": 1}\n'
    assert os.listdir(target.parent) == ["real.jsonl"]


def test_links_in_a_circle_are_named(tmp_path):
    link = tmp_path / "link.jsonl"
    link.symlink_to(link)
    with pytest.raises(BadInput, match="cannot be written"):
        written(link)
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1"])
def test_stdout_is_written_to(name, capfd):
    written(name)
    assert capfd.readouterr().out == '{"a": 1}\n'
    assert not os.path.exists("-")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_compressed_is_read_whatever_its_name(tmp_path, pack):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(pack(b'{"a": 1}\n'))
    assert list(read_jsonl(path)) == [(1, {"a": 1})]
    path.write_bytes(pack(b'{"a": 1}\n' * 99)[:-12])
    with pytest.raises(BadInput, match=r"rows\.jsonl: the compressed data ends or breaks"):
        list(read_jsonl(path))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding_and_is_no_text(tmp_path, encoding):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "\u00e9"}\r\n{"a": 2}\r\n', encoding=encoding)
    assert list(read_jsonl(path)) == [(1, {"a": "\u00e9"}), (2, {"a": 2})]


def test_a_row_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadInput, match="nested too deeply"):
        written(tmp_path / "rows.jsonl", [{"a": deep}])
    assert os.listdir(tmp_path) == []
