"""What the site adds to the pages: the generated parts of the reference, and each diagram drawn when it is built."""

import html
import re
from typing import Any

import mermaidx
from reference import filled

DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the theme's plugin `offline` would load from elsewhere."""


def on_page_markdown(markdown: str, **page: Any) -> str:
    """The page with its generated parts."""
    del page
    return DIAGRAM.sub(lambda match: drawn(match[1]), filled(markdown))


def on_page_content(content: str, **page: Any) -> str:
    """The page's HTML, in which a keyboard reaches each block of code, as one that is too wide scrolls."""
    del page
    return content.replace("<pre>", '<pre tabindex="0">')


def on_post_page(output: str, page: Any, **site: Any) -> str:
    """The whole page, which loads nothing from another host, and whose search has a name."""
    del site
    return _of_this_host(output, "../" * page.url.count("/"))


def on_post_template(output: str, **site: Any) -> str:
    """The same for what is no page, such as the one for an address that does not exist."""
    del site
    return _of_this_host(output, "/")


def _of_this_host(output: str, top: str) -> str:
    named = output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
    return named.replace(SHIM, f"{top}theme/frame_worker.js")


def drawn(diagram: str) -> str:
    """A diagram as SVG within the page, with its arrows in words for those who do not see it."""
    svg = mermaidx.render(diagram).svg()
    words = html.escape("; ".join(line.strip() for line in diagram.splitlines()[1:] if "--" in line), quote=True)
    return f'<figure class="diagram" role="img" aria-label="{words}">{"".join(svg.splitlines())}</figure>'
