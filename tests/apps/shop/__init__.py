"""A shop, as a team would write it: the application of the public API's example."""
