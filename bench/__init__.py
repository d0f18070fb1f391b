"""Proof on the user's own machine: synthetic models, dry runs, real loads, micro-benchmarks.

llama.cpp itself is the reference; it comes with the extra `whatfits[bench]`.
"""
