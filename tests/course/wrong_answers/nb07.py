"""Wrong answers to notebook 07's exercises; the package says what a tuple holds."""

from .changing import changed

INT4 = """
def my_int4(w, block_size):
    b = w.view(-1, block_size)
    s = b.abs().amax(1, keepdim=True) / 7
    return ((b / s).round() * s).view(w.shape)
"""
NF4 = """
def my_nf4(w, book, block_size):
    b = w.reshape(-1, block_size)
    a = b.abs().amax(dim=1)
    x = (b / a[:, None]).flatten()
    c = (x[:, None] - book).abs().argmin(dim=1)
    return c.to(torch.uint8), a
"""
UNPACK = "def my_unpack(packed):\n    return torch.stack([packed >> 4, packed & 15], dim=1).flatten()"
NF3 = """
def my_nf3(offset):
    p = torch.special.ndtri(torch.linspace(offset, 0.5, 5)[:-1])
    n = -torch.special.ndtri(torch.linspace(offset, 0.5, 4)[:-1])
    book = torch.cat([n, torch.zeros(1), p]).sort().values
    return book / book.max()
"""


def bits(formula):
    return f"lambda bits, block_size, scale_bits: {formula}"


def int4(*changes):
    return changed(INT4, *changes)


def nf4(*changes):
    return changed(NF4, *changes)


