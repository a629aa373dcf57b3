"""The one door for JSON of strangers. What a stranger's adapter can do is in tests/lora/test_fuzz_files.py."""

import json
import os

import pytest

from labkit.errors import AdapterError, BaseModelError, ConfigError, DataError
from labkit.storage import untrusted
from labkit.storage.untrusted import digest_of, plain, read_json


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"", "not readable as JSON"),
        (b"[1]", "expected a JSON object, found list"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b"{" + b"".join(b'"%d": 1, ' % i for i in range(300_000)) + b'"7": 1}', "'7' is given twice"),
        (b"\xef\xbb\xbf", "not readable as JSON"),
        (b"[" * 200_000, "not readable as JSON"),
        (b"\xff\xfe", "not readable as JSON"),
    ],
)
@pytest.mark.parametrize("kind", [AdapterError, BaseModelError, ConfigError])
def test_whatever_it_holds_there_is_one_error_of_the_kind_asked_for(tmp_path, content, problem, kind):
    file = tmp_path / "config.json"
    file.write_bytes(content)
    with pytest.raises(kind, match=f"config.json: .*{problem}"):
        read_json(file, kind)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name, problem in {"pipe": "not an ordinary file", "link": "a link to nowhere", "gone": "missing"}.items():
        with pytest.raises(BaseModelError, match=problem):
            read_json(tmp_path / name, BaseModelError)


def test_too_much_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(untrusted, "JSON_BYTES", 10)
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"a": "a" * 20}))
    with pytest.raises(AdapterError, match="more than 10 bytes"):
        read_json(file)


def test_what_would_move_a_cursor_is_printed_in_one_line():
    assert plain("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert plain("x" * 300) == "x" * 200 + " …"
    assert plain("ğüş ✔") == "ğüş ✔"
    assert plain("a\u202eb\u200bc") == "a\\u202eb\\u200bc"


@pytest.mark.parametrize("kind", [AdapterError, lambda text: DataError(text, text, text)])
def test_an_error_prints_what_it_quotes(kind):
    error = kind("a\x1b[2Jb\u202ec\r\nd\ud800 ✔")
    assert "a\\x1b[2Jb\\u202ec\\r\nd\\ud800 ✔" in str(error) and str(error).replace("\n", "").isprintable()


def test_a_mark_of_byte_order_means_nothing(tmp_path):
    file = tmp_path / "a.json"
    file.write_bytes(b"{}")
    digest = digest_of(file)
    file.write_bytes(b'\xef\xbb\xbf{"a": "\xef\xbb\xbf"}')
    assert read_json(file) == {"a": "\ufeff"}
    file.write_bytes(b"\xef\xbb\xbf{}")
    assert digest_of(file) == digest
