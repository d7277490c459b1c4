"""One axis: weights, boundary conditions and tables of stencils. NumPy only."""
