"""What starts a plan on its nodes: commands, manifests and configurations, one file a program.

Every flag and field is one that the program's own documentation names.
"""
