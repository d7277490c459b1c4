"""Constants of the Earth and of its air."""

EARTH_RADIUS = 6371229.0  # m; GRIB2 code table 3.2, shape of the Earth 6
EARTH_ROTATION = 7.292115e-5  # s-1; IERS Conventions 2010, table 1.2
GRAVITY = 9.80665  # m s-2; standard gravity, CGPM 1901
DRY_AIR = 287.05287  # J kg-1 K-1, gas constant; ISO 2533
KAPPA = 2 / 7  # R / c_p of dry air, as of an ideal gas of two atoms
