"""LoRA: small matrices beside the frozen ones of an encoder while it is trained, merged into them at the end."""
