"""What a run will do, from metadata alone: steps, halos, layout, regions."""
