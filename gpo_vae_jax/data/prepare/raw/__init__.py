"""The raw input as it is read: checks, labels, naming conventions, columns computed upstream."""
