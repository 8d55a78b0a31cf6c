"""Writes the pages and tables that are made from the code: environments, leaderboard, agents, columns of a manifest.

A hook of MkDocs, so that no build shows stale pages. `python docs/generate.py` writes them without building the site,
and puts the same tables into README.md.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from regenv.catalogue import TASKS
from regenv.data.manifest import COLUMNS
from regenv.pages import environment_page, environment_table, rewards_table

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
README = ROOT / "README.md"
LEADERBOARD = ROOT / "benchmarks" / "LEADERBOARD.md"
SPEED = ROOT / "benchmarks" / "speed" / "RESULTS.md"


def write_pages() -> list[str]:
    """Writes all generated pages; returns those of the environments, relative to `docs/`."""
    pages = {f"environments/{env_id}.md": _page(env_id) for env_id in TASKS}
    generated = {"environments/index.md": _index(), "leaderboard.md": _leaderboard(), **pages}
    (DOCS / "environments").mkdir(exist_ok=True)
    for stale in set((DOCS / "environments").glob("*.md")) - {DOCS / name for name in generated}:
        stale.unlink()
    for name, text in generated.items():
        path = DOCS / name
        if (
            not path.exists() or path.read_text(encoding="utf-8") != text
        ):  # untouched files keep `mkdocs serve` from rebuilding forever
            path.write_text(text, encoding="utf-8")
    return sorted(pages)


def on_config(config: Any) -> Any:
    """MkDocs calls this before it reads the pages."""
    pages = write_pages()
    sections = {name: entry for entry in config.nav for name in entry}
    sections["Environments"]["Environments"] = ["environments/index.md", *({Path(page).stem: page} for page in pages)]
    data = sorted(f"data/{path.name}" for path in (DOCS / "data").glob("*.md") if path.stem != "index")
    sections["Public data"]["Public data"] = [{"Overview": "data/index.md"}, *data]  # called by their headings
    return config


def on_page_markdown(markdown: str, **_: Any) -> str:
    """MkDocs calls this for each page: tables take the place of their markers."""
    tables = {"columns": _columns, "agents": _agents, "rewards": rewards_table}
    for name, table in tables.items():
        markdown = markdown.replace(f"<!-- {name} -->", table())
    return markdown


def _page(env_id: str) -> str:
    """The page with its picture before the first section."""
    page = environment_page(env_id)
    if not (DOCS / "assets" / "episodes" / f"{env_id}.webp").exists():
        return page
    caption = "An episode of the expert, who knows the truth: the start, a quarter of the way, and the end"
    picture = (
        f"![{caption}](../assets/episodes/{env_id}.webp)\n\n{caption}; fixed in magenta, moved in green, together grey "
        f"(`python docs/pictures.py {env_id}`)."
    )
    return page.replace("\n## Description", f"\n{picture}\n\n## Description", 1)


def _leaderboard() -> str:
    return (
        LEADERBOARD.read_text(encoding="utf-8")
        if LEADERBOARD.exists()
        else "# Leaderboard\n\nNo rows yet: `make leaderboard`.\n"
    )


def _columns() -> str:
    rows = [f"| `{name}` | {meaning} |" for name, meaning in COLUMNS.items()]
    return "\n".join(["| column | holds |", "| --- | --- |", *rows])


def _agents() -> str:
    """Every module of `agents/` that has a factory, with the first line of its docstring."""
    rows = []
    for path in sorted((ROOT / "agents").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        made = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and _is_factory(node)]
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        names = ", ".join(f"`{module}:{name}`" for name in made)
        if made:
            rows.append(f"| {names} | {_first_line(tree)} |")
    return "\n".join(["| agent | what it does |", "| --- | --- |", *rows])


def _first_line(tree: ast.Module) -> str:
    return (ast.get_docstring(tree) or "").splitlines()[0].replace("``", "`")


def _is_factory(function: ast.FunctionDef) -> bool:
    return not function.name.startswith("_") and [a.arg for a in function.args.args] == ["seed"]


def _index() -> str:
    links = environment_table()
    for env_id in TASKS:
        links = links.replace(f"| `{env_id}` |", f"| [`{env_id}`]({env_id}.md) |")
    return (
        "# Environments\n\n"
        "An id stands for a pair of modalities and a transform model. What is not a different task is a keyword: data "
        "set, split, observation, actions, reward, preset. Whatever changes the distribution of an id's scores makes a "
        "new version.\n\n"
        f"{links}\n\n"
        "`regenv list` prints the ids, `regenv info ID` a page, `regenv bench ID` the steps per second on your "
        "machine.\n"
    )


def readme() -> str:
    """README.md with what stands between its markers, and the number of ids, made anew.

    Sections without a source yet are empty.

    Raises:
        ValueError: If a marker is missing.
    """
    text = re.sub(r"regenv has \d+ ", f"regenv has {len(TASKS)} ", README.read_text(encoding="utf-8"))
    for name, block in {"environments": environment_table(), "leaderboard": _top_table(), "speed": _speed()}.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        if begin not in text or end not in text:
            raise ValueError(f"README.md needs the lines {begin.strip()} and {end.strip()}")
        text = f"{text.partition(begin)[0]}{begin}{block}\n{end}{text.partition(end)[2]}"
    return text


def _top_table() -> str:
    """The first track's first table of the leaderboard."""
    if not LEADERBOARD.exists():
        return ""
    track, _, rest = LEADERBOARD.read_text(encoding="utf-8").partition("\n## ")[2].partition("\n")
    lines = rest.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    count = next((i for i, line in enumerate(lines[first:]) if not line.startswith("|")), len(lines))
    table = "\n".join(lines[first : first + count])
    return (
        f"## Leaderboard: {track}\n\n{table}\n\n"
        "Made by `make leaderboard` from verified rows, each with its command; other tracks, percentiles and what the "
        "rows are: [benchmarks/LEADERBOARD.md](benchmarks/LEADERBOARD.md)."
    )


def _speed() -> str:
    """The tables of the last run of the speed benchmark, with their headings."""
    if not SPEED.exists():
        return ""
    kept = [line for line in SPEED.read_text(encoding="utf-8").splitlines() if line.startswith(("|", "### "))]
    tables = "\n".join(f"\n{line}\n" if line.startswith("### ") else line for line in kept)
    source = SPEED.relative_to(ROOT)
    return f"## Speed\n\nOne run of `python -m benchmarks.speed`; machine and method: [{source}]({source}).\n{tables}"


if __name__ == "__main__":
    write_pages()
    README.write_text(readme(), encoding="utf-8")
