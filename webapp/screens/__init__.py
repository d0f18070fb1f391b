"""The pages; Streamlit runs each file as a script.

Not in a folder `pages`: its files would answer to their addresses without the router.
"""
