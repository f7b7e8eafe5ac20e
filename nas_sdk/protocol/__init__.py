"""The contract's rules of one-shots, pure: the test double and the server share them."""
