"""The entry script: loaded, called, and told from the host's own faults.

``entry`` loads and calls it, ``arguments`` finds out how it wants its input, ``worker`` has the
threads that it runs in, ``golden`` the inputs whose results are known.
"""
