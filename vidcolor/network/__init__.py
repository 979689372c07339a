"""Pure networks: tensors in, tensors out; cards and weights."""
