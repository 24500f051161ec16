from .geometry import area
