"""The course as a learner meets it: real JupyterLab, real kernels, the real base model, in a real browser.

A package, so that its conftest stands beside the one that all tests share and does not hide it.
"""
