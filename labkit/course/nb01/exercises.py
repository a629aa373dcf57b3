"""The exercises of notebook 01, low rank and the SVD."""

import math

import torch
from torch.nn import functional as F

from labkit.lab.checking.form import Case, Mistake, Tolerance, exercise, mistake

# 01.1


def my_saving(m, n, r):
    """m · n numbers in the matrix, over r · (m + n) in its two factors."""
    return m * n / (r * (m + n))


exercise(
    id="01.1",
    title="What low rank saves",
    prompt=(
        "Write my_saving(m, n, r): by what factor do two factors of rank r shrink an m × n matrix? Count the numbers\n"
        "in each and divide with /: it needn't come out whole."
    ),
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_saving,
    explanation=(
        "The left factor has r columns of m numbers, the right one r rows of n: together that's r · (m + n).\n"
        "For a square matrix it comes to n / (2r) times fewer. From r = m · n / (m + n) on, you save nothing."
    ),
    cases=lambda: [Case(4096, 4096, 8), Case(192, 576, 16), Case(1536, 576, 4)],
    hints=[
        "How many numbers are in one column of m, and how many in one row of n?",
        "Rank r needs r of those columns and r of those rows.",
        "Divide m * n by r * (m + n).",
    ],
    mistakes=[
        Mistake(
            lambda m, n, r: m * n / (r * (m + n + 1)),
            "You count the r singular values as numbers of their own.",
            "Three factors need them, two don't: each size can be multiplied into its column, once and for all.",
            "How many numbers do a column and a row hold when the size is already inside the column?",
        ),
        Mistake(
            lambda m, n, r: m * n / (r * (m + n + r)),
            "You count an r × r matrix of singular values too.",
            "That's a third factor, and most of it is zeros. With two factors, the sizes are inside the columns.",
            "What's left of r · (m + n + r) when you keep the columns and the rows only?",
        ),
        *[
            Mistake(
                each,
                "You count only one of the two factors.",
                "A rank-1 piece is a column times a row, and you have to store both.",
                "Where are the numbers of the other one?",
            )
            for each in (lambda m, n, r: m * n / (r * m), lambda m, n, r: m * n / (r * n))
        ],
        *[
            Mistake(
                each,
                "You count r of the one, but only one of the other.",
                "Without parentheses, r * m + n multiplies only the m, and m + r * n only the n.",
                "Put parentheses around m + n.",
            )
            for each in (lambda m, n, r: m * n / (r * m + n), lambda m, n, r: m * n / (m + r * n))
        ],
        *[
            Mistake(
                each,
                "You multiply by something that you want to divide by.",
                "Python works from left to right: a / b * c is (a / b) * c.",
                "Put parentheses around everything below the line.",
            )
            for each in (
                lambda m, n, r: m * n / r * (m + n),
                lambda m, n, r: m * n / (m + n) * r,
                lambda m, n, r: m * n / r * m + n,
            )
        ],
        Mistake(
            lambda m, n, r: r * (m + n) / (m * n),
            "Your fraction is upside down: it's the share that's left.",
            "“How many times fewer” is above 1 when you save something.",
            "Which of the two counts goes on top?",
        ),
        Mistake(
            lambda m, n, r: r * (m + n),
            "You give the number of numbers in the two factors.",
            "That's half of the way. You still need to compare it with the matrix.",
            "Divide the matrix's m · n numbers by it.",
        ),
        *[
            Mistake(
                each,
                "You multiply the sizes of the two factors.",
                "Multiplied out, a rank-1 piece fills the matrix. Stored as a column and a row, it's m + n numbers.",
                "Look at the sign between m and n below the line.",
            )
            for each in (lambda m, n, r: m * n / (r * m * n), lambda m, n, r: m * n / (r * m * r * n))
        ],
        Mistake(
            lambda m, n, r: m * n / (r * r),
            "You compare with an r × r matrix.",
            "Rank r is the number of pieces. The columns still have m numbers, and the rows n.",
            "How long is one column, and how long is one row?",
        ),
        Mistake(
            lambda m, n, r: min(m, n) / r,
            "Your answer is the full rank divided by r.",
            "The rank falls by that much, and so would the numbers if one factor were enough. You store two.",
            "Count the numbers: r · (m + n) against m · n.",
        ),
        Mistake(
            lambda m, n, r: m * n / (m + n),
            "Your factors have one column and one row only.",
            "That's rank 1. Rank r takes r columns and r rows.",
            "Where does r come in?",
        ),
        Mistake(
            lambda m, n, r: m * n / r,
            "You divide by r alone.",
            "r is how many pieces there are. Each one is a column and a row of numbers.",
            "How many numbers does one piece take?",
        ),
        *[
            Mistake(
                each,
                "Your formula fits square matrices only.",
                "For m = n it's right: the two factors are equally large there.",
                "What do you store when m and n differ?",
            )
            for each in (lambda m, n, r: n / (2 * r), lambda m, n, r: m / (2 * r))
        ],
        *[
            Mistake(
                each,
                "Your answer is the same for every m and n.",
                "On the page they're both 4096. Your function has to do without knowing them.",
                "Use m and n by name.",
            )
            for each in (lambda m, n, r: 256, lambda m, n, r: 4096 / (2 * r))
        ],
        Mistake(
            lambda m, n, r: 1 - r * (m + n) / (m * n),
            "You give the share that's saved.",
            "“How many times fewer” is a ratio of two counts.",
            "Divide m · n by r · (m + n).",
        ),
        Mistake(
            lambda m, n, r: m * n - r * (m + n),
            "You give how many numbers are saved, a difference.",
            "“How many times fewer” is a ratio.",
            "Divide where you subtract.",
        ),
        *[
            Mistake(
                each,
                "You round to a whole number.",
                "// and int() drop the decimals, and round() does nearly the same.",
                "Use / for an ordinary division, and leave the result as it is.",
            )
            for each in (lambda m, n, r: m * n // (r * (m + n)), lambda m, n, r: round(m * n / (r * (m + n))))
        ],
    ],
    shows="256 for a 4096 × 4096 matrix at rank 8: one line of arithmetic behind a much quoted number.",
)

# 01.2


def my_low_rank(W, r):
    """The first r pieces of the SVD, put together again."""
    U, S, Vh = torch.linalg.svd(W, full_matrices=False)
    return U[:, :r] @ torch.diag(S[:r]) @ Vh[:r]


def _svd(W):
    return torch.linalg.svd(W, full_matrices=False)


@mistake(
    "You keep the first r rows of W.",
    "That's what rows of U lead to, as well: they belong to the rows of W. A piece reaches over all of them.",
    "U[:, :r] takes columns, U[:r] takes rows.",
)
def _rows_of_W(W, r):
    return W[:r]


@mistake(
    "You keep the first r columns of W.",
    "That's what columns of Vh lead to, as well: they belong to the columns of W. The pieces are in its rows.",
    "Vh[:r] takes rows.",
)
def _columns_of_W(W, r):
    return W[:, :r]


@mistake(
    "Your right directions aren't those of the pieces.",
    "They're the rows of Vh. If you have V itself, it's the other way round: they're its columns.",
    "Is the r on the right side of the comma, and is there a .T too many?",
)
def _columns_of_Vh_turned(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ torch.diag(S[:r]) @ Vh[:, :r].T


@mistake(
    "Your matrix is turned on its side.",
    "U belongs on the left, and Vh on the right.",
    "In which order do you multiply the three?",
)
def _transposed(W, r):
    return my_low_rank(W, r).T


@mistake(
    "You keep the r smallest pieces.",
    "torch.linalg.svd sorts from large to small.",
    "`[:r]` is the beginning, [-r:] the end.",
)
def _smallest(W, r):
    U, S, Vh = _svd(W)
    return U[:, -r:] @ torch.diag(S[-r:]) @ Vh[-r:]


@mistake(
    "Your pieces all have the same size.",
    "Columns of U and rows of Vh have length 1: they're only directions. How much of each there is, is in S.",
    "Where does S[:r] come in?",
)
def _without_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ Vh[:r]


@mistake(
    "You take square roots of the singular values.",
    "S holds the sizes of the pieces themselves. The eigenvalues of W.T @ W would be their squares.",
    "Use S[:r] as it is.",
)
def _square_roots_of_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ torch.diag(S[:r].sqrt()) @ Vh[:r]


@mistake(
    "You square the singular values.",
    "Squares are for the energy. A piece itself has the size S[i].",
    "How often does your product multiply by S?",
)
def _squares_of_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ torch.diag(S[:r] ** 2) @ Vh[:r]


@mistake(
    "You return what's left of W when its best matrix of rank r is taken away.",
    "That's the error. You want the approximation itself.",
    "Do you keep the first r pieces, or all the others?",
)
def _left_out(W, r):
    return W - my_low_rank(W, r)


@mistake(
    "You return the three factors, and not the matrix they make.",
    "U, S and Vh, cut to r, hold all you need. Multiplied, they give a matrix shaped like W.",
    "Put torch.diag(S[:r]) between the other two, with @.",
)
def _the_factors(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r], S[:r], Vh[:r]


@mistake(
    "You multiply columns and rows number by number.",
    "A column times a row is a whole matrix: every number of the one times every number of the other.",
    "Try torch.outer(column, row).",
)
def _item_by_item(W, r):
    U, S, Vh = _svd(W)
    return sum(S[i] * U[:, i] * Vh[i] for i in range(r))


@mistake(
    "You take rows of U for the left directions.",
    "They're the columns of U. Only the right ones are rows, because Vh comes transposed.",
    "U[:, i] is a column, U[i] is a row.",
)
def _rows_of_both(W, r):
    U, S, Vh = _svd(W)
    return sum(S[i] * torch.outer(U[i], Vh[i]) for i in range(r))


@mistake(
    "You multiply with S as it comes: a list of numbers, not a matrix.",
    "Each column of U needs its own number. That's a product with a diagonal matrix.",
    "Try torch.diag(S[:r]), or U[:, :r] * S[:r].",
)
def _sizes_as_a_vector(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ S[:r] @ Vh[:r]


@mistake(
    "You return W itself, with all of its pieces.",
    "The rank is r only if you keep r pieces.",
    "Where does r cut U, S and Vh?",
)
def _everything(W, r):
    return W


def _cut_in_part(W, columns, sizes, rows):
    U, S, Vh = _svd(W)
    return U[:, :columns] @ torch.diag(S[:sizes]) @ Vh[:rows]


def _pieces(W, first, end):
    U, S, Vh = _svd(W)
    return (U[:, first:end] * S[first:end]) @ Vh[first:end]


exercise(
    id="01.2",
    title="The best matrix of rank r",
    prompt=(
        "Write my_low_rank(W, r): of all matrices of rank r, the one closest to W, without low_rank_approx. For U, S\n"
        "and Vh call torch.linalg.svd(W, full_matrices=False)."
    ),
    minutes=8,
    difficulty=3,
    importance=5,
    solution=my_low_rank,
    explanation=(
        "Piece i is S[i] times column i of U times row i of Vh. The pieces come sorted, largest first, so you keep\n"
        "the first r: r columns of U, r numbers of S, r rows of Vh. Their sum is a product of three matrices."
    ),
    # square first: there, several wrong products have the right shape
    cases=lambda: [Case(torch.randn(6, 6), 2), Case(torch.randn(8, 5), 3), Case(torch.randn(4, 9), 2)],
    close=Tolerance(rtol=1e-3, atol=1e-4),
    hints=[
        "W is the sum of S[i] * torch.outer(U[:, i], Vh[i]) over all i. Which of them do you keep?",
        "The pieces are sorted by size. Keep the first r columns of U, numbers of S, and rows of Vh.",
        "U[:, :r] @ torch.diag(S[:r]) @ Vh[:r]",
    ],
    mistakes=[
        _rows_of_W,
        _columns_of_W,
        _columns_of_Vh_turned,
        _transposed,
        _smallest,
        _without_sizes,
        _square_roots_of_sizes,
        _squares_of_sizes,
        _left_out,
        _the_factors,
        _item_by_item,
        _rows_of_both,
        _sizes_as_a_vector,
        _everything,
        *[
            Mistake(
                lambda W, r, end=end: my_low_rank(W, r + end),
                f"You keep one piece too {word}.",
                "A slice leaves out its end: [:r] and range(r) have r items, number 0 to r − 1.",
                "Is there a + 1 or a - 1 that you don't need?",
            )
            for end, word in ((1, "many"), (-1, "few"))
        ],
        *[
            Mistake(
                lambda W, r, end=end: _pieces(W, 1, r + end),
                "Your sum lacks the largest piece.",
                "Python counts from 0, so the first piece is number 0.",
                "Start with [:r] or range(r), at 0.",
            )
            for end in (0, 1)
        ],
        *[
            Mistake(
                lambda W, r, first=first: _pieces(W, r + first, r + first + 1),
                "You return a single piece.",
                "The best matrix of rank r is the sum of the first r pieces. In a loop, that takes +=.",
                "`[:r]` takes r of them, `[r]` takes one.",
            )
            for first in (-1, 0)
        ],
        *[
            Mistake(
                each,
                "You keep the upper left corner of W.",
                "Rank isn't about places in the matrix. Each piece reaches all over it.",
                "Take r columns of U and r rows of Vh: `[:, :r]` and `[:r]`.",
            )
            for each in (
                lambda W, r: W[:r, :r],
                lambda W, r: F.pad(W[:r, :r], (0, W.shape[1] - r, 0, len(W) - r)),
            )
        ],
        *[
            Mistake(
                lambda W, r, cut=cut: _cut_in_part(W, *[r if each in cut else None for each in "USV"]),
                "You cut only some of the three to r.",
                "A piece has a column of U, a number of S and a row of Vh, and you keep r of each.",
                "Where does r cut U, S and Vh?",
            )
            for cut in ("U", "S", "V", "US", "UV", "SV")
        ],
        *[
            Mistake(
                lambda W, r, last=last: _svd(W)[0][:, :r] @ torch.diag(_svd(W)[1][:r]) @ last(_svd(W)[2], r),
                "Your last factor has r columns, and needs r rows.",
                "V comes transposed already (that's the h), so its directions are the rows.",
                "Use Vh[:r], without a .T.",
            )
            for last in (lambda Vh, r: Vh[:r].T, lambda Vh, r: Vh[:, :r])
        ],
    ],
    shows="Now you can give any matrix the rank you like. Can you keep it as two thin factors? That's 01.3.",
)

# 01.3


def my_factors(W, r):
    """The first r pieces as a tall B and a flat A; the sizes are inside B."""
    U, S, Vh = torch.linalg.svd(W, full_matrices=False)
    B = U[:, :r] * S[:r]
    A = Vh[:r]
    return B, A


def _see_factors(args, result):
    """The shapes and the product: the sizes may be in B, in A, or half in each."""
    if not (isinstance(result, (tuple, list)) and len(result) == 2 and all(map(torch.is_tensor, result))):
        several = isinstance(result, (tuple, list))
        return {"B @ A": f"{len(result)} results" if several else result}  # without the shapes: "It lacks …"
    B, A = result
    fits = B.ndim == A.ndim == 2 and B.shape[1] == A.shape[0]
    return {
        "shape of B": tuple(B.shape),
        "shape of A": tuple(A.shape),
        "B @ A": B @ A if fits else "impossible: their shapes don't fit",
    }


@mistake(
    "You return A and B, in that order.",
    "B is the tall one, as many rows as W; A is the flat one. The product is B @ A, so B comes first.",
    "Swap the two in your return.",
)
def _swapped(W, r):
    B, A = my_factors(W, r)
    return A, B


@mistake(
    "Your product has the right directions, but all pieces have size 1.",
    "Columns of U and rows of Vh have length 1. The sizes in S must go somewhere.",
    "Multiply S[:r] into one of the two factors.",
)
def _factors_without_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r], Vh[:r]


@mistake(
    "Your product has every size twice: squared.",
    "You put S into both factors.",
    "Use S in one of them, or its square root in each.",
)
def _sizes_in_both(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] * S[:r], S[:r, None] * Vh[:r]


@mistake(
    "Your product has only the square roots of the sizes.",
    "Half of each size went into one factor. The other half is missing.",
    "Put the square root into both factors, or all of S into one.",
)
def _half_of_the_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] * S[:r].sqrt(), Vh[:r]


@mistake(
    "Your A is turned on its side.",
    "V comes out of torch.linalg.svd transposed already (that's the h), so its first r rows are A.",
    "Does A have r rows, as B @ A needs?",
)
def _tall_A(W, r):
    B, A = my_factors(W, r)
    return B, A.T


@mistake(
    "Your B is turned on its side.",
    "B needs as many rows as W has, and r columns.",
    "Is there a .T too many, or rows taken where you want columns?",
)
def _flat_B(W, r):
    B, A = my_factors(W, r)
    return B.T, A


@mistake(
    "Both of your factors are turned on their sides.",
    "B has as many rows as W; A has as many columns.",
    "Which shapes make B @ A a matrix shaped like W?",
)
def _both_turned(W, r):
    B, A = my_factors(W, r)
    return B.T, A.T


@mistake(
    "You take rows of U for B.",
    "The left directions are the columns of U. Only the right ones are rows, because Vh comes transposed.",
    "U[:, :r] takes columns, U[:r] takes rows.",
)
def _rows_for_B(W, r):
    U, S, Vh = _svd(W)
    return U[:r].T * S[:r], Vh[:r]


@mistake(
    "You take columns and rows of W itself.",
    "They're in W, but they aren't its pieces, and multiplied they don't give W.",
    "What do U, S and Vh give you?",
)
def _of_W_itself(W, r):
    return W[:, :r], W[:r]


@mistake(
    "Your product is zero.",
    "LoRA's training starts like that. Here you have W, and B @ A should come close to it.",
    "What do U, S and Vh give you?",
)
def _zero(W, r):
    return torch.zeros(len(W), r), torch.zeros(r, W.shape[1])


@mistake(
    "You keep the r smallest pieces.",
    "torch.linalg.svd sorts from large to small.",
    "`[:r]` is the beginning, [-r:] the end.",
)
def _smallest_factors(W, r):
    U, S, Vh = _svd(W)
    return U[:, -r:] * S[-r:], Vh[-r:]


@mistake(
    "You return the product. Here you want the two factors.",
    "Multiplied out, nothing is saved: the product is as large as W.",
    "Return B and A, and leave the @ to the caller.",
)
def _product(W, r):
    return my_low_rank(W, r)


@mistake(
    "You return three things, where two are expected.",
    "An SVD has three factors, LoRA has two: each size can be multiplied into its column.",
    "What is U[:, :r] * S[:r]?",
)
def _three(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r], S[:r], Vh[:r]


exercise(
    id="01.3",
    title="Two thin factors",
    prompt=(
        "Write my_factors(W, r): return B, A with B of shape (m, r) and A of shape (r, n), so that B @ A is the\n"
        "closest matrix of rank r to the m × n matrix W. S may go into B, into A, or as square roots into both."
    ),
    minutes=8,
    difficulty=3,
    importance=5,
    solution=my_factors,
    explanation=(
        "U[:, :r] * S[:r] multiplies column i by S[i], so the sizes are inside B. You could put them into A, or a\n"
        "square root into each: B @ A is the same. LoRA trains a pair like this from scratch, without any SVD."
    ),
    cases=lambda: [Case(torch.randn(6, 6), 2), Case(torch.randn(8, 5), 3), Case(torch.randn(4, 9), 1)],
    observe=_see_factors,
    close=Tolerance(rtol=1e-3, atol=1e-4),
    hints=[
        "Start from the SVD in 01.2. Which part is tall, which part is flat?",
        "Three factors have to become two: where can the sizes S[:r] go?",
        "B = U[:, :r] * S[:r], and A = Vh[:r].",
    ],
    mistakes=[
        _swapped,
        _factors_without_sizes,
        _sizes_in_both,
        _half_of_the_sizes,
        _tall_A,
        _flat_B,
        _both_turned,
        _rows_for_B,
        _of_W_itself,
        _zero,
        _smallest_factors,
        _product,
        _three,
        *[
            Mistake(
                each,
                "You don't cut both B and A to r.",
                "Rank r means r columns in B and r rows in A. Numbers set to zero still take their place.",
                "Where do [:, :r] and [:r] go?",
            )
            for each in (
                lambda W, r: (_svd(W)[0] * _svd(W)[1], _svd(W)[2]),
                lambda W, r: (my_factors(W, r)[0], _svd(W)[2]),
                lambda W, r: (_svd(W)[0] * _svd(W)[1], my_factors(W, r)[1]),
                lambda W, r: (_svd(W)[0] * _svd(W)[1] * (torch.arange(len(_svd(W)[1])) < r), _svd(W)[2]),
            )
        ],
        *[
            Mistake(
                lambda W, r, turn=turn: (my_factors(W, r)[0], turn(_svd(W)[2][:, :r])),
                "You take columns of Vh for A.",
                "The directions are the rows of Vh, because V comes transposed.",
                "Vh[:r] takes rows, Vh[:, :r] takes columns.",
            )
            for turn in (torch.t, torch.clone)
        ],
        *[
            Mistake(
                lambda W, r, end=end: my_factors(W, r + end),
                f"You keep one piece too {word}.",
                "A slice leaves out its end: [:r] has r items, number 0 to r − 1.",
                "Is there a + 1 or a - 1 that you don't need?",
            )
            for end, word in ((1, "many"), (-1, "few"))
        ],
        Mistake(
            lambda W, r: (my_factors(W, r + 1)[0][:, 1:], my_factors(W, r + 1)[1][1:]),
            "You leave out the largest piece, and take one more at the end.",
            "Python counts from 0, so the first piece is number 0.",
            "Start your slices at 0: [:, :r] and [:r].",
        ),
    ],
    shows="B is tall and A is flat: that's the shape of every LoRA adapter you'll meet.",
)

# 01.4


def my_rank(S, share):
    """The smallest r whose first r squares reach the share."""
    kept = (S**2).cumsum(0) / (S**2).sum()
    return int((kept < share).sum()) + 1


def _shares(S):
    return (S**2).cumsum(0) / (S**2).sum()


def _spectra_and_shares():
    falling = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.1])
    even = torch.ones(4)  # shares of it are exact: r = 2 holds a half to the last bit, and all of it takes all pieces
    random = torch.rand(40).sort(descending=True).values
    small = falling / 100  # all of its energy is less than any share
    return [
        *[Case(falling, 0.9), Case(falling, 0.4), Case(random, 0.7)],
        *[Case(small, 0.9), Case(even, 0.5), Case(even, 1.0)],
    ]


