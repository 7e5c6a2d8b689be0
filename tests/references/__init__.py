"""NumPy-only re-implementations that the library is compared with. Nothing here imports torch or unibio."""
