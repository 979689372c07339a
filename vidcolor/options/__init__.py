"""What a user can choose: one frozen dataclass a verb."""
