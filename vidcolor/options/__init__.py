"""The options of each command: one frozen dataclass per verb."""
