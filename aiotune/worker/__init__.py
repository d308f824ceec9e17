"""The child process: runs one order and exits. The only importer of keras."""
