"""How ``vit_t`` was made: scenes of leaves, simulated prompts, losses and the training loop."""
