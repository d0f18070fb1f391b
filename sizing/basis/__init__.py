"""Why each number of an answer is what it is: formula, inputs, source, error, and in words."""
