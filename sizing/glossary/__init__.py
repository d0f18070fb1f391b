"""The terms people meet, in plain words, with figures for the reader's own machine."""
