"""The model of memory, speed and cost; pure."""
