"""Averages of weights: along the training (``ema``), and over its checkpoints (``averaging``)."""
