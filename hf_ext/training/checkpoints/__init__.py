"""Checkpoints that count only when they are whole, and the way back to the newest of them."""
