"""Speed as a ratio: ours and a bare floor side by side in one run."""
