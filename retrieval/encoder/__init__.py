"""Text to unit vectors: self-attention encoders and the ways to run them."""
