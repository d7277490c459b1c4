"""Labels: coordinates, units and grids as numbers and metric terms. xarray, no dask."""
