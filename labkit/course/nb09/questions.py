"""Quick check of notebook 09: what a merge changes, what it rounds, and when it is better left alone."""

from labkit.lab.quizzes import Question, questions

QUESTIONS = [
    Question(
        "In float32, a merged model and its adapter kept apart give logits that …",
        {
            "are the same to the last bit": "The sums are taken in another order, and each is rounded. (Section 9.1.)",
            "agree up to the rounding of float32": "In exact arithmetic they are the same; what is left is the last "
            "digits of the sums. (Section 9.1.)",
            "differ by as much as the adapter changes them": "Then nothing would have been merged. (Section 9.1.)",
        },
        right="b",
    ),
    Question(
        "What does labkit do to unmerge?",
        {
            "It subtracts ΔW": "That leaves rounding errors behind. (Section 9.2.)",
            "It trains the weights back": "There is nothing to train: W was never lost. (Section 9.2.)",
            "It puts back the W it kept": "Only that's right bit for bit, for the memory of one W. (Section 9.2.)",
        },
        right="c",
    ),
    Question(
        "A weight in bfloat16 is about 0.05, and its update is 0.00001. After merging it is …",
        {
            "the same number": "There the numbers of bfloat16 are 1/4096 apart, and the update is far less than half "
            "of that. (Section 9.3.)",
            "0.05001": "bfloat16 has no such number. (Section 9.3.)",
            "rounded up to the next number": "It is rounded to the nearest, which is where it was. (Section 9.3.)",
        },
        right="a",
    ),
    Question(
        "An adapter was trained on a base in NF4. Which weights belong under it?",
        {
            "Those of the float32 base, since they are better": "The adapter was never shown them. (Section 9.5.)",
            "The dequantized NF4 weights": "They are what it was trained on, in 16 bits or kept in four. "
            "(Section 9.5.)",
            "NF4 weights made again from W + ΔW": "That rounds the update itself, to a grid coarser than it. (Section "
            "9.5.)",
        },
        right="b",
    ),
    Question(
        "Why does labkit refuse to merge an adapter on SmolLM2's `lm_head`?",
        {
            "lm_head is too large": "Its size is no trouble. (Section 9.6.)",
            "It is not a linear layer": "It is one. (Section 9.6.)",
            "Its weight is the embedding, too": "The merge would change what every token means on its way in. (Section "
            "9.6.)",
        },
        right="c",
    ),
]

questions("09", QUESTIONS)
