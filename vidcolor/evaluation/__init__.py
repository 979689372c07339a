"""How good is a model: ground truth, metrics, reports."""
