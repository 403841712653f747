"""Training: the encoder's own stack with gradients, objectives, and the loop."""
