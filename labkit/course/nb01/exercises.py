"""The exercises of notebook 01, low rank and the SVD."""

import torch

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
        Mistake(
            lambda m, n, r: m * n / (r * m),
            "You count only the left factor.",
            "A rank-1 piece is a column times a row, and you have to store both.",
            "Where are the n numbers of each row?",
        ),
        Mistake(
            lambda m, n, r: m * n / (r * n),
            "You count only the right factor.",
            "A rank-1 piece is a column times a row, and you have to store both.",
            "Where are the m numbers of each column?",
        ),
        Mistake(
            lambda m, n, r: m * n / (r * m + n),
            "You count r columns, but only one row.",
            "Parentheses may be missing: r * m + n multiplies only the m.",
            "Put parentheses around m + n.",
        ),
        Mistake(
            lambda m, n, r: m * n / r * (m + n),
            "You multiply by m + n, where you want to divide.",
            "Python works from left to right: a / b * c is (a / b) * c.",
            "Put parentheses around everything below the line.",
        ),
        Mistake(
            lambda m, n, r: m * n / (m + n) * r,
            "You multiply by r, where you want to divide.",
            "Python works from left to right, so only m + n is below the line.",
            "Put r inside the parentheses you divide by.",
        ),
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
        Mistake(
            lambda m, n, r: m * n / (r * m * n),
            "Your pieces cost as much as the whole matrix, each.",
            "Multiplied out, a rank-1 piece fills the matrix. Stored as a column and a row, it's m + n numbers.",
            "Look at the sign between m and n below the line.",
        ),
        Mistake(
            lambda m, n, r: m * n / (r * r),
            "You compare with an r × r matrix.",
            "Rank r is the number of pieces. The columns still have m numbers, and the rows n.",
            "How long is one column, and how long is one row?",
        ),
        Mistake(
            lambda m, n, r: min(m, n) / r,
            "You divide the full rank by r.",
            "The rank falls by that much, but you store two factors where there was one matrix.",
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
        Mistake(
            lambda m, n, r: n / (2 * r),
            "Your formula fits square matrices only, and looks at n.",
            "For m = n it's right: the two factors are equally large there.",
            "What do you store when m and n differ?",
        ),
        Mistake(
            lambda m, n, r: m / (2 * r),
            "Your formula fits square matrices only, and looks at m.",
            "For m = n it's right: the two factors are equally large there.",
            "What do you store when m and n differ?",
        ),
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
        Mistake(
            lambda m, n, r: m * n // (r * (m + n)),
            "Your division drops the decimals.",
            "// rounds down to a whole number.",
            "Use / for an ordinary division.",
        ),
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
    "You take the first rows of U.",
    "The left directions are the columns of U; its rows belong to the rows of W, and you need them all.",
    "U[:, :r] takes columns, U[:r] takes rows.",
)
def _with_rows_of_U(W, r):
    U, S, Vh = _svd(W)
    return U[:r] @ torch.diag(S) @ Vh


@mistake(
    "You take the first columns of Vh.",
    "The h says that V comes transposed: its directions are the rows.",
    "Vh[:r] takes rows.",
)
def _with_columns_of_Vh(W, r):
    U, S, Vh = _svd(W)
    return U @ torch.diag(S) @ Vh[:, :r]


@mistake(
    "You take columns of Vh for the right directions.",
    "The h says that V comes transposed already: its directions are the rows.",
    "Use Vh[:r], without a .T.",
)
def _columns_of_Vh_turned(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ torch.diag(S[:r]) @ Vh[:, :r].T


@mistake(
    "You keep the upper left corner of W.",
    "Rank isn't about places in the matrix. Each piece reaches all over it.",
    "What do U, S and Vh give you?",
)
def _corner_of_W(W, r):
    kept = torch.zeros_like(W)
    kept[:r, :r] = W[:r, :r]
    return kept


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
    "What happens without the W - in front?",
)
def _left_out(W, r):
    return W - my_low_rank(W, r)


