"""What would make a model fit, or faster: one change at a time, tried by the same engine."""
