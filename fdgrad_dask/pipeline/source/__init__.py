"""What is read: where it lies, how it opens, how many files become one, which part is taken."""
