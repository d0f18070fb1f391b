"""llama.cpp's computation graph in outline, and a replay of how its memory is given out.

Only what decides memory is kept of a tensor: operation, type, shape, strides, sources, views. A
model's graph is built from its tensor table the way llama.cpp builds it, split over devices the way
its scheduler does, and laid out the way its allocator does, so that the compute buffers come out
to the byte. Source: llama.cpp (0c1e57098) src/llama-graph.cpp, src/models/, ggml/src/ggml.c,
ggml/src/ggml-alloc.c, ggml/src/ggml-backend.cpp.
"""
