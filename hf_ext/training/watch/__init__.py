"""What is seen of a run: its losses, exact and watched, the rows behind them, progress, and the log file."""
