"""The inverse question: which machines run a model, to buy, to add to or to rent."""
