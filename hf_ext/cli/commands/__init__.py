"""The steps of the commands, a file each, from its flags to what it leaves; they import torch."""
