"""GPUs from 8 to 141 GB, and how much of them a program can use."""

from dataclasses import dataclass

from labkit.errors import ConfigError


@dataclass(frozen=True)
class Card:
    """A GPU.

    Attributes:
        name: with the size it is sold by.
        mebibytes: the memory that the driver reports in all (``nvidia-smi``), in MiB; where error correction is on by
            default, what it leaves.
        teraflops: peak dense bfloat16 (T4: float16) matrix products, 10¹² a second, as the maker states it, without
            sparsity; None where the maker states none for this accumulation.
    """

    name: str
    mebibytes: int
    teraflops: float | None = None

    @property
    def usable_bytes(self) -> int:
        """All that the driver reports. The CUDA context counts on the other side, as part of the step."""
        return self.mebibytes * 2**20


# Smallest first. Memory: totals as nvidia-smi prints them; H100, A100, L40S, L4 and T4 are listed together in
# github.com/modal-labs/modal-client/pull/2797, for H200, RTX 5090 and RTX 4090 there are published outputs, the others
# are not checked. Peaks: NVIDIA's data sheets and architecture white papers (Turing, Ampere, Ada, Hopper, Blackwell).
# A card that also drives a screen has some hundred MB less.
CARDS = (
    Card("RTX 4060, 8 GB", 8_188),
    Card("RTX 3060, 12 GB", 12_288),
    Card("T4, 16 GB", 15_360, 65.0),
    Card("RTX 4080, 16 GB", 16_376, 97.5),
    Card("L4, 24 GB", 23_034, 121.0),
    Card("RTX 4090, 24 GB", 24_564, 165.2),
    Card("RTX 3090, 24 GB", 24_576, 71.0),
    Card("RTX 5090, 32 GB", 32_607, 209.5),
    Card("A100, 40 GB", 40_960, 312.0),
    Card("L40S, 48 GB", 46_068, 362.0),
    Card("RTX A6000, 48 GB", 49_140, 154.8),
    Card("H100, 80 GB", 81_559, 989.4),
    Card("A100, 80 GB", 81_920, 312.0),
    Card("H200, 141 GB", 143_771, 989.4),
)


def card_named(name: str) -> Card:
    """The first card of the table whose name has all the words of `name`: "a100, 80", "NVIDIA RTX 4090".

    Raises:
        ConfigError: there is none.
    """
    if found := cards_named(name):
        return found[0]
    raise ConfigError(f"no card is known as {name!r}; known are {'; '.join(card.name for card in CARDS)}")


def cards_named(name: str) -> list[Card]:
    """All cards of the table whose name has all the words of `name`: "24 GB" fits three."""
    asked = _words(name)
    return [card for card in CARDS if asked and asked <= _words(card.name)]


def _words(name: str) -> set[str]:
    return set(name.lower().replace(",", " ").split()) - {"nvidia", "gb"}
