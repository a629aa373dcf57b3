"""Wrong answers to notebook 07's exercises; the package says what a tuple holds."""

WRONG = [
    (
        "07.1",
        "lambda bits, block_size, scale_bits: (bits * block_size + scale_bits) // block_size",
        "bits are whole",
        True,
    ),
    (
        "07.1",
        "lambda bits, block_size, scale_bits: (block_size * bits + scale_bits) / block_size / 8",
        "a size is in bytes",
        True,
    ),
    (
        "07.1",
        "lambda bits, block_size, scale_bits: bits + 2 * scale_bits / block_size",
        "a block has a scale and a zero point",
    ),
    (
        "07.2",
        "def my_int4(w, block_size):\n    scale = w.abs().max() / 7\n    return (w / scale).round() * scale",
        "one scale does for all",
        True,
    ),
    (
        "07.2",
        """
        def my_int4(w, block_size):
            b = w.view(-1, block_size)
            s = b.abs().amax(1, keepdim=True) / 7
            return (b / s).int().mul(s).view(w.shape)
        """,
        "int() rounds",
        True,
    ),
    (
        "07.3",
        "def my_codes(block, book):\n    return (block[:, None] / block.abs().max() - book).pow(2).argmin(0)",
        "one level at a time",
        True,
    ),
    (
        "07.3",
        "def my_codes(block, book):\n    return torch.bucketize(block, (book[1:] + book[:-1]) / 2)",
        "levels fit any numbers",
        True,
    ),
]
