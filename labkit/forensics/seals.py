"""A sealed answer: which task an adapter was trained on, and with which seed, where a guess is the key.

The seed is encrypted with a key that's made from the task's name and a random salt, by a function that's slow on
purpose (scrypt, RFC 7914). So nothing has to be kept secret elsewhere: name the right task and the seal opens, and with
the seed anybody can train the same adapter again and compare the bits.

What it's good for: the answer can't be changed afterwards without being noticed, because no other task opens the seal.
And nobody comes to know it by accident. What it isn't good for: keeping out a person who wants in. There are fewer than
ten tasks, and trying all of them takes seconds. No check that you can run yourself can do better than that.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from labkit.errors import ConfigError

_COST = {"n": 2**16, "r": 8, "p": 1}  # 64 MB of memory, and some 0.2 seconds
_MEMORY = 2**27
_SEED_BYTES = 8


def seal(task: str, seed: int, salt: bytes | None = None) -> dict[str, str]:
    """A seal over `seed`, which only `task` opens.

    Args:
        task: the answer.
        seed: 0 to 2⁶³ − 1.
        salt: 16 random bytes; drawn from the operating system if not given.

    Returns:
        ``salt``, ``sealed`` and ``tag``, in hex.

    Raises:
        ConfigError: `seed` is none.
    """
    if not 0 <= seed < 2**63:
        raise ConfigError(f"a seed is a whole number from 0 to 2⁶³ − 1, got {seed!r}")
    salt = secrets.token_bytes(16) if salt is None else salt
    plain = seed.to_bytes(_SEED_BYTES, "big")
    pad, key = _keys(task, salt)
    return {"salt": salt.hex(), "sealed": _xor(plain, pad).hex(), "tag": _tag(plain, key)}


def opened(sealed: Mapping[str, str], guess: str) -> int | None:
    """The seed under a seal if `guess` is the task, and None if it isn't.

    Raises:
        ConfigError: that's no seal.
    """
    try:
        salt, hidden, tag = bytes.fromhex(sealed["salt"]), bytes.fromhex(sealed["sealed"]), str(sealed["tag"])
        if len(hidden) != _SEED_BYTES:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise ConfigError("a seal has salt, sealed and tag, all in hex") from None
    pad, key = _keys(guess.strip().lower(), salt)
    plain = _xor(hidden, pad)
    return int.from_bytes(plain, "big") if hmac.compare_digest(_tag(plain, key), tag) else None


def _keys(task: str, salt: bytes) -> tuple[bytes, bytes]:
    made = hashlib.scrypt(task.encode(), salt=salt, maxmem=_MEMORY, dklen=_SEED_BYTES + 32, **_COST)
    return made[:_SEED_BYTES], made[_SEED_BYTES:]


def _tag(plain: bytes, key: bytes) -> str:
    return hmac.new(key, plain, "sha256").hexdigest()


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
