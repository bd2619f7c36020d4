"""How the documentation is built: `make docs`, or python scripts/build_docs.py."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import api_pages  # noqa: E402

from gpo_vae_jax import __version__  # noqa: E402

api_pages.write(HERE / "api")

project = "gpo-vae-jax"
author = copyright = "the gpo_vae_jax authors"
release = version = __version__

extensions = [
    "docstrings",
    "mathml",
    "myst_nb",
    "outside_links",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "_ext", "conf.py"]
suppress_warnings = ["mystnb.unknown_mime_type"]

# Markdown: $ formulas, and links to headings as GitHub has them
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# Notebooks are Python files in percent format; each is run once for every change of its text
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "executed")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

# The reference
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
add_module_names = False

html_theme = "furo"
html_title = "gpo-vae-jax"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
