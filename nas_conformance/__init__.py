"""The conformance kit: holds any NAS against the contract. Needs the extra ``conformance``.

The command is ``nas-conformance``; `suite.run` is the same from Python.
"""
