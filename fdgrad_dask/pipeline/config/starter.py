"""The config that ``fdgrad init`` prints: small, whole, and ready to be changed."""

STARTER = """\
# fdgrad check FILE      what would be read and written; computes nothing
# fdgrad plan FILE       regions, bytes, memory
# fdgrad run FILE        runs the workflow, or resumes it
# fdgrad verify FILE     proves the target whole
#
# Paths are relative to the folder in which fdgrad is called. ${NAME} is an environment variable.

source: # a Zarr folder, netCDF files (2020-*.nc), or a sample from iris-sample-data
  path: sample:ostia_monthly.nc

steps: # in order; `fdgrad operators` lists them with their options
  - operator: gradient_magnitude
    inputs: [surface_temperature]
    output: sst_gradient

target: # a Zarr folder, which appears when it is complete
  path: out/sst_gradient.zarr
  # chunks: {time: 18}        points per chunk; without it those of the source
  # shards: {time: 54}        points per file, a whole number of chunks
  # compression: archive      smaller and slower; without it fast

cluster: # who computes: processes on this machine
  kind: local
  workers: 2
"""
