"""What a device gets: a folder with its identity and the agent, or an installer made from it.

``parts`` finds the code, ``folder`` puts it together with an identity, ``installer`` packs the
result into one file. The layout is ``docs/device-folder.md``.
"""
