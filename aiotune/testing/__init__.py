"""For tests of aiotune and of what plugs into it: contract suites, fakes, virtual time."""
