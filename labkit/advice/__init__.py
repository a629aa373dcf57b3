"""Which method and which settings to begin with, each with the study, simulation or citation that it comes from."""

from labkit.advice.advising import Advice, Line, advise

__all__ = ["Advice", "Line", "advise"]
