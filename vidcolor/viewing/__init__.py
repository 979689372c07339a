"""What a person looks at: previews, shot lists, pages."""
