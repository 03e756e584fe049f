"""How fast the kernels are: the cases with the reason for each size, and how they are timed fairly."""
