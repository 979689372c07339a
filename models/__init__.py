"""One folder a model: card.toml, weights.safetensors and a page. Data only, no code."""
