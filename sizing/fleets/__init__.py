"""More than one machine: which of them hold a model, how it is cut, what starts it there.

Engines are those that exist: vLLM over nodes, llama.cpp with RPC servers, exo on Macs, and copies
of the model behind a router. Memory is the same bill that one machine gets, a rank at a time.
"""
