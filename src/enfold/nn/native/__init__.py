"""Our own C++ kernels, where torch has none at the machine's limit; everything works without.

The sources are in native/ at the top of the repository, native/README.md says how to add one.
"""
