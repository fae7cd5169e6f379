"""hf_ext: fine-tune encoders with Hugging Face, right, fast and kind."""
