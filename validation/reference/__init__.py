"""The reference model, its masks and its training protocol in numpy and PyTorch: the oracle that
czhpc is compared with, and the peer that it is timed beside."""
