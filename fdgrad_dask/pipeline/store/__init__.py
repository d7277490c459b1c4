"""Where results are written: one class per format, all behind `base.Store`."""
