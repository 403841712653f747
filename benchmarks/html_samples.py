"""Write pages as generators of documentation, wikis, blogs and forums make them.

The chapters have headings whose ids and classes look like those of menus, prompts and advertisements. Real menus,
prompts and advertisements stand around them.
"""

from __future__ import annotations

from pathlib import Path

CHAPTERS = {
    "Comments": "Write a comment beside each valve that you open.",
    "Share": "Each keeper has a share of the eel catch.",
    "Related": "The older pump is related to the one at the mill.",
    "Navigation": "Barges have the right of way under the bridge.",
    "Sidebar": "The margin of the log holds the height of the water.",
    "Advertising": "A board at the gate names the price of the passage.",
    "Cookies": "The inn bakes oat cookies for the night watch.",
    "Login": "Sign the book at the lodge before you enter the tunnel.",
}
LINKS = "".join(f'<li><a href="/{word}">Go to {word}</a></li>' for word in ("weirs", "locks", "mills", "fords", "inns"))
PROMPT = """<div class="cookie-consent"><p>We bake cookies into your browser to measure visits.</p>
<button>Accept</button></div>"""
LETTER = """<div class="newsletter"><h3>Newsletter</h3><p>Our letter every week.</p><form>
<input type="email"></form></div>"""
SOCIAL = '<div class="social-share">Tell others: <a href="/t">Chirp</a> <a href="/f">Facepage</a></div>'
ANSWER = (
    '<h3><button aria-expanded="false">When does the lock close?</button></h3><div hidden><p>At nine, in winter at six.'
    "</p></div>"
)

