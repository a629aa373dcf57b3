"""Wrong answers to notebook 11's exercises; the package says what a tuple holds."""

WRONG = [
    ("11.1", "lambda name, part: f'base_model.model.{name}.lora_{part}'", "the matrix has no name of its own", True),
    ("11.1", "lambda name, part: f'base_model.model.{name}.lora_{part.lower()}.weight'", "names are lower case"),
    ("11.2", "lambda sums, counts: (sums / counts).mean()", "a mean of means", True),
    (
        "11.4",
        "lambda alpha, r, layer_alpha, layer_r: layer_alpha / layer_r / (alpha / r)",
        "what it should be, over what it is",
        True,
    ),
]
