"""An archive in the making."""
