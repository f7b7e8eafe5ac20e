"""The page of `nas-server`, for whoever would rather look. No part of the contract."""
