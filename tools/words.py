"""Refuse, in the texts that users read, the words that the glossary of CONTRIBUTING.md replaces.

    python tools/words.py

Texts are the Markdown pages, the docstrings and sentences of the package, and the comments of its
public header.  Code in them (examples, `quoted` names, identifiers) is not checked.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "funkc"
GUIDE = ROOT / "CONTRIBUTING.md"
HEADING = "## Glossary"
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "changelog.d/*.md")
EXAMPLE = r"(?m)^[ ]*(>>>|\.\.\.)( .*)?$"
PARAMETER = r"(?m)^[ ]*\*{0,2}\w+(, \*{0,2}\w+)*( : |$)"  # a line of a numpydoc section
CODE = (
    r"(`+)[^`]+\1|\]\([^)]*\)|[\w.*]*(->|\w\.\w|_)[\w.*]*|\w+\[[^\]]*\]"
    r'|\{"[^}]*\}|default "\w+"'  # the choices of a parameter
)
FENCED = r"(?ms)^```.*?^```$"


def glossary() -> tuple[re.Pattern[str], dict[str, str], re.Pattern[str]]:
    """What matches a refused word, the term for each, and what matches the terms."""
    rows = re.findall(r"(?m)^\|([^|]*)\|[^|]*\|([^|]*)\|$", section(GUIDE.read_text()))[2:]
    terms: dict[str, str] = {}
    for term, instead in rows:
        terms |= {word.strip(" `"): term.strip() for word in instead.split(",") if word.strip()}
    refused = "|".join(f"(?P<w{n}>{pattern(word)})" for n, word in enumerate(terms))
    kept = "|".join(
        pattern(term) for row in rows for term in row[0].split(",") if " " in term.strip()
    )
    return re.compile(refused, re.I), terms, re.compile(kept, re.I)


def section(guide: str) -> str:
    """The glossary among the sections of a page."""
    return guide.split(HEADING)[1].split("\n## ")[0]


def pattern(word: str) -> str:
    """The word and its plural; digits stand for any number."""
    escaped = re.sub(r"\d+", r"\\d+", re.escape(word.strip())).replace(r"\ ", r"\s+")
    return rf"(?<![\w.]){escaped}(?:e?s)?(?!\w)"


def blanked(text: str, *patterns: str | re.Pattern[str]) -> str:
    """The text with spaces for what matches, so that lines stay where they are."""
    for found in patterns:
        text = re.sub(found, lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return text


def texts() -> Iterator[tuple[Path, int, str]]:
    """Each text, with its file and first line."""
    for page in (path for name in PAGES for path in sorted(ROOT.glob(name))):
        text = page.read_text()
        if page == GUIDE:
            text = text.replace(section(text), blanked(section(text), ".*"))
        yield page, 1, blanked(text, FENCED)
    for path in sorted(PACKAGE.rglob("*.py")):
        yield from ((path, line, text) for line, text in strings(ast.parse(path.read_text())))
    for suffix, quoted in (
        ("*.pyx", r'(?s)"""(.*?)"""|"([^"\n]* [^"\n]*)"'),
        ("*.pxd", r'(?s)"""(.*?)"""|#[^\n]*'),
        ("*.h", r"(?s)/\*(.*?)\*/"),
    ):
        for path in sorted(PACKAGE.rglob(suffix)):
            if suffix == "*.pyx" or path.name == "capi.pxd" or path.parent.name == "include":
                text = path.read_text()
                for found in re.finditer(quoted, text):
                    yield path, text.count("\n", 0, found.start()) + 1, found[0]


def strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The docstrings and sentences of a module; a string without a space is an identifier."""
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        text = "".join(
            part.value if isinstance(part.value, str) else "{}"
            for part in parts
            if isinstance(part, (ast.Constant, ast.FormattedValue))
        )
        if " " in text and isinstance(node, (ast.JoinedStr, ast.Constant)):
            yield node.lineno, blanked(text, EXAMPLE, PARAMETER)


def main() -> None:
    """Print every fault with its file and line, and what to write instead."""
    if len(sys.argv) > 1:
        sys.exit("words.py takes no arguments: it checks all texts")
    refused, terms, kept = glossary()
    words = list(terms)
    faults = {
        f"{path.relative_to(ROOT)}:{line + text.count(chr(10), 0, found.start())}: "
        f"{' '.join(found[0].split())!r}: write {terms[words[int((found.lastgroup or '')[1:])]]!r}"
        for path, line, text in texts()
        for found in refused.finditer(blanked(text, CODE, kept))
    }
    if faults:
        sys.exit("\n".join([*sorted(faults), f"(see {HEADING[3:]} in {GUIDE.name})"]))


if __name__ == "__main__":
    main()
