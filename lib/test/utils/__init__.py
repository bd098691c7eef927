"""Text files, and archives for the evaluation servers."""
