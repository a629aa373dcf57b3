"""The exercises of notebook 01, low rank and the SVD."""

import torch

from labkit.lab.checking.form import Case, Mistake, Tolerance, exercise

# 01.1


def my_saving(m, n, r):
    """m · n numbers in the matrix, over r · (m + n) in its two factors."""
    return m * n / (r * (m + n))


exercise(
    id="01.1",
    title="What low rank saves",
    prompt=(
        "Write my_saving(m, n, r): how many times fewer numbers the two factors of rank r hold than the m × n matrix\n"
        "itself."
    ),
    minutes=4,
    difficulty=1,
    importance=5,
    solution=my_saving,
    explanation=(
        "The left factor has r columns of m numbers, the right one r rows of n: together r · (m + n).\n"
        "For a square matrix that is n / (2r) times fewer. Where r passes m · n / (m + n), nothing is saved."
    ),
    cases=lambda: [Case(4096, 4096, 8), Case(192, 576, 16), Case(1536, 576, 4)],
    hints=[
        "How many numbers are there in one column of m, and how many in one row of n?",
        "Rank r needs r such columns and r such rows.",
        "Divide m * n by r * (m + n).",
    ],
    mistakes=[
        Mistake(
            lambda m, n, r: m * n / (r * m),
            "You counted only one of the two factors, the left one.",
            "A rank-1 piece is a column times a row, and both have to be stored.",
            "the n numbers of each row.",
        ),
        Mistake(
            lambda m, n, r: m * n / (r * n),
            "You counted only one of the two factors, the right one.",
            "A rank-1 piece is a column times a row, and both have to be stored.",
            "the m numbers of each column.",
        ),
        Mistake(
            lambda m, n, r: r * (m + n) / (m * n),
            "Your fraction is upside down: it is the share that is left.",
            "Asked for is how many times fewer, which is more than 1 when something is saved.",
            "what stands above the line.",
        ),
        Mistake(
            lambda m, n, r: r * (m + n),
            "That is how many numbers the two factors hold.",
            "Right so far. Asked for is how many times fewer that is than the matrix has.",
            "the matrix has m · n numbers; divide.",
        ),
        Mistake(
            lambda m, n, r: m * n / (r * m * n),
            "You multiplied m and n in the cost of a piece, so it would cost as much as the matrix itself.",
            "Multiplied out, a rank-1 piece fills the whole matrix. Stored as a column and a row, it is m + n numbers.",
            "the sign between m and n below the line.",
        ),
        Mistake(
            lambda m, n, r: min(m, n) / r,
            "That is how many times lower the rank is.",
            "A lower rank saves less than that, because two factors have to be stored where there was one matrix.",
            "count the numbers themselves: r · (m + n) against m · n.",
        ),
        Mistake(
            lambda m, n, r: m * n / (m + n),
            "Your factors have one column and one row only: that is rank 1.",
            "Rank r takes r columns and r rows.",
            "r, which your answer does not use.",
        ),
        Mistake(
            lambda m, n, r: m * n / r,
            "You divided by r alone.",
            "r is how many pieces there are. Each of them is a column and a row of numbers.",
            "the m + n numbers of a piece.",
        ),
        Mistake(
            lambda m, n, r: n / (2 * r),
            "That is right for a square matrix only.",
            "The two factors are equally large only if m and n are equal.",
            "m, which your answer does not use.",
        ),
        Mistake(
            lambda m, n, r: 1 - r * (m + n) / (m * n),
            "That is the share that is saved.",
            "Asked for is how many times fewer, a ratio of the two counts.",
            "divide m · n by r · (m + n).",
        ),
        Mistake(
            lambda m, n, r: m * n - r * (m + n),
            "That is how many numbers are saved, as a difference.",
            "How many times fewer is a ratio.",
            "divide, where you subtract.",
        ),
        Mistake(
            lambda m, n, r: m * n // (r * (m + n)),
            "Your division drops what comes after the point.",
            "// rounds down to a whole number.",
            "use / for an ordinary division.",
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


def _with_rows_of_U(W, r):
    U, S, Vh = _svd(W)
    return U[:r] @ torch.diag(S) @ Vh


def _with_columns_of_Vh(W, r):
    U, S, Vh = _svd(W)
    return U @ torch.diag(S) @ Vh[:, :r]


def _corner_of_W(W, r):
    U, S, Vh = _svd(W)
    kept = torch.zeros_like(W)
    kept[:r, :r] = W[:r, :r]
    return kept


def _smallest(W, r):
    U, S, Vh = _svd(W)
    return U[:, -r:] @ torch.diag(S[-r:]) @ Vh[-r:]


def _without_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ Vh[:r]


def _square_roots_of_sizes(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ torch.diag(S[:r].sqrt()) @ Vh[:r]


def _left_out(W, r):
    return W - my_low_rank(W, r)


def _one_more(W, r):
    return my_low_rank(W, r + 1)


def _only_the_last_of_them(W, r):
    U, S, Vh = _svd(W)
    return S[r - 1] * torch.outer(U[:, r - 1], Vh[r - 1])


def _the_factors(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r], S[:r], Vh[:r]


def _without_the_first(W, r):
    return my_low_rank(W, r) - my_low_rank(W, 1)


def _one_too_few(W, r):
    return my_low_rank(W, r - 1)


def _item_by_item(W, r):
    U, S, Vh = _svd(W)
    return sum(S[i] * U[:, i] * Vh[i] for i in range(r))


def _rows_of_both(W, r):
    U, S, Vh = _svd(W)
    return sum(S[i] * torch.outer(U[i], Vh[i]) for i in range(r))


def _sizes_as_a_vector(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ S[:r] @ Vh[:r]


def _everything(W, r):
    U, S, Vh = _svd(W)
    return U @ torch.diag(S) @ Vh


def _columns_of_Vh_turned(W, r):
    U, S, Vh = _svd(W)
    return U[:, :r] @ torch.diag(S[:r]) @ Vh[:, :r].T


exercise(
    id="01.2",
    title="The best matrix of rank r",
    prompt=(
        "Write my_low_rank(W, r): of all matrices of rank r, the one closest to W. For U, S and Vh call\n"
        "torch.linalg.svd(W, full_matrices=False)."
    ),
    minutes=8,
    difficulty=3,
    importance=5,
    solution=my_low_rank,
    explanation=(
        "Piece i is S[i] times column i of U times row i of Vh. The pieces come sorted, largest first, so the first r\n"
        "are kept: r columns of U, r numbers of S, r rows of Vh. Their sum is a product of three matrices."
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
        Mistake(
            _with_rows_of_U,
            "You took the first rows of U.",
            "The left directions are the columns of U; its rows belong to the rows of W, all of which are needed.",
            "U[:, :r] takes columns, U[:r] takes rows.",
        ),
        Mistake(
            _with_columns_of_Vh,
            "You took the first columns of Vh.",
            "The h says that V comes transposed: its directions lie in the rows.",
            "Vh[:r].",
        ),
        Mistake(
            _columns_of_Vh_turned,
            "You took columns of Vh for the right directions.",
            "The h says that V comes transposed already: its directions lie in the rows.",
            "Vh[:r], without turning anything.",
        ),
        Mistake(
            _corner_of_W,
            "You kept the upper left corner of W.",
            "Rank is not about places in the matrix. Each piece reaches all over it.",
            "U, S and Vh, which your answer does not need so far.",
        ),
        Mistake(
            _smallest,
            "You kept the r smallest pieces.",
            "torch.linalg.svd sorts from large to small.",
            "[:r] is the beginning, [-r:] the end.",
        ),
        Mistake(
            _without_sizes,
            "Your pieces all have the same size.",
            "Columns of U and rows of Vh have length 1: they are directions. How much of each is in S.",
            "S[:r], which your answer does not use.",
        ),
        Mistake(
            _square_roots_of_sizes,
            "You took square roots of the singular values.",
            "S holds the sizes of the pieces themselves. The eigenvalues of W.T @ W would be their squares.",
            "S[:r], as it is.",
        ),
        Mistake(
            _left_out,
            "That is what is left of W when the best matrix of rank r is taken away.",
            "Asked for is the approximation, not its error.",
            "drop the W -.",
        ),
        Mistake(
            _one_more,
            "You kept one piece too many.",
            "A slice leaves out its end: [:r] has r items, number 0 to r − 1.",
            "the + 1.",
        ),
        Mistake(
            _one_too_few,
            "You kept one piece too few.",
            "Rank r takes r pieces, number 0 to r − 1, and range(r) or [:r] has exactly those.",
            "the - 1.",
        ),
        Mistake(
            _without_the_first,
            "The largest piece is missing.",
            "Python counts from 0, so the first piece is number 0.",
            "where you start: range(r), in place of range(1, r).",
        ),
        Mistake(
            _the_factors,
            "You return the factors, and not the matrix they make.",
            "U, S and Vh, cut to r, hold all that is needed. Multiplied, they give a matrix of the shape of W.",
            "torch.diag(S[:r]) between the other two, with @.",
        ),
        Mistake(
            _item_by_item,
            "You multiplied columns and rows item by item.",
            "A column times a row is a whole matrix: every number of the one times every number of the other.",
            "torch.outer(column, row).",
        ),
        Mistake(
            _rows_of_both,
            "You took rows of U.",
            "The left directions are the columns of U. The right ones are rows, because Vh comes transposed.",
            "U[:, i], in place of U[i].",
        ),
        Mistake(
            _sizes_as_a_vector,
            "You multiplied with S as it comes, which is a list of numbers and no matrix.",
            "Each column of U is to be scaled by its own number. That is a product with a diagonal matrix.",
            "torch.diag(S[:r]), or U[:, :r] * S[:r].",
        ),
        Mistake(
            _only_the_last_of_them,
            "That is piece number r alone.",
            "The best matrix of rank r is the sum of the first r pieces.",
            "[:r], in place of [r - 1].",
        ),
        Mistake(
            _everything,
            "You put all the pieces together again, which gives W itself.",
            "Keeping only r pieces is what makes the rank r.",
            "where r comes in: it should cut U, S and Vh.",
        ),
    ],
    shows="Now you can give any matrix the rank you like. LoRA learns its update in that form from the start.",
)

# 01.3


def my_energy(S, r):
    """The squares of the first r singular values, over the squares of all."""
    return ((S[:r] ** 2).sum() / (S**2).sum()).item()


def _spectra():
    return [Case(torch.tensor([4.0, 2.0, 1.0, 0.5]), 2), Case(torch.rand(12).sort(descending=True).values, 5)]


exercise(
    id="01.3",
    title="The energy in r directions",
    prompt=(
        "Write my_energy(S, r): the share of a matrix's energy that its first r pieces hold, as a Python number.\n"
        "S holds its singular values, largest first."
    ),
    minutes=4,
    difficulty=2,
    importance=5,
    solution=my_energy,
    explanation=(
        "The squared numbers of a matrix add up to the sum of its squared singular values: its energy. Each piece has\n"
        "its own part of it. .item() makes a number of a tensor with one element."
    ),
    cases=_spectra,
    hints=[
        "Energy goes with the square of the size.",
        "The sum of the first r squares, over the sum of all squares.",
        "((S[:r] ** 2).sum() / (S ** 2).sum()).item()",
    ],
    mistakes=[
        Mistake(
            lambda S, r: (S[:r].sum() / S.sum()).item(),
            "You added the singular values without squaring them.",
            "Sizes at right angles add up like the sides of a triangle: it is the squares that add.",
            "square S, above the line and below.",
        ),
        Mistake(
            lambda S, r: (S[:r].sum() ** 2 / S.sum() ** 2).item(),
            "You squared the sums.",
            "The square of a sum is not the sum of the squares.",
            "first **, then .sum().",
        ),
        Mistake(
            lambda S, r: ((S[:r] ** 2).sum().sqrt() / (S**2).sum().sqrt()).item(),
            "You took the square root.",
            "That is the share of the size. Energy is the square of it.",
            "leave out the square roots.",
        ),
        Mistake(
            lambda S, r: ((S[r:] ** 2).sum() / (S**2).sum()).item(),
            "That is the energy left out.",
            "[r:] is everything after the first r.",
            "[:r].",
        ),
        Mistake(
            lambda S, r: (S[:r] ** 2).sum().item(),
            "That is not a share yet: it grows when the matrix does.",
            "A share is a part of the whole.",
            "divide by the energy of the whole matrix.",
        ),
        Mistake(
            lambda S, r: 100 * my_energy(S, r),
            "That is in per cent.",
            "A share lies between 0 and 1.",
            "leave out the 100.",
        ),
        Mistake(
            lambda S, r: (S[r - 1] ** 2 / (S**2).sum()).item(),
            "That is the energy of piece number r alone.",
            "The first r pieces are wanted, all together.",
            "[:r] and a sum, in place of [r - 1].",
        ),
        Mistake(
            lambda S, r: ((S[:r] ** 2).mean() / (S**2).mean()).item(),
            "You compared averages.",
            "The first r pieces are larger than the others on average, but a share is about sums.",
            ".sum(), in place of .mean().",
        ),
        Mistake(
            lambda S, r: my_energy(S, r + 1),
            "You took one piece too many.",
            "A slice leaves out its end: [:r] has r items, number 0 to r − 1.",
            "the + 1.",
        ),
        Mistake(
            lambda S, r: my_energy(S, r - 1),
            "You took one piece too few.",
            "A slice leaves out its end: [:r] has r items, number 0 to r − 1.",
            "the - 1.",
        ),
        Mistake(
            lambda S, r: r / len(S),
            "Your answer does not look at the singular values.",
            "r of the k pieces hold r / k of the energy only if all pieces are the same size.",
            "S.",
        ),
        Mistake(
            lambda S, r: (S[:r] ** 2).sum() / (S**2).sum(),
            "The value is right, but it is still a tensor.",
            "Asked for is a Python number.",
            "add .item() at the end.",
        ),
    ],
    shows="This is the number behind every energy in this notebook.",
)

# 01.4


def my_rank(S, share):
    """The smallest r whose first r squares reach the share."""
    kept = (S**2).cumsum(0) / (S**2).sum()
    return int((kept < share).sum()) + 1


def _index(S, share):
    return my_rank(S, share) - 1


def _without_squares(S, share):
    return int((S.cumsum(0) / S.sum() < share).sum()) + 1


def _one_below(S, share):
    return max(1, my_rank(S, share) - 1)


def _of_the_rest(S, share):
    return my_rank(S, 1 - share)


def _share_of_the_count(S, share):
    return int(-(-share * len(S) // 1))


def _large_ones(S, share):
    return int((S >= share * S[0]).sum())


def _one_too_many(S, share):
    return my_rank(S, share) + 1


def _those_that_are_enough(S, share):
    return int(((S**2).cumsum(0) / (S**2).sum() >= share).sum())


def _no_share(S, share):
    return int(((S**2).cumsum(0) < share).sum()) + 1


def _as_tensor(S, share):
    return torch.tensor(my_rank(S, share))


def _more_than(S, share):
    return int(((S**2).cumsum(0) / (S**2).sum() <= share).sum()) + 1


def _more_than_in_a_loop(S, share):
    return next((r for r in range(1, len(S) + 1) if my_energy(S, r) > share), None)


def _never_all(S, share):
    return next((r for r in range(1, len(S)) if my_energy(S, r) >= share), None)


def _spectra_and_shares():
    falling = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.1])
    even = torch.ones(4)  # shares of it are exact: r = 2 holds a half to the last bit, and all of it takes all pieces
    random = torch.rand(40).sort(descending=True).values
    return [Case(falling, 0.9), Case(falling, 0.4), Case(random, 0.7), Case(even, 0.5), Case(even, 1.0)]


exercise(
    id="01.4",
    title="The rank that is needed",
    prompt=(
        "Write my_rank(S, share): the smallest r whose first r pieces hold at least that share of the energy.\n"
        "S holds the singular values, largest first; the answer is a whole number."
    ),
    minutes=7,
    difficulty=3,
    importance=3,
    solution=my_rank,
    explanation=(
        "cumsum adds up as it goes along, so kept[i] is the energy in the first i + 1 pieces. The ranks that are too\n"
        "small are counted, and the next one is the answer. A loop that stops at the first hit does just as well."
    ),
    cases=_spectra_and_shares,
    hints=[
        "Try r = 1, 2, 3 … with the energy of exercise 01.3, and stop at the first that is enough.",
        "(S ** 2).cumsum(0) / (S ** 2).sum() holds the energies of r = 1, 2, 3 … How many of them are too small?",
        "int((kept < share).sum()) + 1, with kept from the hint before.",
    ],
    mistakes=[
        Mistake(
            _index,
            "You are one too low: that is the place in the list, not the rank.",
            "Python counts places from 0, and place 0 belongs to rank 1.",
            "add 1 at the end.",
        ),
        Mistake(
            _without_squares,
            "You added up the singular values without squaring them.",
            "Energy goes with the square of the size.",
            "S ** 2, before you add.",
        ),
        Mistake(
            _one_below,
            "Your rank is the last that does not reach the share.",
            "At least that share is asked for, so the first that reaches it is the answer.",
            "one step further.",
        ),
        Mistake(
            _of_the_rest,
            "You looked for the rank that holds 1 − share.",
            "share is what is to be kept, not what may be lost.",
            "the share you compare with.",
        ),
        Mistake(
            _share_of_the_count,
            "Your answer does not look at the singular values.",
            "That many pieces are needed only if all pieces are the same size.",
            "S.",
        ),
        Mistake(
            _large_ones,
            "You counted the singular values that are large beside the first.",
            "A threshold on single values says nothing about what they add up to.",
            "cumsum, which adds up as it goes along.",
        ),
        Mistake(
            _one_too_many,
            "You are one too high.",
            "The rank you give is enough, but the one before it was enough already.",
            "where you add 1: once is right, twice is too much.",
        ),
        Mistake(
            _those_that_are_enough,
            "You counted the ranks that are enough.",
            "The smallest of them is wanted. There is one more than there are ranks that are not enough.",
            "the direction of your comparison.",
        ),
        Mistake(
            _no_share,
            "You compared the energy itself with the share.",
            "The squares add up to the energy of the whole matrix, which need not be 1.",
            "divide by (S ** 2).sum() first.",
        ),
        Mistake(
            _more_than,
            "You ask for more than the share.",
            "At least that share is asked for: a rank that holds exactly the share is enough.",
            "< where you have <=.",
        ),
        Mistake(
            _more_than_in_a_loop,
            "You ask for more than the share.",
            "At least that share is asked for. More than all of the energy no rank has, and so None comes back.",
            ">= where you have >.",
        ),
        Mistake(
            _never_all,
            "You never try the full rank, and return None where every piece is needed.",
            "range leaves out its end: range(1, len(S)) stops one rank too early.",
            "range(1, len(S) + 1).",
        ),
        Mistake(
            _as_tensor,
            "The value is right, but it is still a tensor.",
            "Asked for is a whole number.",
            "put int(…) around it.",
        ),
    ],
    shows="labkit.rank_for_energy does the same. Try it on the weight and on its update.",
)

# 01.5


def my_missing(S, r):
    """The length of what is left out, over the length of the whole."""
    return ((S[r:] ** 2).sum().sqrt() / (S**2).sum().sqrt()).item()


exercise(
    id="01.5",
    title="How wrong is rank r",
    prompt=(
        "Write my_missing(S, r): the norm of what rank r leaves out, as a share of the matrix's own norm. All that is\n"
        "given are the singular values S, largest first; the answer is a Python number."
    ),
    minutes=5,
    difficulty=3,
    importance=4,
    solution=my_missing,
    explanation=(
        "What is left out is a matrix too, and its singular values are those left out. Its norm is the square root of\n"
        "the sum of their squares. So it is √(1 − energy): with 91 % of the energy, 30 % of the size is missing."
    ),
    cases=_spectra,
    hints=[
        "Which singular values does W − Wᵣ have?",
        "Those from number r on: S[r:]. The norm of a matrix is the square root of the sum of their squares.",
        "((S[r:] ** 2).sum().sqrt() / (S ** 2).sum().sqrt()).item()",
    ],
    mistakes=[
        Mistake(
            lambda S, r: ((S[r:] ** 2).sum() / (S**2).sum()).item(),
            "That is the energy missing, not the size.",
            "Energy is the square of size, so a small energy can be a sizeable error.",
            "take the square root.",
        ),
        Mistake(
            lambda S, r: (S[r:].sum() / S.sum()).item(),
            "You added the singular values as they are.",
            "The pieces stand at right angles to each other, so it is the squares that add up.",
            "square, add, then take the square root.",
        ),
        Mistake(
            lambda S, r: ((S[:r] ** 2).sum().sqrt() / (S**2).sum().sqrt()).item(),
            "That is the size that is kept.",
            "The error is made of what was left out.",
            "S[r:], in place of S[:r].",
        ),
        Mistake(
            lambda S, r: (1 - (S[:r] ** 2).sum().sqrt() / (S**2).sum().sqrt()).item(),
            "You subtracted the size that is kept from 1.",
            "Sizes of pieces at right angles do not add up to 1; their squares do.",
            "subtract the energies, then take the square root. Or start from S[r:].",
        ),
        Mistake(
            lambda S, r: ((S[r + 1 :] ** 2).sum().sqrt() / (S**2).sum().sqrt()).item(),
            "You left out one singular value too many.",
            "Rank r keeps numbers 0 to r − 1, so number r is the first that is missing.",
            "the + 1.",
        ),
        Mistake(
            lambda S, r: ((S[r - 1 :] ** 2).sum().sqrt() / (S**2).sum().sqrt()).item(),
            "You left out one piece that rank r keeps.",
            "Rank r keeps numbers 0 to r − 1, so what is missing begins at number r.",
            "the - 1.",
        ),
        Mistake(
            lambda S, r: ((S[r:] ** 2).sum().sqrt() / (S[:r] ** 2).sum().sqrt()).item(),
            "You compared what is missing with what is kept.",
            "Asked for is its share of the whole matrix.",
            "below the line: all of S.",
        ),
        Mistake(
            lambda S, r: (S[r:] ** 2).sum().sqrt().item(),
            "That is the error itself, not its share.",
            "It grows with the matrix. Asked for is a share of the matrix's own norm.",
            "divide by the norm of W.",
        ),
        Mistake(
            lambda S, r: (S[r] / S[0]).item(),
            "That is the error in the spectral norm.",
            "There, only the largest direction left out counts. Here all of them do.",
            "the sum of the squares of S[r:].",
        ),
        Mistake(
            lambda S, r: (S[r:] ** 2).sum().sqrt() / (S**2).sum().sqrt(),
            "The value is right, but it is still a tensor.",
            "Asked for is a Python number.",
            "add .item() at the end.",
        ),
    ],
    shows="Much of the energy can be there while much of the size is missing: ask which of the two is quoted.",
)
