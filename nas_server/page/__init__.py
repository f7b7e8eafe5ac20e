"""The admin web page of `nas-server`. No part of the contract."""