WRONG = [
    ("07.1", bits("(bits * block_size + scale_bits) // block_size"), "bits are whole", True),
    ("07.1", bits("(block_size * bits + scale_bits) / block_size / 8"), "a size is in bytes", True),
    ("07.1", bits("bits / 8 + scale_bits / block_size"), "codes in bytes"),
    ("07.1", bits("bits + scale_bits / block_size / 8"), "scales in bytes", True),
    ("07.1", bits("bits + 2 * scale_bits / block_size"), "a block has a scale and a zero point", True),
    ("07.1", bits("math.ceil(bits + scale_bits / block_size)"), "whole bits, rounded up", True),
    ("07.1", bits("bits + round(scale_bits / block_size)"), "whole bits", True),
    ("07.1", bits("round(bits + scale_bits / block_size, 1)"), "one digit will do", True),
    ("07.1", bits("scale_bits / block_size"), "only the overhead", True),
    ("07.1", bits("block_size * bits + scale_bits"), "all bits of a block", True),
    ("07.1", bits("bits + 32 / block_size"), "a scale is float32", True),
    ("07.1", bits("4 + scale_bits / block_size"), "it's about four bits", True),
    ("07.1", bits("bits + scale_bits / 64"), "blocks of 64", True),
    ("07.1", bits("bits * scale_bits / block_size"), "times, not plus"),
    ("07.1", bits("bits + scale_bits / bits"), "shared by the bits"),
    ("07.1", bits("(bits * block_size + scale_bits) / (block_size + 1)"), "the scale is one more number"),
    ("07.1", bits("4.5"), "what NF4 takes"),
    (
        "07.2",
        "def my_int4(w, block_size):\n    scale = w.abs().max() / 7\n    return (w / scale).round() * scale",
        "one scale does for all",
        True,
    ),
    ("07.2", int4(("(b / s).round() * s", "(b / s).int().mul(s)")), "int() rounds", True),
    ("07.2", int4(("/ 7", "/ 8"), (".round()", ".round().clamp(-8, 7)")), "all sixteen codes", True),
    ("07.2", int4(("/ 7", "/ 7.5")), "fifteen steps from end to end", True),
    ("07.2", int4(("/ 7", "/ 16")), "four bits are sixteen", True),
    ("07.2", int4(("/ 7", "/ (2 ** 4 - 1)")), "the largest code is 15", True),
    (
        "07.2",
        """
        def my_int4(w, block_size):
            b = w.view(-1, block_size)
            low, high = b.amin(1, True), b.amax(1, True)
            s = (high - low) / 15
            return (((b - low) / s).round() * s + low).view(w.shape)
        """,
        "from smallest to largest",
        True,
    ),
    (
        "07.2",
        int4(("b.abs().amax(1, keepdim=True)", "(b.amax(1, True) - b.amin(1, True))"), ("/ 7", "/ 15")),
        "width",
        True,
    ),
    ("07.2", int4(("b.abs().amax(1, keepdim=True)", "b.std(1, keepdim=True)")), "size is spread", True),
    ("07.2", int4(("amax", "mean")), "size is the mean", True),
    ("07.2", int4(("amax(1", "amax(0")), "dim=0 is the first block", True),
    ("07.2", int4(("view(-1, block_size)", "view(block_size, -1)")), "that many blocks", True),
    ("07.2", int4(("b.abs().amax", "b.amax")), "max is the largest", True),
    ("07.2", int4(("b.abs().amax(1, keepdim=True)", "b.amax(1, keepdim=True).abs()")), "abs, but too late", True),
    ("07.2", int4(("((b / s).round() * s)", "(b / s).round().to(torch.int8)")), "quantized means codes", True),
    ("07.2", int4(("(b / s).round() * s", "(b / s).round() / 7")), "restored is between −1 and 1", True),
    ("07.2", int4(("(b / s).round() * s", "(b / s * s).round()")), "round at the end", True),
    ("07.2", int4(("(b / s).round()", "(b / s).ceil()")), "up, to be safe", True),
    ("07.2", int4(("(b / s).round()", "(b // s)")), "whole division is rounding"),
    ("07.2", int4((".view(w.shape)", "")), "blocks are fine", True),
    ("07.2", int4(("1, keepdim=True", "1")), "broadcasting will find it"),
    ("07.2", "lambda w, block_size: w", "nothing to do", True),
    (
        "07.3",
        nf4(("x[:, None] - book).abs().argmin(dim=1)", "x[:, None] - book).pow(2).argmin(0)")),
        "one level at a time",
        True,
    ),
    ("07.3", nf4(("(b / a[:, None])", "b")), "levels fit any numbers", True),
    ("07.3", nf4(("b.abs().amax(dim=1)", "b.amax(dim=1)")), "max is the largest", True),
    ("07.3", nf4(("b.abs().amax(dim=1)", "b.std(dim=1)")), "normal numbers have a spread", True),
    ("07.3", nf4(("amax(dim=1)", "amax(dim=1) / 7")), "as in int4", True),
    ("07.3", nf4(("a[:, None]", "b.abs().max()")), "scale by the largest of all", True),
    ("07.3", nf4(("a = b.abs().amax(dim=1)", "a = b.abs().max()[None]")), "one scale", True),
    ("07.3", nf4(("w.reshape(-1, block_size)", "w.reshape(block_size, -1)")), "that many blocks", True),
    ("07.3", nf4(("w.reshape(-1, block_size)", "w.reshape(-1, w.shape[-1])")), "a block is a row", True),
    ("07.3", nf4(("w.reshape(-1, block_size)", "w.reshape(-1, 64)")), "NF4's blocks"),
    (
        "07.3",
        nf4(("(x[:, None] - book).abs().argmin(dim=1)", "torch.bucketize(x, book)")),
        "bucketize is nearest",
        True,
    ),
    (
        "07.3",
        nf4(("(x[:, None] - book).abs().argmin(dim=1)", "torch.bucketize(x, book, right=True) - 1")),
        "the level that's reached",
        True,
    ),
    ("07.3", nf4((".abs().argmin", ".argmin")), "the smallest difference", True),
    ("07.3", nf4(("argmin", "argmax")), "argmax of closeness", True),
    ("07.3", nf4(("c.to(torch.uint8)", "c")), "argmin's own dtype", True),
    ("07.3", nf4(("c.to(torch.uint8)", "c.to(torch.uint8).view(w.shape)")), "as it came", True),
    ("07.3", nf4(("return c.to(torch.uint8), a", "return a, c.to(torch.uint8)")), "scales first", True),
    ("07.3", nf4(("c.to(torch.uint8), a", "c.to(torch.uint8)")), "codes are what's asked", True),
    ("07.3", nf4(("c.to(torch.uint8), a", "book[c], a")), "quantized are the levels", True),
    ("07.3", nf4(("c.to(torch.uint8), a", "(book[c].view_as(b) * a[:, None]).view(w.shape), a")), "restored numbers"),
    ("07.3", nf4(("c = (x[:, None] - book).abs().argmin(dim=1)", "c = ((x + 1) * 7.5).round()")), "sixteen steps"),
    ("07.3", nf4(("c.to(torch.uint8)", "c.view_as(b)")), "as bucketize returns them", True),
    (
        "07.3",
        nf4(("return c.to", "c = c.to(torch.uint8)\n    return (c[0::2] << 4 | c[1::2]).to")),
        "packed already",
        True,
    ),
    ("07.3", nf4(("b.abs().amax(dim=1)", "b.norm(dim=1)")), "size is the norm"),
    ("07.3", nf4(("b / a[:, None]", "b * a[:, None]")), "times the scale"),
    ("07.4", changed(UNPACK, ("packed >> 4, packed & 15", "packed & 15, packed >> 4")), "low half first", True),
    ("07.4", changed(UNPACK, (", dim=1)", ")")), "stack and flatten", True),
    ("07.4", changed(UNPACK, ("packed & 15", "packed % 15")), "the rest of a division by 15"),
    ("07.4", changed(UNPACK, ("packed & 15", "packed << 4")), "left and right"),
    ("07.4", changed(UNPACK, ("packed >> 4", "packed / 16")), "a half is a sixteenth"),
    ("07.4", changed(UNPACK, (".flatten()", "")), "pairs are fine", True),
    ("07.5", changed(NF3, ("0.5, 4)", "0.5, 5)")), "as many on each side", True),
    ("07.5", changed(NF3, ("torch.zeros(1), ", "")), "zero comes by itself", True),
    ("07.5", changed(NF3, ("[:-1])\n    n", ")\n    n")), "one half belongs to it"),
    ("07.5", changed(NF3, (" / book.max()", "")), "quantiles are levels", True),
    ("07.5", changed(NF3, (".sort().values", "")), "the order doesn't matter", True),
    (
        "07.5",
        changed(NF3, ("linspace(offset", "linspace(0.9677083")),
        "NF4's offset",
        True,
    ),
    ("07.1", bits("(bits + scale_bits) / block_size"), "per block must divide everything", True),
    ("07.1", bits("bits + scale_bits // block_size"), "bits are whole numbers, so //", True),
    (
        "07.3",
        nf4(
            ("argmin(dim=1)", "argmin(dim=1).view_as(b)"),
            ("return c.to(torch.uint8), a", "return c.to(torch.uint8), a[:, None]"),
        ),
        "keepdim's column and the blocks, as in int4",
        True,
    ),
    (
        "07.3",
        nf4(("c = (x[:, None] - book).abs().argmin(dim=1)", "c = ((x + 1) / 2 * (len(book) - 1)).round()")),
        "sixteen even levels from -1 to 1",
        True,
    ),
    ("07.4", "lambda packed: torch.cat([packed >> 4, packed & 15])", "twice as long, so it's done", True),
    ("07.4", changed(UNPACK, ("packed >> 4", "packed & 0xF0")), "masked both halves", True),
    (
        "07.5",
        changed(NF3, ("0.5, 5)[:-1]", "0.5, 4)"), ("0.5, 4)[:-1]", "0.5, 3)")),
        "four quantiles, so linspace(..., 4)",
        True,
    ),
    (
        "07.5",
        changed(NF3, ("offset, 0.5, 5)[:-1]", "offset, 0.499, 4)"), ("offset, 0.5, 4)[:-1]", "offset, 0.499, 3)")),
        "a thousandth short of one half",
    ),
    (
        "07.3",
        """
        def my_nf4(w, book, block_size):
            absmax = w.abs().max()
            codes = (w.flatten()[:, None] / absmax - book).abs().argmin(dim=-1).to(torch.uint8)
            return codes, absmax.repeat(w.numel() // block_size)
        """,
        "one scale for all, repeated until the shape fits",
        True,
    ),
    (
        "07.3",
        nf4(("c = (x[:, None] - book).abs().argmin(dim=1)", "c = ((x + 1) / 2 * 15).round()")),
        "round(w / scale) as in 7.1, stretched to sixteen codes",
        True,
    ),
    (
        "07.4",
        "lambda packed: torch.tensor([half for byte in packed.tolist() for half in divmod(byte, 16)])",
        "plain Python, and tensor() will know the dtype",
        True,
    ),
    (
        "07.5",
        changed(
            NF3,
            ("0.5, 5)[:-1]", "0.5, 9)[:-1][::2]"),
            ("0.5, 4)[:-1]", "0.5, 8)[:-1][::2]"),
            ("return book / book.max()", "return (book / book.max())[1:]"),
        ),
        "half of NF4 has half of its levels",
        True,
    ),
    (
        "07.5",
        changed(
            NF3,
            ("0.5, 5)", "0.5, 4)"),
            (
                "n = -torch.special.ndtri(torch.linspace(offset, 0.5, 4)",
                "n = -torch.special.ndtri(torch.linspace(offset, 0.5, 5)",
            ),
        ),
        "the extra code is negative, as in two's complement",
        True,
    ),
    (
        "07.4",
        changed(UNPACK, ("packed & 15", "packed - (packed >> 4)")),
        "what's left after taking the first code away; forgot the 16",
        True,
    ),
    (
        "07.5",
        changed(
            NF3,
            ("linspace(offset, 0.5, 4)[:-1])", "linspace(offset, 0.5, 5)[:-1])[1:]"),
        ),
        "mirror the four, and drop one to get three: lost the outermost",
        True,
    ),
]
