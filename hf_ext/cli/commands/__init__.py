"""The stories: one file for each command, from its flags to what it leaves; they import torch."""
