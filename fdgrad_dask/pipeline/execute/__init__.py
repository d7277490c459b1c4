"""How regions are computed, recorded, resumed and verified."""
