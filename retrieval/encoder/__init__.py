"""Self-attention sentence encoders: text to vectors of length one."""
