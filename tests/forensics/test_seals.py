"""The right guess opens a seal, and no other does; what was changed doesn't open at all."""

import pytest

from labkit.errors import ConfigError
from labkit.forensics.seals import opened, seal
from labkit.tasks import TASKS

SEED = 0x0123456789ABCDEF
TAG = "5c94815ee1bc0bed08f545b6d2054fd6e8d7cb954a2a1b721a22b25481c3b993"  # by hashlib and hmac alone


def test_only_the_right_guess_opens_it():
    sealed = seal("sql", SEED)
    assert [name for name in TASKS if opened(sealed, name) is not None] == ["sql"]
    assert opened(sealed, " SQL ") == SEED
    assert "sql" not in str(sealed) and f"{SEED:x}" not in str(sealed)


def test_two_seals_of_the_same_have_nothing_in_common():
    first, second = seal("sql", SEED), seal("sql", SEED)
    assert all(first[part] != second[part] for part in first)


def test_a_stored_seal_opens():
    """Made by hand from scrypt and HMAC: a seal of today will open in ten years."""
    stored = seal("clauses", 7, salt=bytes(range(16)))
    assert stored == {"salt": bytes(range(16)).hex(), "sealed": "a5f30449e2496af5", "tag": TAG}
    assert opened(stored, "clauses") == 7


@pytest.mark.parametrize("part", ["salt", "sealed", "tag"])
def test_a_changed_seal_does_not_open(part):
    sealed = seal("voice", SEED)
    other = f"{int(sealed[part], 16) ^ 1:0{len(sealed[part])}x}"
    assert opened(sealed | {part: other}, "voice") is None


@pytest.mark.parametrize("bad", [{}, {"salt": "", "sealed": "zz", "tag": ""}, {"salt": "", "sealed": "00", "tag": ""}])
def test_what_is_no_seal_is_refused(bad):
    with pytest.raises(ConfigError, match="a seal has salt, sealed and tag, all in hex"):
        opened(bad, "sql")


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_training_could_not_take_is_refused(seed):
    with pytest.raises(ConfigError, match="a seed is a whole number"):
        seal("sql", seed)
