"""Finite-difference gradients of labelled arrays of any size."""