@mistake(
    "You keep one piece too many.",
    "A slice leaves out its end: [:r] has r items, number 0 to r − 1.",
    "Look for a + 1 you don't need.",
)
def _one_more(W, r):
    return my_low_rank(W, r + 1)


@mistake(
    "You keep one piece too few.",
    "A slice leaves out its end: [:r] and range(r) have r items, number 0 to r − 1.",
    "Look for a - 1 you don't need.",
)
def _one_too_few(W, r):
    return my_low_rank(W, r - 1)


@mistake(
    "Your sum lacks the largest piece.",
    "Python counts from 0, so the first piece is number 0.",
    "Start with range(r), not range(1, r).",
)
def _without_the_first(W, r):
    return my_low_rank(W, r) - my_low_rank(W, 1)


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
    "You return piece number r alone.",
    "The best matrix of rank r is the sum of the first r pieces.",
    "`[:r]` takes r of them, `[r - 1]` takes one.",
)
def _only_the_last_of_them(W, r):
    U, S, Vh = _svd(W)
    return S[r - 1] * torch.outer(U[:, r - 1], Vh[r - 1])


@mistake(
    "You put all the pieces together, which gives W itself.",
    "The rank is r only if you keep r pieces.",
    "Where does r cut U, S and Vh?",
)
def _everything(W, r):
    U, S, Vh = _svd(W)
    return U @ torch.diag(S) @ Vh


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
        _with_rows_of_U,
        _with_columns_of_Vh,
        _columns_of_Vh_turned,
        _corner_of_W,
        _smallest,
        _without_sizes,
        _square_roots_of_sizes,
        _squares_of_sizes,
        _left_out,
        _one_more,
        _one_too_few,
        _without_the_first,
        _the_factors,
        _item_by_item,
        _rows_of_both,
        _sizes_as_a_vector,
        _only_the_last_of_them,
        _everything,
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
    "You don't cut: B and A still hold every piece.",
    "Rank r means r columns in B and r rows in A.",
    "Where do [:, :r] and [:r] go?",
)
def _uncut(W, r):
    U, S, Vh = _svd(W)
    return U * S, Vh


@mistake(
    "You take columns of Vh for A.",
    "The directions are the rows of Vh, because V comes transposed.",
    "Vh[:r] takes rows, Vh[:, :r] takes columns.",
)
def _columns_for_A(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] * S[:r], Vh[:, :r].T


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
        _uncut,
        _columns_for_A,
        _smallest_factors,
        _product,
        _three,
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
    return [Case(falling, 0.9), Case(falling, 0.4), Case(random, 0.7), Case(even, 0.5), Case(even, 1.0)]


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
            "Python counts places from 0, and place 0 belongs to rank 1.",
            "Is that a place in the list, or a rank?",
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
        Mistake(
            lambda S, share: int(-(-share * len(S) // 1)),
            "You take that share of the number of pieces.",
            "That would do if all pieces had the same size.",
            "Where do the values in S come in?",
        ),
        Mistake(
            lambda S, share: int((S >= share * S[0]).sum()),
            "You count the singular values that are large beside the first.",
            "A threshold on single values says nothing about their sum.",
            "`cumsum` adds up as it goes along.",
        ),
        Mistake(
            lambda S, share: my_rank(S, share) + 1,
            "Your rank is one too high, every time.",
            "It's enough, but the one before it was enough already.",
            "Do you add 1 twice?",
        ),
        Mistake(
            lambda S, share: int((_shares(S) >= share).sum()),
            "You count the ranks that are enough.",
            "You want the smallest of them. It comes right after all those that aren't enough.",
            "Turn your comparison around, and add 1.",
        ),
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
        Mistake(
            lambda S, share: _shares(S)[my_rank(S, share) - 1].item(),
            "You return the energy at that rank.",
            "The rank is a whole number: how many pieces it took.",
            "Which r gave you that energy?",
        ),
    ],
    shows="labkit.rank_for_energy does the same. Try it on the weight and on its update.",
)