exercise(
    id="01.4",
    title="The rank you need",
    prompt=(
        "Write my_rank(S, share): the smallest r whose first r pieces hold at least that share of the energy.\n"
        "S holds the singular values, largest first. Return a whole number; a share of 1 counts too."
    ),
    minutes=7,
    difficulty=3,
    importance=3,
    solution=my_rank,
    explanation=(
        "`cumsum` adds up as it goes along, so kept[i] is the energy in the first i + 1 pieces. Count the ranks that\n"
        "are too small; the next one is the answer. A loop that stops at the first hit does just as well."
    ),
    cases=_spectra_and_shares,
    hints=[
        "Try r = 1, 2, 3 …, add up the squares of the first r values, and stop at the first r that's enough.",
        "(S ** 2).cumsum(0) / (S ** 2).sum() holds the energies of r = 1, 2, 3 … How many of them are too small?",
        "int((kept < share).sum()) + 1, with kept from the hint before.",
    ],
    mistakes=[
        Mistake(
            lambda S, share: my_rank(S, share) - 1,
            "Your rank is one too low, every time.",
            "Place 0 in the list belongs to rank 1. And a loop that goes down stops one step too late.",
            "Does your r still hold the share?",
        ),
        Mistake(
            lambda S, share: int((S.cumsum(0) / S.sum() < share).sum()) + 1,
            "You add up the singular values without squaring them.",
            "Energy is the sum of squares.",
            "Square S before you add.",
        ),
        Mistake(
            lambda S, share: int(((S**2).cumsum(0).sqrt() / (S**2).sum().sqrt() < share).sum()) + 1,
            "You compare sizes with the share, and not energies.",
            "Size is the square root of energy.",
            "What happens without the square roots?",
        ),
        Mistake(
            lambda S, share: max(1, my_rank(S, share) - 1),
            "You return the last rank that isn't enough yet.",
            "The first rank that reaches the share is the answer.",
            "What comes one step later?",
        ),
        Mistake(
            lambda S, share: my_rank(S, 1 - share),
            "You look for the rank that holds 1 − share.",
            "share is what you keep, not what you may lose.",
            "Which share do you compare with?",
        ),
        *[
            Mistake(
                lambda S, share, whole=whole: whole(share * len(S)),
                "You take that share of the number of pieces.",
                "That would do if all pieces had the same size.",
                "Where do the values in S come in?",
            )
            for whole in (math.ceil, math.floor)
        ],
        *[
            Mistake(
                lambda S, share, enough=enough: int(enough(S, share * S[0]).sum()),
                "You count the singular values that are large beside the first.",
                "A threshold on single values says nothing about their sum.",
                "`cumsum` adds up as it goes along.",
            )
            for enough in (torch.ge, torch.gt)
        ],
        *[
            Mistake(
                each,
                "You compare each piece alone with the share.",
                "The first r pieces hold it together.",
                "In a loop, add up with +=. On the whole list, `cumsum` does it.",
            )
            for each in (
                lambda S, share: int((S**2 / (S**2).sum() < share).sum()) + 1,
                lambda S, share: int((S**2 / (S**2).sum() >= share).sum()),
                lambda S, share: next((r for r, s in enumerate(S, 1) if s**2 >= share * (S**2).sum()), len(S)),
            )
        ],
        Mistake(
            lambda S, share: my_rank(S.flip(0), share),
            "You start with the smallest piece.",
            "S is sorted from large to small, and the first pieces hold most.",
            "At which end does your sum begin?",
        ),
        Mistake(
            lambda S, share: my_rank(S, share) + 1,
            "Your rank is one too high, every time.",
            "It's enough, but the one before it was enough already.",
            "Do you add 1 twice?",
        ),
        *[
            Mistake(
                lambda S, share, enough=enough: int(enough(_shares(S), share).sum()),
                "You count the ranks that are enough.",
                "You want the smallest of them. It comes right after all those that aren't enough.",
                "Turn your comparison around, and add 1.",
            )
            for enough in (torch.ge, torch.gt)
        ],
        Mistake(
            lambda S, share: int(((S**2).cumsum(0) < share).sum()) + 1,
            "You compare the energy itself with the share.",
            "The squares add up to the energy of the whole matrix, which needn't be 1.",
            "Divide by (S ** 2).sum() first.",
        ),
        Mistake(
            lambda S, share: int((_shares(S) <= share).sum()) + 1,
            "You ask for more than the share.",
            "A rank that holds exactly the share is enough.",
            "Compare with < instead of <=.",
        ),
        Mistake(
            lambda S, share: next((r for r in range(1, len(S) + 1) if _shares(S)[r - 1] > share), None),
            "You wait for more than the share, and get None when all of it is asked for.",
            "No rank has more than all of the energy. Exactly the share is enough.",
            "Compare with >= instead of >.",
        ),
        Mistake(
            lambda S, share: next((r for r in range(1, len(S)) if _shares(S)[r - 1] >= share), None),
            "You never try the full rank, and return None where every piece is needed.",
            "range leaves out its end.",
            "How far does range(1, len(S) + 1) go?",
        ),
        *[
            Mistake(
                each,
                "You return energies, and not a rank.",
                "The rank is a whole number: how many pieces it takes.",
                "Which r is the first whose energy is enough?",
            )
            for each in (lambda S, share: _shares(S)[my_rank(S, share) - 1].item(), lambda S, share: _shares(S))
        ],
    ],
    shows="labkit.rank_for_energy does the same. Try it on the weight and on its update.",
)
