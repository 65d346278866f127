"""Bad input at scale: files of a corpus, mutated, through the plugin's own entry points.

Whatever stands in a file: never a traceback, always a message that names the place, and nothing
on disk is changed but the cache's own notes.
"""
