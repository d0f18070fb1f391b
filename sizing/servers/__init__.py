"""A running server: its settings, figures and timings, beside what is predicted for it."""