# For each program: a chapter with its heading and text, and the page around the chapters.
PROGRAMS = {
    "sphinx": (
        """<section id="{slug}"><h2>{name}<a class="headerlink" href="#{slug}">¶</a></h2><p>{text} See <a
        class="reference internal" href="x.html"><span class="doc">the manual of {slug}</span></a>.</p>
        </section>""",
        """<div class="related" role="navigation"><ul>{links}</ul></div><div class="document"><div class="body"
        role="main"><h1>{title}</h1>{chapters}</div></div><div class="sphinxsidebar" role="navigation">
        <ul>{links}</ul></div><div class="footer" role="contentinfo">Created with a pen.</div>""",
    ),
    "docutils": (
        """<div class="section" id="{slug}"><h2>{name}</h2><p>{text}</p></div>""",
        """<div class="document" id="top"><h1 class="title">{title}</h1><div class="contents topic">
        <ul>{links}</ul></div>{chapters}</div><div class="footer"><hr>Created with a pen. <a href="/s">View
        source</a> <a href="/a">About</a></div>""",
    ),
    "docusaurus": (
        """<h2 class="anchor anchorWithStickyNavbar_y" id="{slug}">{name}<a href="#{slug}" class="hash-link">#</a>
        </h2><p>{text}</p>""",
        """<div id="__docusaurus"><div role="region" aria-label="Skip"><a class="skipToContent_x"
        href="#main">Skip to main text</a></div><nav class="navbar">{links}</nav><aside
        class="theme-doc-sidebar-container"><ul class="menu__list">{links}</ul></aside><main><article><div
        class="theme-doc-markdown markdown"><header><h1>{title}</h1></header>{chapters}</div></article><nav
        class="pagination-nav">{links}</nav></main><footer class="footer">Created with a pen.</footer></div>""",
    ),
    "mkdocs": (
        """<h2 id="{slug}">{name}<a class="headerlink" href="#{slug}">¶</a></h2><p>{text}</p>""",
        """<header class="md-header"><ul>{links}</ul></header><div class="md-container"><main class="md-main"><div
        class="md-sidebar"><nav class="md-nav"><ul>{links}</ul></nav></div><div class="md-content"><article
        class="md-content__inner"><h1>{title}</h1>{chapters}</article></div></main>
        </div>{prompt}<footer>Created with a pen.</footer>""",
    ),
    "hugo": (
        """<section class="{slug}" id="{slug}"><h2>{name}</h2><p>{text}</p></section>""",
        """<div class="topbar menu"><ul>{links}</ul></div><div class="content">
        <h1>{title}</h1>{social}{chapters}</div>{letter}{prompt}<div id="footer-links"><ul>{links}</ul></div>""",
    ),
    "pandoc": (
        """<section id="{slug}" class="level2"><h2>{name}</h2><p>{text}</p></section>""",
        """<nav id="TOC"><ul>{links}</ul></nav><header id="title-block-header"><h1 class="title">{title}</h1>
        </header>{chapters}""",
    ),
    "wordpress": (
        """<h2 class="wp-block-heading" id="h-{slug}">{name}</h2><p>{text}</p>""",
        """<header class="site-header"><ul class="menu">{links}</ul></header><div id="page"><article class="post
        category-sponsor tag-newsletter tag-social"><h1>{title}</h1>{chapters}</article>{social}<div
        id="comments" class="comments-area"><ol class="comment-list"><li class="comment"><div
        class="comment-content"><p>The eels were smaller in my youth.</p></div></li></ol></div></div><div
        class="widget sidebar"><ul>{links}</ul></div>{letter}""",
    ),
    "discourse": (
        """<div class="topic-body crawler-post"><div class="post" itemprop="text"><h2>{name}</h2><p>{text}</p>
        </div></div>""",
        """<header><a href="/">Home of the forum</a></header><div id="main-outlet" class="wrap"><div
        id="topic-title"><h1>{title}</h1></div>{chapters}<div id="related-topics" class="more-topics">
        <ul>{links}</ul></div></div>""",
    ),
    "mediawiki": (
        """<h2><span class="mw-headline" id="{name}">{name}</span><span class="mw-editsection">[<a
        href="/e">alter</a>]</span></h2><p>{text}<sup class="reference"><a href="#cite_note-1">[1]</a></sup></p>""",
        """<div id="mw-page-base"></div><div id="content" class="mw-body" role="main"><h1>{title}</h1><div
        id="toc" class="toc"><ul>{links}</ul></div>{chapters}<div id="catlinks" class="catlinks">
        <ul>{links}</ul></div></div><div id="mw-navigation"><ul>{links}</ul></div>""",
    ),
    "confluence": (
        """<h2 id="Weirs-{name}">{name}</h2><p>{text}</p>""",
        """<div id="header-precursor"><ul>{links}</ul></div><div id="main"><div id="breadcrumb-section"><ol
        id="breadcrumbs">{links}</ol></div><h1 id="title-text">{title}</h1><div id="main-content"
        class="wiki-content">{chapters}</div><div id="comments-section"><div class="comment"><p>The eels were
        smaller in my youth.</p></div></div></div>""",
    ),
    "help": (
        """<div class="faq-item"><h2>{name}</h2><p>{text}</p></div>""",
        """<div class="popup modal" hidden><p>Please subscribe to read the rest of this page, dear reader of
        ours.</p></div><nav>{links}</nav><main><h1>{title}</h1>{chapters}{answer}</main>{prompt}""",
    ),
}


def write_pages(folder: Path) -> None:
    """Write `page-NAME.html` for each program."""
    for program, (chapter, page) in PROGRAMS.items():
        chapters = "".join(chapter.format(name=name, slug=name.lower(), text=text) for name, text in CHAPTERS.items())
        parts = {"links": LINKS, "prompt": PROMPT, "letter": LETTER, "social": SOCIAL, "answer": ANSWER}
        body = page.format(title="Keeping the weir", chapters=chapters, **parts)
        head = "<head><meta charset='utf-8'><title>Keeping the weir - Tarn</title></head>"
        (folder / f"page-{program}.html").write_text(
            f"<!doctype html><html lang='en'>{head}<body class='page-menu'>{body}</body></html>", "utf-8"
        )


def phrases() -> dict[str, list[str]]:
    """Return the phrases of each page; "!" marks one that must not occur."""
    found: dict[str, list[str]] = {}
    for program, (_, page) in PROGRAMS.items():
        wanted = [*CHAPTERS.values()]
        wanted += ["The eels were smaller in my youth."] if "youth" in page else []
        wanted += ["When does the lock close?", "At nine, in winter at six."] if "{answer}" in page else []
        wanted += ["!Go to weirs", "!measure visits", "!Our letter every week", "!Tell others", "!Created with a pen"]
        found[f"made/page-{program}.html"] = wanted
    return found
