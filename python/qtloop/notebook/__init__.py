"""qtloop in IPython and Jupyter: `%load_ext qtloop`, and a kernel whose loop is qtloop's.

`python -m qtloop.notebook install` makes the kernel known to Jupyter. This package imports IPython
and ipykernel when they are needed, and `import qtloop` does not import it.
"""
