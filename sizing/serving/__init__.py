"""Many users at once: what a server gives each of them, by simulating its queue and its batches.

profile and draws say what is asked of it, batching what a step costs, simulation plays it through;
curve and answer say how many users that carries.
"""
