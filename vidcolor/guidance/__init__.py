"""Everything that a user gives: settings by shot, references, hints, masks."""
