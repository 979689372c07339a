"""Output for people to look at: previews, shot lists, pages that compare films."""
