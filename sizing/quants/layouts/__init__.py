"""How checkpoints outside GGUF store a quantised matrix: one file a layout, exact bytes per part.

Every layout has a function from a matrix (`rows` outputs, `columns` inputs) and the parameters of
its `quantization_config` to `Parts`: the name of each stored tensor with its bytes. `checkpoint`
applies one to a whole model.
"""
