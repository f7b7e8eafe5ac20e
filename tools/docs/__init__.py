"""Parts of the documentation site that are made from the contract and the docstrings."""
