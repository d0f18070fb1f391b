"""Storage types of tensors, file types (quantisations), and the rules that mix the former."""
