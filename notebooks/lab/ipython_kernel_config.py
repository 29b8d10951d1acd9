"""How a kernel of JupyterLab starts; `make lab` copies it into .venv."""

# JupyterLab writes into a notebook that it opens what the kernel says of its
# language.  Without Python's version the notebooks have that already, so that
# one which was only opened is not marked as unsaved.
c.InteractiveShellApp.exec_lines = [  # noqa: F821
    "get_ipython().kernel.language_info.pop('version', None)"
]
