"""The repository's own: its documents, examples and tools."""
