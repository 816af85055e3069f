"""The gallery: scenarios that come with tqsim, and the small shop that they are about.

A scenario is a pair of files: ``retry_storm.toml`` is the story, ``retry_storm.out`` what
``tqsim run retry_storm`` prints of it.
"""
