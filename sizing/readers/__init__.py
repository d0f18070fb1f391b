"""Bytes → model facts; pure."""
