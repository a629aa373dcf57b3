"""What a training step costs, simulated and measured: memory by kind and phase, FLOPs, cards, time and money."""

from labkit.simulation.cards import CARDS, Card
from labkit.simulation.ledger import StepCost
from labkit.simulation.measuring import measure
from labkit.simulation.shapes import PRESETS
from labkit.simulation.simulating import simulate

__all__ = ["CARDS", "PRESETS", "Card", "StepCost", "measure", "simulate"]
